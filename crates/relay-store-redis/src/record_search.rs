//! Searching records: from the latest on, a bounded number at a time.

use redis::Pipeline;
use relay_domain::{RequestId, Timestamp};
use relay_store::{RecordPage, RecordQuery, StoreError};

use crate::connection;
use crate::usage::RedisUsage;

/// How many records are looked at for one page.
const EXAMINED: usize = 10_000;
/// How many of them are read in one trip.
const READ_AT_ONCE: usize = 500;

impl RedisUsage {
    /// The page that `query` asks for.
    pub(crate) async fn search_records(
        &self,
        query: &RecordQuery,
    ) -> Result<RecordPage, StoreError> {
        let mut page = RecordPage::default();
        let (mut examined, mut last) = (0, query.after);
        while query.limit > 0 && examined < EXAMINED {
            let ids = self.ids_before(query, examined).await?;
            let is_end = ids.len() < READ_AT_ONCE;
            examined += ids.len();
            // Records that came in meanwhile have shifted the others: those are known already.
            let fresh = ids.into_iter().filter(|id| last.is_none_or(|last| *id < last));
            let fresh: Vec<_> = fresh.map(|id| (id, id.to_string())).collect();
            let names: Vec<_> = fresh.iter().map(|(_, name)| name.clone()).collect();
            for record in self.records(&names).await? {
                if !query.matches(&record) {
                    continue;
                }
                if page.records.len() == query.limit {
                    page.next = page.records.last().map(|record| record.id);
                    return Ok(page);
                }
                page.records.push(record);
            }
            last = fresh.last().map(|(id, _)| *id).or(last);
            if is_end {
                return Ok(page);
            }
        }
        page.next = last.filter(|_| query.limit > 0);
        Ok(page)
    }

    /// Ids from the latest that `query` may find, without the first `skipped`.
    async fn ids_before(
        &self,
        query: &RecordQuery,
        skipped: usize,
    ) -> Result<Vec<RequestId>, StoreError> {
        let bound = |millis: Option<u64>, open: &str| {
            millis.map_or_else(|| open.to_owned(), |millis| millis.to_string())
        };
        let before = query.to.map(|to| to.as_millis().saturating_sub(1));
        let after = query.after.map(|after| after.arrived_at().as_millis());
        let latest = [before, after].into_iter().flatten().min();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZREVRANGEBYSCORE").arg(self.shared.keyspace.record_index());
        pipeline.arg(bound(latest, "+inf"));
        pipeline.arg(bound(query.from.map(Timestamp::as_millis), "-inf"));
        pipeline.arg("LIMIT").arg(skipped).arg(READ_AT_ONCE);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let ids: Vec<String> = connection::read(answer.unwrap_or_default(), "ZREVRANGEBYSCORE")?;
        // What is not an id is not ours.
        Ok(ids.iter().filter_map(|id| RequestId::try_from(id.as_str()).ok()).collect())
    }
}
