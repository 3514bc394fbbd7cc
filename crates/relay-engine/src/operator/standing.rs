//! How far limits are used, and starting them anew.

use relay_domain::{
    Account, Actor, LimitKind, LimitScope, LimitState, Limits, NanoUsd, RateWindow,
};
use serde_json::{Value, json};

use super::audit::Change;
use super::{Operator, OperatorError};

impl Operator {
    /// How far each of `limits` of `scope` is used now.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn standing(
        &self,
        scope: &LimitScope,
        limits: &Limits,
    ) -> Result<Vec<LimitState>, OperatorError> {
        if limits.are_none() {
            return Ok(Vec::new());
        }
        Ok(self.stores.ledger.standing(scope, limits, self.clock.now()).await?)
    }

    /// Starts every limit of `scope` anew. What requests in flight hold still weighs, and statistics stay.
    /// Whether there is such a thing, and as it is expected, the caller has looked.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(super) async fn restart_limits(
        &self,
        actor: &Actor,
        scope: &LimitScope,
        limits: &Limits,
    ) -> Result<(), OperatorError> {
        let all = every_amount(limits);
        let before = self.standing(scope, &all).await?;
        self.stores.ledger.restart(scope, self.clock.now()).await?;
        let after = self.standing(scope, &all).await?;
        let (action, kind, id) = match scope {
            LimitScope::Key(id) => ("key.reset-limits", "key", id.to_string()),
            LimitScope::Group(id) => ("group.reset-limits", "group", id.to_string()),
            LimitScope::Account(id) => ("account.reset-limits", "account", id.to_string()),
        };
        let (before, after) = (Some(shown(&before)), Some(shown(&after)));
        self.note(actor, Change { action, kind, id, before, after }).await;
        Ok(())
    }

    /// What each of `accounts` has spent, in one trip.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn spending(&self, accounts: &[Account]) -> Result<Vec<Spending>, OperatorError> {
        // What was counted before a limit was set counts for it too: any limit tells what is spent.
        let any = Some(NanoUsd::from_nanos(i64::MAX));
        let scopes = accounts.iter().map(|account| {
            let limits = Limits { daily_cost: account.limits.daily_cost.or(any), ..account.limits };
            (LimitScope::Account(account.id.clone()), limits)
        });
        let scopes: Vec<_> = scopes.collect();
        let standings = self.stores.ledger.standings(&scopes, self.clock.now()).await?;
        Ok(standings.iter().map(|states| Spending::of(states)).collect())
    }
}

/// What an account has spent of its own limits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Spending {
    /// On the present day of its quota, whether or not it has one.
    pub of_day: NanoUsd,
    /// The limit of money that is used up; of several, the one that keeps the account out for longest. It lets
    /// nothing in until it starts anew or is raised.
    pub used_up: Option<LimitState>,
}

impl Spending {
    fn of(states: &[LimitState]) -> Self {
        let day = states.iter().find(|state| state.limit == LimitKind::DailyCost);
        let used = day.map_or(0, |state| i64::try_from(state.used).unwrap_or(i64::MAX));
        let spent =
            states.iter().filter(|state| state.limit.is_money() && state.allowed <= state.used);
        let longest = spent.max_by_key(|state| (state.resets_at.is_none(), state.resets_at));
        Self { of_day: NanoUsd::from_nanos(used), used_up: longest.copied() }
    }
}

/// Limits that tell all that is counted for a scope and starts anew, whether or not it is limited.
fn every_amount(limits: &Limits) -> Limits {
    let any = Some(NanoUsd::from_nanos(i64::MAX));
    let window = limits.window.map(|window| RateWindow {
        requests: Some(u64::MAX),
        tokens: Some(u64::MAX),
        cost: any,
        ..window
    });
    Limits {
        concurrency: None,
        window,
        daily_cost: any,
        weekly_cost: any,
        monthly_cost: any,
        total_cost: any,
        weekly_claude_cost: any,
        ..*limits
    }
}

/// What the trail shows of limits: what is used of each, money in dollars.
fn shown(states: &[LimitState]) -> Value {
    let used = states.iter().map(|LimitState { limit, used, .. }| {
        let nanos = i64::try_from(*used).unwrap_or(i64::MAX);
        let dollars = || json!(NanoUsd::from_nanos(nanos).to_string());
        (limit.name().to_owned(), if limit.is_money() { dollars() } else { json!(used) })
    });
    Value::Object(used.collect())
}

#[cfg(test)]
mod tests;
