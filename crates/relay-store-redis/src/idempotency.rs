//! Answers that are given again: one text each, with a lifetime.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_domain::Timestamp;
use relay_store::{ANSWER_KEPT, CLAIM_KEPT, Claim, IdempotencyRepository, StoreError};
use serde::{Deserialize, Serialize};

use crate::connection;
use crate::fault;
use crate::guarded_write::GuardedWrite;
use crate::shared::Shared;

/// Answers that are given again.
pub(crate) struct RedisIdempotency {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Deserialize, Serialize)]
struct ClaimForm {
    fingerprint: String,
    answer: Option<String>,
}

impl RedisIdempotency {
    async fn read(&self, name: &str) -> Result<Option<(String, ClaimForm)>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(name);
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        let json: Option<String> = connection::read(answer.unwrap_or_default(), "GET")?;
        let Some(json) = json else { return Ok(None) };
        let form = serde_json::from_str(&json).map_err(|_| fault::unexpected("an answer"))?;
        Ok(Some((json, form)))
    }
}

#[async_trait]
impl IdempotencyRepository for RedisIdempotency {
    async fn claim(
        &self,
        name: &str,
        fingerprint: &str,
        _now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let name = self.shared.keyspace.idempotency(name);
        let ours = text(fingerprint, None)?;
        // What is in the way may end before it is looked at.
        for _ in 0..3 {
            let mut pipeline = Pipeline::with_capacity(1);
            pipeline.cmd("SET").arg(&name).arg(&ours).arg("NX").arg("EX").arg(CLAIM_KEPT.as_secs());
            let answer = self.shared.pool.send(&pipeline).await?.pop().unwrap_or_default();
            if connection::read::<bool>(answer, "SET")? {
                return Ok(Claim::Ours);
            }
            if let Some((_, known)) = self.read(&name).await? {
                return Ok(match known.answer {
                    _ if known.fingerprint != fingerprint => Claim::OtherRequest,
                    Some(answer) => Claim::Answered(answer),
                    None => Claim::InProgress,
                });
            }
        }
        Err(fault::contended(name))
    }

    async fn answer(
        &self,
        name: &str,
        fingerprint: &str,
        answer: &str,
        _now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = self.shared.keyspace.idempotency(name);
        let json = text(fingerprint, Some(answer.to_owned()))?;
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SET").arg(name).arg(json).arg("EX").arg(ANSWER_KEPT.as_secs());
        self.shared.pool.send(&pipeline).await.map(drop)
    }

    async fn release(&self, name: &str) -> Result<(), StoreError> {
        let name = self.shared.keyspace.idempotency(name);
        if let Some((json, ClaimForm { answer: None, .. })) = self.read(&name).await? {
            let mut write = GuardedWrite::default();
            write.if_text_is(&name, &json);
            write.write("DEL", &name, [""; 0]);
            write.run(&self.shared).await?;
        }
        Ok(())
    }
}

fn text(fingerprint: &str, answer: Option<String>) -> Result<String, StoreError> {
    let form = ClaimForm { fingerprint: fingerprint.to_owned(), answer };
    serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))
}
