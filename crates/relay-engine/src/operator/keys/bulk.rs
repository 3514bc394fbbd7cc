//! Many API keys at once.

use relay_domain::{Actor, ApiKey, KeyId};
use secrecy::SecretString;

use super::NewKey;
use super::change::KeyEdit;
use crate::operator::{Operator, OperatorError};

/// How many keys may be made or changed at once.
pub const BULK_AT_ONCE: usize = 1_000;

/// What a change would make of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPreview {
    /// As it is. Its revision is what the change is then applied to.
    pub before: ApiKey,
    /// As it would be.
    pub after: ApiKey,
}

impl Operator {
    /// Makes `count` keys that differ in their names: the template's, followed by a number from 1 on.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] with the first field that is wrong, before any key is made unless a group
    /// that they need is removed meanwhile; or the store's, after which some of them may
    /// have been.
    pub async fn create_keys(
        &self,
        actor: &Actor,
        template: NewKey,
        count: usize,
    ) -> Result<Vec<(ApiKey, SecretString)>, OperatorError> {
        if !(1..=BULK_AT_ONCE).contains(&count) {
            let why = "must be a number from 1 to 1000";
            return Err(OperatorError::Invalid { field: "count", why });
        }
        let stem = template.name.clone().unwrap_or_else(|| "API Key".to_owned());
        let mut made = Vec::with_capacity(count);
        for number in 1..=count {
            let name = Some(format!("{stem} {number}"));
            made.push(self.mint_key(NewKey { name, ..template.clone() }));
        }
        // They are all alike but for their names, of which the last is the longest.
        if let Some((key, _)) = made.last() {
            self.check_key(None, key, self.clock.now()).await?;
        }
        let keys: Vec<ApiKey> = made.iter().map(|(key, _)| key.clone()).collect();
        if let Err(error) = self.stores.keys.create_many(&keys).await {
            return Err(match keys.first() {
                Some(key) => self.why_not_made(key, error).await,
                None => error.into(),
            });
        }
        for key in &keys {
            self.note_new_key(actor, key).await;
        }
        let mut shown = Vec::with_capacity(made.len());
        for (key, secret) in made {
            shown.push((self.with_user(key).await?, secret));
        }
        Ok(shown)
    }

    /// What `edit` would make of each of these keys, or why it could not be made. Writes nothing.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if there are too many, or the store's.
    pub async fn preview_keys(
        &self,
        ids: &[KeyId],
        edit: &KeyEdit<'_>,
    ) -> Result<Vec<(KeyId, Result<KeyPreview, OperatorError>)>, OperatorError> {
        check_count(ids.len())?;
        let mut previews = Vec::with_capacity(ids.len());
        for id in ids {
            let preview = self.preview_key(id, edit).await;
            if let Err(OperatorError::Store(error)) = preview {
                return Err(error.into());
            }
            previews.push((id.clone(), preview));
        }
        Ok(previews)
    }

    /// Does to each of these keys what was previewed, if it still has the revision that it had then. Each
    /// stands for itself: what fails for one is told for that one, and does not stop the others.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if there are too many.
    pub async fn update_keys(
        &self,
        actor: &Actor,
        keys: &[(KeyId, Option<u64>)],
        edit: &KeyEdit<'_>,
    ) -> Result<Vec<(KeyId, Result<ApiKey, OperatorError>)>, OperatorError> {
        check_count(keys.len())?;
        let mut outcomes = Vec::with_capacity(keys.len());
        for (id, revision) in keys {
            outcomes.push((id.clone(), self.update_key(actor, id, *revision, edit).await));
        }
        Ok(outcomes)
    }

    async fn preview_key(
        &self,
        id: &KeyId,
        edit: &KeyEdit<'_>,
    ) -> Result<KeyPreview, OperatorError> {
        let before = self.living_key(id, None).await?;
        let after = self.edited(&before, edit).await?;
        Ok(KeyPreview { before, after })
    }
}

fn check_count(count: usize) -> Result<(), OperatorError> {
    let why = "must be at most 1000";
    let fits = count <= BULK_AT_ONCE;
    fits.then_some(()).ok_or(OperatorError::Invalid { field: "ids", why })
}
