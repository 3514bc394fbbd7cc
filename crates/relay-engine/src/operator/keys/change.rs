//! Changing API keys: editing, deleting, restoring, purging, another secret.

use std::time::Duration;

use relay_domain::{Actor, ApiKey, KeyDigest, KeyId, RetiringSecret, Signature, Timestamp};
use relay_store::{StoreError, Update};
use secrecy::{ExposeSecret as _, SecretString};

use crate::operator::audit::Change;
use crate::operator::error::{check_revision, contended};
use crate::operator::{ATTEMPTS, Operator, OperatorError, limits, snapshot};

/// The longest time for which a replaced secret is good.
pub const LONGEST_GRACE: Duration = Duration::from_hours(24 * 30);

/// What is to be done to a key's settings. What no operator may change is put back afterwards.
pub type KeyEdit<'a> = dyn Fn(&mut ApiKey) + Send + Sync + 'a;

/// What a change makes of a key, and the secret that it makes up if it does.
type Changed = (ApiKey, Option<SecretString>);

impl Operator {
    /// Changes a key's settings. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], [`OperatorError::AlreadyDeleted`] (restore it first),
    /// [`OperatorError::Stale`], [`OperatorError::Invalid`] with the first field that is wrong, or the
    /// store's.
    pub async fn update_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<u64>,
        edit: &KeyEdit<'_>,
    ) -> Result<ApiKey, OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.living_key(id, expected).await?;
            let new = self.edited(&old, edit).await?;
            if new == old {
                return Ok(old);
            }
            if let Some(key) = self.write_key(actor, "key.update", old, new, expected).await? {
                return Ok(key);
            }
        }
        Err(contended("the API key"))
    }

    /// Deletes a key so that it can be restored. A secret that was retiring is gone at once.
    ///
    /// # Errors
    ///
    /// As [`update_key`](Self::update_key).
    pub async fn delete_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<u64>,
    ) -> Result<ApiKey, OperatorError> {
        self.change_key(actor, "key.delete", id, expected, |old, now| {
            if old.deleted.is_some() {
                return Err(OperatorError::AlreadyDeleted);
            }
            let deleted = Some(signature(actor, now));
            Ok((ApiKey { deleted, retiring: None, ..old }, None))
        })
        .await
        .map(|(key, _)| key)
    }

    /// Brings a deleted key back, switched on.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotDeleted`], or as [`update_key`](Self::update_key).
    pub async fn restore_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<u64>,
    ) -> Result<ApiKey, OperatorError> {
        self.change_key(actor, "key.restore", id, expected, |old, now| {
            if old.deleted.is_none() {
                return Err(OperatorError::NotDeleted);
            }
            let restored = Some(signature(actor, now));
            Ok((ApiKey { deleted: None, restored, is_active: true, ..old }, None))
        })
        .await
        .map(|(key, _)| key)
    }

    /// Gives a key another secret, which is returned here and never again. The one before is good for
    /// `grace` longer; zero: it is good no more.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if the grace is longer than [`LONGEST_GRACE`], or as
    /// [`update_key`](Self::update_key).
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<u64>,
        grace: Duration,
    ) -> Result<(ApiKey, SecretString), OperatorError> {
        if LONGEST_GRACE < grace {
            let (field, why) = ("gracePeriodSeconds", "must be at most 30 days");
            return Err(OperatorError::Invalid { field, why });
        }
        let rotated = self.change_key(actor, "key.rotate", id, expected, |old, now| {
            if old.deleted.is_some() {
                return Err(OperatorError::AlreadyDeleted);
            }
            let secret = self.minter.mint();
            let digest = KeyDigest::new(self.hasher.digest(secret.expose_secret()));
            let before = RetiringSecret { digest: old.digest, until: now.plus(grace) };
            let retiring = (!grace.is_zero()).then_some(before);
            Ok((ApiKey { digest, retiring, ..old }, Some(secret)))
        });
        let (key, secret) = rotated.await?;
        secret.map(|secret| (key, secret)).ok_or_else(|| contended("the API key"))
    }

    /// Removes a deleted key for good.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotDeleted`] if it is not deleted, or as [`update_key`](Self::update_key).
    pub async fn purge_key(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<u64>,
    ) -> Result<(), OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.key_at(id, expected).await?;
            if old.deleted.is_none() {
                return Err(OperatorError::NotDeleted);
            }
            match self.stores.keys.purge(id, old.revision).await? {
                Update::Done { .. } => {
                    let before = Some(snapshot::key(&old));
                    let (kind, id) = ("key", id.to_string());
                    let change = Change { action: "key.purge", kind, id, before, after: None };
                    self.note(actor, change).await;
                    return Ok(());
                }
                Update::Absent => return Err(OperatorError::NotFound("API Key")),
                Update::Stale { current } if expected.is_some() => {
                    return Err(OperatorError::Stale { current });
                }
                Update::Stale { .. } => {}
            }
        }
        Err(contended("the API key"))
    }

    /// The key as `edit` would make it, checked.
    pub(super) async fn edited(
        &self,
        old: &ApiKey,
        edit: &KeyEdit<'_>,
    ) -> Result<ApiKey, OperatorError> {
        let now = self.clock.now();
        let mut new = old.clone();
        edit(&mut new);
        let new = ApiKey {
            id: old.id.clone(),
            digest: old.digest,
            retiring: old.retiring,
            deleted: old.deleted.clone(),
            restored: old.restored.clone(),
            limits: limits::without_zeros(new.limits),
            idle_window: limits::caps_without_zeros(new.idle_window),
            created_by: old.created_by.clone(),
            created_at: old.created_at,
            updated_at: old.updated_at,
            last_used_at: old.last_used_at,
            revision: old.revision,
            ..new
        };
        if new != *old {
            self.check_key(Some(old), &new, now).await?;
        }
        Ok(new)
    }

    /// The key, if it is not deleted and as old as expected.
    pub(super) async fn living_key(
        &self,
        id: &KeyId,
        expected: Option<u64>,
    ) -> Result<ApiKey, OperatorError> {
        let key = self.key_at(id, expected).await?;
        if key.deleted.is_some() { Err(OperatorError::AlreadyDeleted) } else { Ok(key) }
    }

    async fn key_at(&self, id: &KeyId, expected: Option<u64>) -> Result<ApiKey, OperatorError> {
        let key = self.stores.keys.get(id).await?.ok_or(OperatorError::NotFound("API Key"))?;
        check_revision(expected, key.revision)?;
        Ok(key)
    }

    async fn change_key(
        &self,
        actor: &Actor,
        action: &'static str,
        id: &KeyId,
        expected: Option<u64>,
        change: impl Fn(ApiKey, Timestamp) -> Result<Changed, OperatorError> + Send + Sync,
    ) -> Result<Changed, OperatorError> {
        for _ in 0..ATTEMPTS {
            let old = self.key_at(id, expected).await?;
            let (new, secret) = change(old.clone(), self.clock.now())?;
            if let Some(key) = self.write_key(actor, action, old, new, expected).await? {
                return Ok((key, secret));
            }
        }
        Err(contended("the API key"))
    }

    /// Writes a change and notes it. `None`: another one came first, and it is to be decided anew.
    async fn write_key(
        &self,
        actor: &Actor,
        action: &'static str,
        old: ApiKey,
        new: ApiKey,
        expected: Option<u64>,
    ) -> Result<Option<ApiKey>, OperatorError> {
        let now = self.clock.now();
        let retiring = new.retiring.filter(|retiring| now < retiring.until);
        let mut new = ApiKey { retiring, updated_at: Some(now), ..new };
        let update = match self.stores.keys.update(&new).await {
            // A group went since it was looked at: who looks again refuses it.
            Err(StoreError::Missing { .. }) => return Ok(None),
            update => update?,
        };
        match update {
            Update::Done { revision } => {
                new.revision = revision;
                let (before, after) = (Some(snapshot::key(&old)), Some(snapshot::key(&new)));
                let (kind, id) = ("key", new.id.to_string());
                self.note(actor, Change { action, kind, id, before, after }).await;
                Ok(Some(self.with_user(new).await?))
            }
            Update::Absent => Err(OperatorError::NotFound("API Key")),
            Update::Stale { current } if expected.is_some() => {
                Err(OperatorError::Stale { current })
            }
            Update::Stale { .. } => Ok(None),
        }
    }
}

fn signature(actor: &Actor, at: Timestamp) -> Signature {
    Signature { at, by: actor.name.clone(), by_type: actor.kind.as_str().to_owned() }
}
