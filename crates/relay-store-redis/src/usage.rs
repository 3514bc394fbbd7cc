//! Usage and records, read.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::{Calendar, NanoUsd, Period, RequestId, RequestRecord};
use relay_store::statistics::{Statistics, StatisticsQuery};
use relay_store::{
    RecordPage, RecordQuery, StoreError, StoredRecord, UsageRepository, UsageScope, UsageTotals,
};

use crate::connection;
use crate::counters::{self, sums};
use crate::fault;
use crate::hash::Hash;
use crate::shared::Shared;
use crate::statistics;

/// Usage and records.
pub(crate) struct RedisUsage {
    pub(crate) shared: Arc<Shared>,
}

impl RedisUsage {
    /// The records with these ids, in their order, of those that are kept.
    pub(crate) async fn records(&self, ids: &[String]) -> Result<Vec<RequestRecord>, StoreError> {
        self.records_with(ids, &[]).await
    }

    /// The same, of those in whose text all of `marks` stand: the others are not read as a whole.
    pub(crate) async fn records_with(
        &self,
        ids: &[String],
        marks: &[String],
    ) -> Result<Vec<RequestRecord>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let name = self.shared.keyspace.records();
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("HMGET").arg(&name).arg(ids);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let records: Vec<Option<String>> = connection::read(answer.unwrap_or_default(), "HMGET")?;
        let read = |(id, json): (&String, Option<String>)| {
            let json = json.filter(|json| marks.iter().all(|mark| json.contains(mark.as_str())))?;
            Some(read_record(&name, id, &json))
        };
        ids.iter().zip(records).filter_map(read).collect()
    }
}

/// The record that the hash `name` has under `id`.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if it is none.
pub(crate) fn read_record(name: &str, id: &str, json: &str) -> Result<RequestRecord, StoreError> {
    serde_json::from_str::<StoredRecord>(json).map(RequestRecord::from).map_err(|error| {
        StoreError::Corrupt { what: format!("{name} {id}"), why: error.to_string() }
    })
}

#[async_trait]
impl UsageRepository for RedisUsage {
    async fn totals(&self, scope: &UsageScope, period: Period) -> Result<UsageTotals, StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("HGETALL").arg(counters::name(scope, period, keyspace));
        if let UsageScope::Key(key) = scope {
            sums::ask(key, period, keyspace, &mut pipeline);
        }
        let mut answers = self.shared.pool.send(&pipeline).await?.into_iter();
        let answer = answers.next().ok_or_else(|| fault::unexpected("HGETALL"))?;
        let hash = Hash::from_value(answer)?;
        let mut totals = counters::totals(&hash, scope, period);
        if let (Some(answer), false) = (answers.next(), hash.is_absent()) {
            sums::take(answer, sums::is_exact(&hash), &mut totals, &mut NanoUsd::default())?;
        }
        Ok(totals)
    }

    async fn record(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError> {
        Ok(self.records(&[id.to_string()]).await?.pop())
    }

    async fn recent(&self, limit: usize) -> Result<Vec<RequestRecord>, StoreError> {
        let Some(last) = limit.checked_sub(1) else { return Ok(Vec::new()) };
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZREVRANGE").arg(self.shared.keyspace.record_index()).arg(0).arg(last);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let ids: Vec<String> = connection::read(answer.unwrap_or_default(), "ZREVRANGE")?;
        self.records(&ids).await
    }

    async fn search(&self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        self.search_records(query).await
    }

    async fn statistics(&self, query: &StatisticsQuery) -> Result<Statistics, StoreError> {
        statistics::answer(&self.shared, query).await
    }

    fn calendar(&self) -> Calendar {
        self.shared.calendar
    }
}
