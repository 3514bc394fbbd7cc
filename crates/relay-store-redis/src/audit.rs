//! The trail of changes: a sorted set of Relay's own, by number, each entry as JSON.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::AuditEntry;
use relay_store::{AUDIT_AGE, AUDIT_CAPACITY, AuditPage, AuditQuery, AuditRepository, StoreError};
use serde_json::Value;

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many entries are looked at in one trip.
const READ_AT_ONCE: usize = 250;
/// How many are looked at for one page before it is given back as it is.
const LOOKED_AT: usize = 5_000;
/// How many of the oldest entries are looked at with every new one.
const AGED_AT_ONCE: usize = 10;

/// The trail of changes.
pub(crate) struct RedisAudit {
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl AuditRepository for RedisAudit {
    async fn append(&self, entry: &AuditEntry) -> Result<u64, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let name = keyspace.audit();
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("INCR").arg(keyspace.audit_sequence());
        pipeline.cmd("ZRANGE").arg(&name).arg(0).arg(AGED_AT_ONCE - 1);
        let mut answers = pool.send(&pipeline).await?.into_iter();
        let seq: u64 = connection::read(answers.next().unwrap_or_default(), "INCR")?;
        let oldest: Vec<String> = connection::read(answers.next().unwrap_or_default(), "ZRANGE")?;
        let json = serde_json::to_string(&AuditEntry { seq, ..entry.clone() })
            .map_err(|error| StoreError::Refused(Box::new(error)))?;
        let mut pipeline = Pipeline::with_capacity(3);
        pipeline.cmd("ZADD").arg(&name).arg(seq).arg(json);
        pipeline.cmd("ZREMRANGEBYSCORE").arg(&name).arg("-inf");
        pipeline.arg(seq.saturating_sub(AUDIT_CAPACITY));
        for old in oldest.iter().filter(|old| is_too_old(old, entry)) {
            pipeline.cmd("ZREM").arg(&name).arg(old);
        }
        pool.send(&pipeline).await?;
        Ok(seq)
    }

    async fn page(&self, query: &AuditQuery) -> Result<AuditPage, StoreError> {
        let marks = marks(query);
        let mut entries = Vec::new();
        let mut before = query.before;
        let mut looked_at = 0;
        loop {
            let found = self.older_than(before).await?;
            let is_last = found.len() < READ_AT_ONCE;
            looked_at += found.len();
            for (position, json) in found.iter().enumerate() {
                // The last one says where to go on, whatever it is.
                let is_needed = position + 1 == found.len()
                    || marks.iter().all(|mark| json.contains(mark.as_str()));
                if !is_needed {
                    continue;
                }
                let entry: AuditEntry = serde_json::from_str(json)
                    .map_err(|_| fault::unexpected("the trail of changes"))?;
                before = Some(entry.seq);
                if query.matches(&entry) {
                    entries.push(entry);
                    if query.limit < entries.len() {
                        entries.truncate(query.limit);
                        let next = entries.last().map(|entry| entry.seq);
                        return Ok(AuditPage { entries, next });
                    }
                }
            }
            if is_last {
                return Ok(AuditPage { entries, next: None });
            }
            if LOOKED_AT <= looked_at {
                return Ok(AuditPage { entries, next: before });
            }
        }
    }
}

impl RedisAudit {
    async fn older_than(&self, before: Option<u64>) -> Result<Vec<String>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let from = before.map_or_else(|| "+inf".to_owned(), |seq| format!("({seq}"));
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZREVRANGEBYSCORE").arg(keyspace.audit()).arg(from).arg("-inf");
        pipeline.arg("LIMIT").arg(0).arg(READ_AT_ONCE);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        connection::read(answer, "ZREVRANGEBYSCORE")
    }
}

/// What stands in the text of every entry that `query` asks for: most others need not be read as a whole.
/// The texts of what was changed have none of it, for every quote in them has a backslash before it.
fn marks(query: &AuditQuery) -> Vec<String> {
    let mark = |field: &str, text: &str| format!("\"{field}\":{}", Value::from(text));
    let mut marks = Vec::new();
    marks.extend(query.actor.as_ref().map(|name| mark("name", name)));
    marks.extend(query.target_kind.as_ref().map(|kind| mark("target_kind", kind)));
    marks.extend(query.target_id.as_ref().map(|id| mark("target_id", id)));
    marks.extend(query.action.as_ref().map(|action| {
        let mut whole = mark("action", action);
        if action.ends_with('.') {
            // Only what it begins with.
            whole.pop();
        }
        whole
    }));
    marks
}

/// Adds entries under their numbers, but for those whose number is taken. Returns how many.
pub(crate) async fn add(shared: &Shared, entries: &[AuditEntry]) -> Result<usize, StoreError> {
    let Shared { pool, keyspace, .. } = shared;
    let (name, sequence) = (keyspace.audit(), keyspace.audit_sequence());
    let Some(last) = entries.iter().map(|entry| entry.seq).max() else { return Ok(0) };
    let mut pipeline = Pipeline::with_capacity(1 + entries.len());
    pipeline.cmd("GET").arg(&sequence);
    for AuditEntry { seq, .. } in entries {
        pipeline.cmd("ZCOUNT").arg(&name).arg(seq).arg(seq);
    }
    let mut answers = pool.send(&pipeline).await?.into_iter();
    let given: Option<u64> = connection::read(answers.next().unwrap_or_default(), "GET")?;
    let mut pipeline = Pipeline::new();
    // First, and by what is missing: what is appended meanwhile is given numbers of its own.
    pipeline.cmd("INCRBY").arg(&sequence).arg(last.saturating_sub(given.unwrap_or(0)));
    let mut added = 0;
    for (entry, answer) in entries.iter().zip(answers) {
        if connection::read::<u64>(answer, "ZCOUNT")? == 0 {
            let json = serde_json::to_string(entry)
                .map_err(|error| StoreError::Refused(Box::new(error)))?;
            pipeline.cmd("ZADD").arg(&name).arg(entry.seq).arg(json);
            added += 1;
        }
    }
    pool.send(&pipeline).await?;
    Ok(added)
}

fn is_too_old(json: &str, newest: &AuditEntry) -> bool {
    serde_json::from_str(json).is_ok_and(|old: AuditEntry| AUDIT_AGE < newest.at.since(old.at))
}

#[cfg(test)]
mod tests {
    use relay_domain::{Actor, Timestamp};

    use super::*;

    #[test]
    fn an_entry_that_is_found_has_every_mark() {
        for name in ["plain", r#"a"b"\c"#, "\u{6a21}\u{578b}"] {
            let entry = AuditEntry {
                seq: 1,
                at: Timestamp::EPOCH,
                actor: Actor::admin(name),
                action: format!("{name}.update"),
                target_kind: name.to_owned(),
                target_id: name.to_owned(),
                before: None,
                after: None,
            };
            for action in [format!("{name}.update"), format!("{name}.")] {
                let is = |text: &str| Some(text.to_owned());
                let query = AuditQuery {
                    actor: is(name),
                    action: is(&action),
                    target_kind: is(name),
                    target_id: is(name),
                    ..AuditQuery::default()
                };
                assert!(query.matches(&entry));
                let text = serde_json::to_string(&entry).unwrap();
                let found = marks(&query);
                assert_eq!(found.len(), 4);
                for mark in found {
                    assert!(text.contains(&mark), "{mark} in {text}");
                }
            }
        }
    }
}
