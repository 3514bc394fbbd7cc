//! The trail of changes: what is written for each, in one place.
//!
//! A change that was made is never taken back because it could not be noted: the store's failure then goes
//! to the log, with the entry.

use relay_domain::{Actor, AuditEntry, Timestamp};
use relay_store::{AuditPage, AuditQuery, AuditRepository};
use serde_json::Value;

use super::{Operator, OperatorError};

/// A change, as it is noted.
pub(crate) struct Change {
    /// What was done, such as `key.update`.
    pub(crate) action: &'static str,
    /// What kind of thing it was done to.
    pub(crate) kind: &'static str,
    /// Its id.
    pub(crate) id: String,
    /// How it was before, without secrets.
    pub(crate) before: Option<Value>,
    /// How it was afterwards, without secrets.
    pub(crate) after: Option<Value>,
}

impl Operator {
    /// The trail of changes, the newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn audit(&self, query: &AuditQuery) -> Result<AuditPage, OperatorError> {
        Ok(self.stores.audit.page(query).await?)
    }

    /// Notes that somebody has logged in.
    pub async fn note_login(&self, actor: &Actor) {
        let (action, kind) = ("login.begin", "login");
        let change = Change { action, kind, id: actor.name.clone(), before: None, after: None };
        self.note(actor, change).await;
    }

    /// Notes a change that was made.
    pub(super) async fn note(&self, actor: &Actor, change: Change) {
        note(&*self.stores.audit, self.clock.now(), actor, change).await;
    }
}

/// Notes in `audit` a change that was made at `at`.
pub(crate) async fn note(
    audit: &dyn AuditRepository,
    at: Timestamp,
    actor: &Actor,
    change: Change,
) {
    let Change { action, kind, id, before, after } = change;
    tracing::info!(action, target.id = id, actor.name, "an operator's change");
    let text = |value: Value| value.to_string();
    let entry = AuditEntry {
        seq: 0,
        at,
        actor: actor.clone(),
        action: action.to_owned(),
        target_kind: kind.to_owned(),
        target_id: id,
        before: before.map(text),
        after: after.map(text),
    };
    if let Err(error) = audit.append(&entry).await {
        tracing::error!(%error, ?entry, "a change could not be noted");
    }
}
