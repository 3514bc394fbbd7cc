//! Settling requests whose process has died, and dropping what has outlived its bound.

use redis::{Pipeline, Value};
use relay_domain::{RequestId, RequestRecord, Timestamp};
use relay_store::{Settled, StoreError};

use super::batch::Prepared;
use super::hold::{self, Part};
use super::{Sender, answers};
use crate::connection;
use crate::statistics;

/// How many outlived records one call of `reap` drops at most.
const DROP_AT_ONCE: usize = 1_000;

/// What is read of a hold: what was admitted, what is known of the usage, its parts.
type HoldFields = (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

impl Sender {
    /// Settles requests whose lease has ended by `now`, at most `max`.
    pub(super) async fn reap(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<RequestRecord>, StoreError> {
        let ids = if max == 0 { Vec::new() } else { self.outlived_holds(now, max).await? };
        let mut reaped = Vec::with_capacity(ids.len());
        if !ids.is_empty() {
            let mut pipeline = Pipeline::with_capacity(ids.len());
            for id in &ids {
                pipeline.cmd("HMGET").arg(self.shared.keyspace.hold(*id));
                pipeline.arg(&["admitted", "known", "key", "group", "account"]);
            }
            let holds = self.connection.send(&pipeline).await?;
            for (id, hold) in ids.into_iter().zip(holds) {
                reaped.extend(self.reap_one(id, hold, now).await?);
            }
        }
        self.drop_outlived_records(now).await?;
        statistics::roll(&self.shared, now).await?;
        Ok(reaped)
    }

    /// Settles one orphan, unless it was settled or extended meanwhile.
    async fn reap_one(
        &self,
        request: RequestId,
        hold: Value,
        now: Timestamp,
    ) -> Result<Option<RequestRecord>, StoreError> {
        if matches!(&hold, Value::ServerError(error) if error.code() == "WRONGTYPE") {
            // It would stand in the way of the others for ever.
            tracing::error!(request.id = %request, "what is kept of an orphan is no hold");
            return self.forget(request).await.map(|()| None);
        }
        let (admitted, known, key, group, account): HoldFields = connection::read(hold, "HMGET")?;
        let Some(admitted) = admitted else {
            // An admission that was cut off.
            return self.forget(request).await.map(|()| None);
        };
        let settlement = match hold::orphan(request, &admitted, known.as_deref(), now) {
            Ok(settlement) => settlement,
            Err(error) => {
                tracing::error!(request.id = %request, %error, "an orphan cannot be settled");
                let parts = [key, group, account].into_iter().flatten();
                let parts: Vec<_> = parts.filter_map(Part::parse).collect();
                self.release(request, &parts).await?;
                return self.forget(request).await.map(|()| None);
            }
        };
        let prepared = Prepared::new(settlement, &self.shared)?;
        let done = self.settle_batch(&[&prepared], Some(now)).await?;
        let is_first = done.first().is_some_and(Settled::is_first);
        Ok(is_first.then(|| prepared.into_record()))
    }

    async fn outlived_holds(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<RequestId>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZRANGEBYSCORE").arg(self.shared.keyspace.holds());
        pipeline.arg("-inf").arg(now.as_millis()).arg("LIMIT").arg(0).arg(max);
        let [ids] = answers(self.connection.send(&pipeline).await?, "ZRANGEBYSCORE")?;
        let ids: Vec<String> = connection::read(ids, "ZRANGEBYSCORE")?;
        // What is not an id cannot be settled; it is not ours either.
        Ok(ids.iter().filter_map(|id| RequestId::try_from(id.as_str()).ok()).collect())
    }

    async fn forget(&self, request: RequestId) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("DEL").arg(keyspace.hold(request));
        pipeline.cmd("ZREM").arg(keyspace.holds()).arg(request.to_string());
        for answer in self.connection.send(&pipeline).await? {
            connection::accepted(answer)?;
        }
        Ok(())
    }

    async fn drop_outlived_records(&self, now: Timestamp) -> Result<(), StoreError> {
        let keyspace = &self.shared.keyspace;
        let lifetime = self.shared.record_lifetime.as_millis();
        let lifetime_ms = u64::try_from(lifetime).unwrap_or(u64::MAX);
        let oldest = now.as_millis().saturating_sub(lifetime_ms);
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("ZRANGEBYSCORE").arg(keyspace.record_index());
        pipeline.arg("-inf").arg(oldest).arg("LIMIT").arg(0).arg(DROP_AT_ONCE);
        let [ids] = answers(self.connection.send(&pipeline).await?, "ZRANGEBYSCORE")?;
        let ids: Vec<String> = connection::read(ids, "ZRANGEBYSCORE")?;
        if ids.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("HDEL").arg(keyspace.records()).arg(&ids);
        pipeline.cmd("ZREM").arg(keyspace.record_index()).arg(&ids);
        for answer in self.connection.send(&pipeline).await? {
            connection::accepted(answer)?;
        }
        Ok(())
    }
}
