//! Which keys are bound to a group of accounts, as what its removal is decided on.

use relay_domain::{AccountGroup, Platform};
use relay_store::StoreError;

use super::{RedisKeys, bindings};
use crate::guarded_write::GuardedWrite;
use crate::hash::Hash;
use crate::scan;

/// The field that says that a key is deleted.
const IS_DELETED: &str = "isDeleted";

impl RedisKeys {
    /// How many keys that are not deleted are bound to `group`. `write` then happens only if no key has been
    /// changed since they were looked at.
    pub(crate) async fn count_bound(
        &self,
        group: &AccountGroup,
        write: &mut GuardedWrite,
    ) -> Result<usize, StoreError> {
        self.index_what_is_not().await?;
        // Before the keys: who binds one while they are read raises it.
        match self.version_of_keys().await? {
            0 => write.if_absent(self.keyspace().key_version()),
            version => write.if_text_is(self.keyspace().key_version(), &version.to_string()),
        }
        let pool = &self.shared.pool;
        let ids = scan::members(pool, self.keyspace().key_ids()).await?;
        let names: Vec<_> = ids.iter().map(|id| self.keyspace().key(id)).collect();
        let [claude, console, openai, codex] = bindings::FIELDS;
        let fields = [claude, console, openai, codex, IS_DELETED];
        let hashes = scan::read_fields(pool, &names, &fields).await?;
        let is_bound = |hash: &&Hash| {
            let binding = match group.platform {
                Platform::ClaudeConsole => bindings::claude(hash),
                Platform::Codex => bindings::codex(hash),
            };
            !hash.is_true(IS_DELETED) && binding.group() == Some(&group.id)
        };
        Ok(hashes.iter().filter(is_bound).count())
    }
}
