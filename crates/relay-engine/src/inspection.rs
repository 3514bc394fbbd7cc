//! What an operator asks of one account: whether it would be chosen, and whether it answers.

mod probe;
mod timed;

use relay_domain::{
    AccountBinding, AccountId, AccountKind, ApiKey, LimitKind, LimitScope, LimitState, NanoUsd,
    Timestamp,
};
use relay_scheduler::{Ask, Exclusion, Filter};
use relay_store::StoreError;

pub use self::probe::{ProbeReport, ProbeStep, ProbeVerdict, StepReport, Unreached};

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
        let verdict = |filter: Filter| {
            let exclusion = filter.exclusion(candidate, &ask).or_else(|| used_up(filter, &limits));
            FilterVerdict { filter, exclusion }
        };
        let verdicts = asked.map(verdict).collect();
        Ok(Some(Availability { verdicts, limits }))
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

/// Why the account does not pass `filter` by how its own limits stand, which is what its requests are weighed
/// against: one that has nothing left, beside what those in flight hold, lets nothing in.
fn used_up(filter: Filter, limits: &[LimitState]) -> Option<Exclusion> {
    let full = limits.iter().filter(|state| state.allowed <= state.used.saturating_add(state.held));
    let dollars = |nanos: u64| NanoUsd::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX));
    if filter == Filter::Quota {
        let is_spent = |state: &LimitState| state.allowed <= state.used;
        let money = full.filter(|state| state.limit.is_money());
        let longest = money
            .max_by_key(|state| (is_spent(state), state.resets_at.is_none(), state.resets_at))?;
        if !is_spent(longest) {
            // What is only held is given back at any moment.
            return Some(Exclusion::RoomHeld { limit: longest.limit });
        }
        Some(Exclusion::QuotaSpent {
            quota: dollars(longest.allowed),
            spent: dollars(longest.used),
            until: longest.resets_at,
        })
    } else if filter == Filter::Capacity {
        let mut slots = full.filter(|state| state.limit == LimitKind::Concurrency);
        let limit = u32::try_from(slots.next()?.allowed).unwrap_or(u32::MAX);
        Some(Exclusion::AtCapacity { limit })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_whose_limits_are_used_up_does_not_pass() {
        let end = Timestamp::from_millis(9);
        let state = |limit, used, held| LimitState {
            limit,
            used,
            held,
            allowed: 5,
            resets_at: Some(end).filter(|_| limit != LimitKind::Concurrency),
        };
        let quota = |spent, until| Exclusion::QuotaSpent {
            quota: NanoUsd::from_nanos(5),
            spent: NanoUsd::from_nanos(spent),
            until,
        };
        let held = Exclusion::RoomHeld { limit: LimitKind::WeeklyCost };
        let busy = Exclusion::AtCapacity { limit: 5 };
        for (state, of_quota, of_capacity) in [
            (state(LimitKind::DailyCost, 4, 0), None, None),
            (state(LimitKind::DailyCost, 6, 0), Some(quota(6, Some(end))), None),
            (state(LimitKind::WeeklyCost, 1, 4), Some(held), None),
            (state(LimitKind::Concurrency, 0, 4), None, None),
            (state(LimitKind::Concurrency, 0, 5), None, Some(busy)),
        ] {
            assert_eq!(used_up(Filter::Quota, &[state]), of_quota, "{state:?}");
            assert_eq!(used_up(Filter::Capacity, &[state]), of_capacity, "{state:?}");
            assert_eq!(used_up(Filter::Active, &[state]), None);
        }
    }
}
