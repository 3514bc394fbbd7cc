//! Searching records: from the latest on, a bounded number at a time.

use redis::Pipeline;
use relay_domain::{RequestId, Timestamp};
use relay_store::{RecordPage, RecordQuery, StoreError};

use crate::connection;
use crate::usage::RedisUsage;

/// How many records are looked at for one page.
const EXAMINED: usize = 5_000;
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
        let marks = marks(query);
        while query.limit > 0 && examined < EXAMINED {
            let ids = self.ids_before(query, examined).await?;
            let is_end = ids.len() < READ_AT_ONCE;
            examined += ids.len();
            // Records that came in meanwhile have shifted the others: those are known already.
            let fresh = ids.into_iter().filter(|id| last.is_none_or(|last| *id < last));
            let fresh: Vec<_> = fresh.map(|id| (id, id.to_string())).collect();
            let names: Vec<_> = fresh.iter().map(|(_, name)| name.clone()).collect();
            for record in self.records_with(&names, &marks).await? {
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

/// What stands in the text of every record that `query` may find: most others need not be read as a whole.
fn marks(query: &RecordQuery) -> Vec<String> {
    let text = |name: &str, text: &str| format!("\"{name}\":{}", serde_json::Value::from(text));
    let mut marks = Vec::new();
    marks.extend(query.key.as_ref().map(|key| text("key", key.as_str())));
    marks.extend(query.account.as_ref().map(|account| text("account", account.as_str())));
    marks.extend(query.status.map(|status| format!("\"status\":{status},")));
    let outcome = query.outcome.and_then(|outcome| serde_json::to_string(&outcome).ok());
    marks.extend(outcome.map(|outcome| format!("\"outcome\":{outcome}")));
    marks
}

#[cfg(test)]
mod tests {
    use relay_domain::{AccountId, KeyId, RequestRecord};
    use relay_store::StoredRecord;
    use relay_store::contract::fixture::rich_record;

    use super::*;

    #[test]
    fn a_record_that_is_found_has_every_mark() {
        for name in ["plain", r#"a"b"\c"#, "模型"] {
            let record = RequestRecord {
                key: KeyId::try_from(name).unwrap(),
                account: Some(AccountId::try_from(name).unwrap()),
                ..rich_record(0, "k")
            };
            let query = RecordQuery {
                key: Some(record.key.clone()),
                account: record.account.clone(),
                status: Some(record.status),
                outcome: Some(record.outcome),
                ..RecordQuery::default()
            };
            assert!(query.matches(&record));
            let found = marks(&query);
            let text = serde_json::to_string(&StoredRecord::from(record)).unwrap();
            assert_eq!(found.len(), 4);
            for mark in found {
                assert!(text.contains(&mark), "{mark} in {text}");
            }
        }
    }
}
