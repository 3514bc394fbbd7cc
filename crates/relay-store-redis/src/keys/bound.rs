//! Which keys need a group, of keys or of accounts, as what its removal is decided on.

use relay_domain::{AccountGroup, GroupId, Platform};
use relay_store::StoreError;

use super::form::GROUP;
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
        let is_bound = |hash: &Hash| {
            let binding = match group.platform {
                Platform::ClaudeConsole => bindings::claude(hash),
                Platform::Codex => bindings::codex(hash),
            };
            binding.group() == Some(&group.id)
        };
        self.count_living(&bindings::FIELDS, is_bound, write).await
    }

    /// How many keys that are not deleted belong to `group`. `write` then happens only if no key has been
    /// changed since they were looked at.
    pub(crate) async fn count_members(
        &self,
        group: &GroupId,
        write: &mut GuardedWrite,
    ) -> Result<usize, StoreError> {
        let belongs = |hash: &Hash| hash.text(GROUP) == Some(group.as_str());
        self.count_living(&[GROUP], belongs, write).await
    }

    /// How many keys are not deleted and `counts` by these fields of theirs.
    async fn count_living(
        &self,
        fields: &[&'static str],
        counts: impl Fn(&Hash) -> bool,
        write: &mut GuardedWrite,
    ) -> Result<usize, StoreError> {
        self.index_what_is_not().await?;
        // Before the keys: who changes one while they are read raises it.
        match self.version_of_keys().await? {
            0 => write.if_absent(self.keyspace().key_version()),
            version => write.if_text_is(self.keyspace().key_version(), &version.to_string()),
        }
        let pool = &self.shared.pool;
        let ids = scan::members(pool, self.keyspace().key_ids()).await?;
        let names: Vec<_> = ids.iter().map(|id| self.keyspace().key(id)).collect();
        let fields: Vec<_> = fields.iter().copied().chain([IS_DELETED]).collect();
        let hashes = scan::read_fields(pool, &names, &fields).await?;
        Ok(hashes.iter().filter(|hash| !hash.is_true(IS_DELETED) && counts(hash)).count())
    }
}
