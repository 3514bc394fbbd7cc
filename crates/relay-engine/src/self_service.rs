//! What the owner of an API key may learn about it with the key itself. Free: no admission, no limits.

use std::sync::Arc;

use relay_domain::{
    ApiKey, LimitScope, LimitState, Limits, Period, PeriodKind, Permissions, Platform, Timestamp,
};
use relay_store::{RecordPage, RecordQuery, Stores, UsageScope, UsageTotals};

use crate::EngineError;
use crate::journey::Relay;

/// Whoever presented a key that may be used. All that they reach is about that key.
pub struct KeyOwner {
    key: Arc<ApiKey>,
    stores: Stores,
    now: Timestamp,
}

/// What a key has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnUsage {
    /// Since the beginning.
    pub total: UsageTotals,
    /// Today, in the operator's calendar.
    pub daily: UsageTotals,
    /// This month, in the operator's calendar.
    pub monthly: UsageTotals,
}

impl Relay {
    /// Recognises the owner of the first of the presented texts that is an API key.
    ///
    /// # Errors
    ///
    /// Those of [`authenticate`](Self::authenticate), and [`EngineError::Key`] if the key may not be used.
    pub async fn owner(
        &self,
        presented: impl Iterator<Item = &str>,
    ) -> Result<KeyOwner, EngineError> {
        let caller = self.authenticate(presented).await?;
        let (key, now) = (self.catch_up(caller).await?.key, self.now());
        let platform = match &key.permissions {
            Permissions::Only(platforms) => platforms.first().copied(),
            Permissions::All => None,
        };
        // No model has this name, so that all else about the key is checked.
        key.check(platform.unwrap_or(Platform::ClaudeConsole), "", now)?;
        Ok(KeyOwner { key, stores: self.core.directory.stores.clone(), now })
    }
}

impl KeyOwner {
    /// The key.
    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// When they asked.
    pub fn asked_at(&self) -> Timestamp {
        self.now
    }

    /// What the key has used.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn usage(&self) -> Result<OwnUsage, EngineError> {
        let (usage, scope) = (&self.stores.usage, UsageScope::Key(self.key.id.clone()));
        let calendar = usage.calendar();
        let today = calendar.period(PeriodKind::Day, self.now);
        let month = calendar.period(PeriodKind::Month, self.now);
        Ok(OwnUsage {
            total: usage.totals(&scope, Period::Total).await?,
            daily: usage.totals(&scope, today).await?,
            monthly: usage.totals(&scope, month).await?,
        })
    }

    /// How far the key's limits are used.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn standing(&self) -> Result<Vec<LimitState>, EngineError> {
        self.standing_of(&self.key.limits).await
    }

    /// How far `limits` would be used if the key had them.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn standing_of(&self, limits: &Limits) -> Result<Vec<LimitState>, EngineError> {
        let scope = LimitScope::Key(self.key.id.clone());
        Ok(self.stores.ledger.standing(&scope, limits, self.now).await?)
    }

    /// Requests of the key, whatever key `query` names.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn requests(&self, query: RecordQuery) -> Result<RecordPage, EngineError> {
        let own = RecordQuery { key: Some(self.key.id.clone()), ..query };
        Ok(self.stores.usage.search(&own).await?)
    }
}
