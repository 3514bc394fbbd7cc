//! What an operator asks of one account: whether it would be chosen, and whether it answers.

mod probe;
mod timed;

use relay_domain::{
    AccountBinding, AccountId, AccountKind, ApiKey, LimitScope, LimitState, Timestamp,
};
use relay_scheduler::{Ask, Exclusion, Filter};
use relay_store::StoreError;

pub use self::probe::{ProbeReport, ProbeStep, ProbeVerdict, StepReport};

use crate::Engine;

/// What each filter of the scheduler says of one account at one moment.
#[derive(Clone, Debug)]
pub struct Availability {
    /// Every filter that was asked, in the order in which they count.
    pub verdicts: Vec<FilterVerdict>,
    /// How far the account's own limits are used.
    pub limits: Vec<LimitState>,
}

/// What one filter says.
#[derive(Clone, Copy, Debug)]
pub struct FilterVerdict {
    /// Which.
    pub filter: Filter,
    /// Why the account does not pass; `None` if it does.
    pub exclusion: Option<Exclusion>,
}

impl Availability {
    /// The first reason why the account is not chosen; `None` if it may be.
    pub fn obstacle(&self) -> Option<&Exclusion> {
        self.verdicts.iter().find_map(|verdict| verdict.exclusion.as_ref())
    }

    /// When the last obstacle that ends by itself has ended; `None` if there is none, or one that does not.
    pub fn until(&self) -> Option<Timestamp> {
        let ends: Option<Vec<Timestamp>> = self
            .verdicts
            .iter()
            .filter_map(|verdict| verdict.exclusion.as_ref())
            .map(Exclusion::until)
            .collect();
        ends?.into_iter().max()
    }
}

impl Engine {
    /// What the scheduler says of the account with this id, for a request for `model` (for any model, if
    /// none is named) from `key` (from one that may use it, if none is named). `None`: there is no such
    /// account.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn availability(
        &self,
        id: &AccountId,
        model: Option<&str>,
        key: Option<&ApiKey>,
    ) -> Result<Option<Availability>, StoreError> {
        let core = self.core();
        let stores = &core.directory.stores;
        core.directory.refresh_roster(stores.ledger.version().await?).await?;
        let roster = core.directory.roster();
        let healths = roster.healths();
        let candidates = roster.candidates(&healths);
        let found =
            roster.entries.iter().zip(&candidates).find(|(entry, _)| entry.account.id == *id);
        let Some((entry, candidate)) = found else { return Ok(None) };
        let (account, now) = (&entry.account, core.clock.now());
        let limits = match account.limits {
            limits if limits.are_none() => Vec::new(),
            limits => {
                let scope = LimitScope::Account(id.clone());
                stores.ledger.standing(&scope, &limits, now).await?
            }
        };
        let binding = match (key, account.kind) {
            (Some(key), _) => key.binding(account.platform).clone(),
            (None, AccountKind::Shared) => AccountBinding::Pool,
            (None, AccountKind::Dedicated) => AccountBinding::Account(id.clone()),
        };
        let ask = Ask {
            platform: account.platform,
            model: model.unwrap_or_default(),
            now,
            day_ends: None,
            tried: &[],
            binding: &binding,
            restricted_models: key.map_or(&[], |key| key.restricted_models.in_force()),
            sticky: None,
        };
        let asked = Filter::ALL.into_iter().filter(|filter| {
            *filter != Filter::Tried && (*filter != Filter::Model || model.is_some())
        });
        let verdict =
            |filter: Filter| FilterVerdict { filter, exclusion: filter.exclusion(candidate, &ask) };
        Ok(Some(Availability { verdicts: asked.map(verdict).collect(), limits }))
    }

    /// Makes one free call to the account with this id, the way its requests go, on a new connection, and
    /// says how far it came and how long each step took. What it learns changes nothing about the account.
    /// `None`: there is no such account.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn probe(&self, id: &AccountId) -> Result<Option<ProbeReport>, StoreError> {
        let core = self.core();
        let version = core.directory.stores.ledger.version().await?;
        core.directory.refresh_roster(version).await?;
        let roster = core.directory.roster();
        let Some(entry) = roster.entries.iter().find(|entry| entry.account.id == *id) else {
            return Ok(None);
        };
        Ok(Some(probe::probe(entry, &core.config).await))
    }
}
