//! How far an API key's limits are used, and starting them anew.

use relay_domain::{Actor, ApiKey, GroupId, KeyId, LimitScope, LimitState};

use crate::operator::{Operator, OperatorError};

/// How far the limits are used that hold for an API key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyStanding {
    /// Its own.
    pub key: Vec<LimitState>,
    /// Those of its group, if it has one.
    pub group: Option<(GroupId, Vec<LimitState>)>,
}

impl Operator {
    /// How far the limits of a key, deleted or not, and of its group are used.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], or the store's.
    pub async fn key_standing(&self, id: &KeyId) -> Result<KeyStanding, OperatorError> {
        let key = self.key(id).await?.ok_or(OperatorError::NotFound("API Key"))?;
        self.standing_of(&key).await
    }

    /// Starts every limit of a key's own anew, and says how they stand then. What requests in flight hold
    /// still weighs on them; statistics are not touched. `expected`: only if its revision still is that.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NotFound`], [`OperatorError::AlreadyDeleted`], [`OperatorError::Stale`], or the store's.
    pub async fn restart_key_limits(
        &self,
        actor: &Actor,
        id: &KeyId,
        expected: Option<u64>,
    ) -> Result<KeyStanding, OperatorError> {
        let key = self.living_key(id, expected).await?;
        self.restart_limits(actor, &LimitScope::Key(key.id.clone()), &key.limits).await?;
        self.standing_of(&key).await
    }

    async fn standing_of(&self, key: &ApiKey) -> Result<KeyStanding, OperatorError> {
        let own = self.standing(&LimitScope::Key(key.id.clone()), &key.limits).await?;
        let group = match &key.group {
            Some(id) => self.stores.groups.get(id).await?,
            None => None,
        };
        let group = match group {
            Some(group) => {
                let scope = LimitScope::Group(group.id.clone());
                Some((group.id, self.standing(&scope, &group.limits).await?))
            }
            None => None,
        };
        Ok(KeyStanding { key: own, group })
    }
}
