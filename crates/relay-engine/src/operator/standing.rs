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
    /// Whether there is such a thing, the caller has looked.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn restart_limits(
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

    /// What each of `accounts` has cost on the present day of its quota, whether or not it has one.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn cost_of_day(&self, accounts: &[Account]) -> Result<Vec<NanoUsd>, OperatorError> {
        // What was counted before a limit was set counts for it too: any limit tells what is spent.
        let any = Some(NanoUsd::from_nanos(i64::MAX));
        let scopes = accounts.iter().map(|account| {
            let limits =
                Limits { daily_cost: any, starts: account.limits.starts, ..Limits::default() };
            (LimitScope::Account(account.id.clone()), limits)
        });
        let scopes: Vec<_> = scopes.collect();
        let standings = self.stores.ledger.standings(&scopes, self.clock.now()).await?;
        let costs = standings.iter().map(|states| {
            let day = states.iter().find(|state| state.limit == LimitKind::DailyCost);
            let used = day.map_or(0, |state| i64::try_from(state.used).unwrap_or(i64::MAX));
            NanoUsd::from_nanos(used)
        });
        Ok(costs.collect())
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
