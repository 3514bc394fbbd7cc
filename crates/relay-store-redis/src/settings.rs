//! Documents of settings. One that v1 knows is under v1's name.

use std::sync::Arc;

use async_trait::async_trait;
use redis::Pipeline;
use relay_store::{SettingsChange, SettingsName, SettingsRepository, StoreError};

use crate::connection;
use crate::guarded_write::GuardedWrite;
use crate::shared::Shared;

/// Documents of settings.
pub(crate) struct RedisSettings {
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl SettingsRepository for RedisSettings {
    async fn read(&self, name: SettingsName) -> Result<Option<String>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("GET").arg(self.shared.keyspace.settings(name));
        let answer = self.shared.pool.send(&pipeline).await?.pop();
        connection::read(answer.unwrap_or_default(), "GET")
    }

    async fn replace(&self, change: &SettingsChange) -> Result<bool, StoreError> {
        let name = self.shared.keyspace.settings(change.name);
        let mut write = GuardedWrite::default();
        match &change.expected {
            None => write.if_absent(&*name),
            Some(expected) => write.if_text_is(&*name, expected),
        }
        write.write("SET", &*name, [&change.next]);
        Ok(write.run(&self.shared).await?.is_none())
    }
}
