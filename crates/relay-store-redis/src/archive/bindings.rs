//! Conversations that are bound, given and taken in.

use redis::Pipeline;
use relay_domain::{AccountId, Platform, Timestamp};
use relay_store::{ArchivePage, Binding, Rebind, StoreError};
use serde::Deserialize;

use super::RedisArchive;
use crate::connection;
use crate::ledger;
use crate::scan::{self, Kind};

/// A binding as Relay writes it. One of v1's does not say until when it holds.
#[derive(Deserialize)]
struct BindingForm {
    #[serde(rename = "accountId")]
    account: AccountId,
    until: Timestamp,
}

impl RedisArchive {
    pub(super) async fn binding_page(
        &self,
        position: Option<String>,
    ) -> Result<ArchivePage<Rebind>, StoreError> {
        let (pool, keyspace) = (&self.shared.pool, &self.shared.keyspace);
        let (pattern, position) = (keyspace.binding_pattern(), position.unwrap_or_default());
        let (next, names) = scan::step(pool, pattern, &position, Kind::Text).await?;
        let bound: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((keyspace.affinity_of(&name)?, name)))
            .collect();
        if bound.is_empty() {
            return Ok(ArchivePage { items: Vec::new(), next });
        }
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("MGET");
        for (_, name) in &bound {
            pipeline.arg(name);
        }
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let texts: Vec<Option<String>> = connection::read(answer, "MGET")?;
        let items = bound.into_iter().zip(texts).filter_map(|((affinity, _), text)| {
            let BindingForm { account, until } = serde_json::from_str(&text?).ok()?;
            Some(Rebind { affinity, binding: Binding { account, until } })
        });
        Ok(ArchivePage { items: items.collect(), next })
    }

    pub(super) async fn bind(
        &self,
        bindings: &[(Platform, Rebind)],
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let keyspace = &self.shared.keyspace;
        let mut pipeline = Pipeline::with_capacity(bindings.len());
        for (platform, Rebind { affinity, binding }) in bindings {
            if now < binding.until {
                let text = ledger::binding_text(*platform, binding)?;
                pipeline.cmd("SET").arg(keyspace.binding(*platform, affinity)).arg(text);
                pipeline.arg("PX").arg(ledger::binding_lifetime(binding, now)).arg("NX");
            }
        }
        let answers = self.shared.pool.send(&pipeline).await?;
        let mut added = 0;
        for answer in answers {
            let done: Option<String> = connection::read(answer, "SET")?;
            added += usize::from(done.is_some());
        }
        Ok(added)
    }
}
