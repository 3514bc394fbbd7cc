//! Statistics as they are stored, given and taken in: bytes under names.

use redis::Pipeline;
use relay_domain::{Calendar, Timestamp};
use relay_store::statistics::{Hour, SegmentName, Table};
use relay_store::{ArchivePage, StatisticsProgress, StoreError, StoredSegment};

use super::RedisArchive;
use crate::connection;
use crate::keyspace::Keyspace;
use crate::scan::{self, Kind};
use crate::statistics;

/// How many segments are given at once: a few megabytes at most.
const AT_ONCE: usize = 16;

impl RedisArchive {
    pub(super) async fn segment_page(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<StoredSegment>, StoreError> {
        let (pool, keyspace) = (&self.shared.pool, &self.shared.keyspace);
        let pattern = keyspace.statistics_pattern();
        let position = position.unwrap_or_default();
        let (next, names) = scan::step(pool, &pattern, &position, Kind::Hash).await?;
        let names: Vec<_> = names.iter().filter_map(|name| segment_of(keyspace, name)).collect();
        let mut items = Vec::with_capacity(names.len());
        for names in names.chunks(AT_ONCE) {
            let mut pipeline = Pipeline::with_capacity(names.len());
            for name in names {
                pipeline.cmd("HGETALL").arg(keyspace.statistics_segment(*name));
            }
            for (name, answer) in names.iter().zip(pool.send(&pipeline).await?) {
                let mut parts: Vec<(u64, Vec<u8>)> = connection::read(answer, "HGETALL")?;
                parts.sort_unstable();
                let parts = parts.into_iter().map(|(_, part)| part).collect();
                items.push(StoredSegment { name: *name, parts });
            }
        }
        Ok(ArchivePage { items, next })
    }

    pub(super) async fn add_stored_segments(
        &self,
        segments: &[StoredSegment],
    ) -> Result<usize, StoreError> {
        let (pool, keyspace) = (&self.shared.pool, &self.shared.keyspace);
        let mut added = 0;
        for segments in segments.chunks(AT_ONCE) {
            let mut pipeline = Pipeline::with_capacity(1 + segments.len());
            pipeline.cmd("EXISTS").arg(keyspace.statistics_state());
            pipeline.arg(keyspace.statistics_fresh());
            for segment in segments {
                pipeline.cmd("EXISTS").arg(keyspace.statistics_segment(segment.name));
            }
            let mut answers = pool.send(&pipeline).await?.into_iter();
            let own: u64 = connection::read(answers.next().unwrap_or_default(), "EXISTS")?;
            if 0 < own {
                return Ok(added);
            }
            let mut pipeline = Pipeline::new();
            for (segment, answer) in segments.iter().zip(answers) {
                let is_there: bool = connection::read(answer, "EXISTS")?;
                if !is_there && !segment.parts.is_empty() {
                    // One command, so that no segment is ever there in part.
                    pipeline.cmd("HSET").arg(keyspace.statistics_segment(segment.name));
                    for (number, part) in segment.parts.iter().enumerate() {
                        pipeline.arg(number).arg(&part[..]);
                    }
                    added += 1;
                }
            }
            pool.send(&pipeline).await?;
        }
        Ok(added)
    }

    pub(super) async fn take_progress(
        &self,
        progress: &StatisticsProgress,
    ) -> Result<bool, StoreError> {
        let keyspace = &self.shared.keyspace;
        let script = &self.shared.scripts.begin_statistics;
        let state = progress.state.map(|state| serde_json::to_string(&state)).transpose();
        let state = state.map_err(|error| StoreError::Refused(Box::new(error)))?;
        let mut command = script.call(2);
        command.arg(keyspace.statistics_state()).arg(keyspace.statistics_fresh());
        command.arg(state.unwrap_or_default());
        for fresh in &progress.fresh {
            command.arg(statistics::element(fresh));
        }
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(command);
        let answer = script.send_on_pool(&self.shared.pool, &pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "begin_statistics.lua")
    }
}

/// The segment that lies under `name`.
fn segment_of(keyspace: &Keyspace, name: &str) -> Option<SegmentName> {
    let text = keyspace.statistics_segment_text(name)?;
    let (table, period) = text.split_once(':')?;
    let table = Table::ALL.into_iter().find(|known| known.name() == table)?;
    let first_moment = match period.len() {
        7 => format!("{period}-01T00:00:00Z"),
        10 => format!("{period}T00:00:00Z"),
        13 => format!("{}:00:00Z", period.replacen(':', "T", 1)),
        _ => return None,
    };
    let start = Hour::of(Calendar::UTC, Timestamp::parse_rfc3339(&first_moment)?);
    let segment = SegmentName { table, start };
    (segment.to_string() == text).then_some(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_known_by_their_names() {
        let keyspace = Keyspace::new("relay:");
        let at = |text| Hour::of(Calendar::UTC, Timestamp::parse_rfc3339(text).unwrap());
        let hour = at("2024-02-29T23:00:00Z");
        let (day, month) = (hour.day(), hour.month());
        let starts = [hour, day, day, day, month, month, month, month];
        for (table, start) in Table::ALL.into_iter().zip(starts) {
            let segment = SegmentName { table, start };
            let name = keyspace.statistics_segment(segment);
            assert_eq!(segment_of(&keyspace, &name), Some(segment), "{name}");
        }
        for name in
            ["relay:stats:state", "relay:stats:week:2024-02-29", "other:stats:day:2024-02-29"]
        {
            assert_eq!(segment_of(&keyspace, name), None, "{name}");
        }
    }
}
