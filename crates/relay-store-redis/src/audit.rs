//! The trail of changes: a sorted set of Relay's own, by number, each entry as JSON.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::AuditEntry;
use relay_store::{AUDIT_AGE, AUDIT_CAPACITY, AuditPage, AuditQuery, AuditRepository, StoreError};

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many entries are looked at in one trip.
const READ_AT_ONCE: usize = 200;
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
        let mut entries = Vec::new();
        let mut before = query.before;
        let mut looked_at = 0;
        loop {
            let found = self.older_than(before).await?;
            let is_last = found.len() < READ_AT_ONCE;
            looked_at += found.len();
            for entry in found {
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
    async fn older_than(&self, before: Option<u64>) -> Result<Vec<AuditEntry>, StoreError> {
        let Shared { pool, keyspace, .. } = &*self.shared;
        let from = before.map_or_else(|| "+inf".to_owned(), |seq| format!("({seq}"));
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZREVRANGEBYSCORE").arg(keyspace.audit()).arg(from).arg("-inf");
        pipeline.arg("LIMIT").arg(0).arg(READ_AT_ONCE);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let found: Vec<String> = connection::read(answer, "ZREVRANGEBYSCORE")?;
        let parsed = found.iter().map(|json| serde_json::from_str(json));
        parsed.collect::<Result<_, _>>().map_err(|_| fault::unexpected("the trail of changes"))
    }
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
