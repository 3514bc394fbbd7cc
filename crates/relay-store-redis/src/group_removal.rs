//! Removing a group, of keys or of accounts, that no key needs.

use std::future::Future;

use relay_store::{GroupRemoval, StoreError};

use crate::fault;
use crate::guarded_write::GuardedWrite;
use crate::shared::Shared;

/// How often the keys are looked through anew, because one was changed before the group could be removed.
const LOOKS_AT_KEYS: usize = 16;

/// The writes that remove a group, which happen only if nothing has changed since it was looked at; or why it
/// stays.
pub(crate) type Removal = Result<GuardedWrite, GroupRemoval>;

/// Removes the group that people know as `what`, as `look` decides each time.
pub(crate) async fn remove<F>(
    shared: &Shared,
    what: String,
    look: impl Fn() -> F + Send,
) -> Result<GroupRemoval, StoreError>
where
    F: Future<Output = Result<Removal, StoreError>> + Send,
{
    for _ in 0..LOOKS_AT_KEYS {
        let write = match look().await? {
            Ok(write) => write,
            Err(stays) => return Ok(stays),
        };
        if write.run(shared).await?.is_none() {
            return Ok(GroupRemoval::Done);
        }
    }
    Err(fault::contended(what))
}
