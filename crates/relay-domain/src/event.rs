//! What an operator should hear of: budgets that fill up, models without a price, accounts that rest.

use serde::{Deserialize, Serialize};

use crate::{AccountId, KeyId, LimitScope, LimitState, ModelName, PenaltyReason, Timestamp};

/// Something that happened, and when.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum EventKind {
    /// A budget has passed one of its thresholds. Told once for each threshold of each of its periods.
    BudgetThreshold {
        /// Whose budget.
        scope: LimitScope,
        /// The threshold, in percent of the budget.
        percent: u8,
        /// Which budget, what is used of it, how much there is and when it starts anew.
        state: LimitState,
    },
    /// A model without a price was asked for or served. Told once for each model in the life of a process.
    ModelUnpriced {
        /// The model.
        model: ModelName,
        /// Whose request it was, the first time.
        key: KeyId,
        /// The account that served it; `None`: it was refused before one was tried.
        account: Option<AccountId>,
        /// What became of that request's cost.
        treatment: UnpricedTreatment,
    },
    /// An account rests, or one of its models does, and comes back by itself.
    AccountCooled {
        /// The account.
        account: AccountId,
        /// The model that alone rests; `None`: the whole account does.
        model: Option<ModelName>,
        /// Why.
        reason: PenaltyReason,
        /// When the rest ends.
        until: Option<Timestamp>,
    },
    /// The provider refuses an account: somebody has to look at it.
    AccountBlocked {
        /// The account.
        account: AccountId,
        /// Why.
        reason: PenaltyReason,
        /// When it is tried again; `None`: when an operator says so.
        until: Option<Timestamp>,
    },
    /// An account that had a penalty has answered, or was reset.
    AccountRecovered {
        /// The account.
        account: AccountId,
        /// What it had suffered from.
        reason: PenaltyReason,
    },
}

/// What becomes of the cost of a request whose model has no price.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnpricedTreatment {
    /// Nobody budgets it: it is recorded as unknown.
    Unknown,
    /// The budgets are charged at the fallback rate; the cost itself is recorded as unknown.
    Fallback,
    /// The request was refused, because a budget could not be kept.
    Refused,
}

impl EventKind {
    /// A stable name for endpoints, webhooks and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BudgetThreshold { .. } => "budget_threshold",
            Self::ModelUnpriced { .. } => "model_unpriced",
            Self::AccountCooled { .. } => "account_cooled",
            Self::AccountBlocked { .. } => "account_blocked",
            Self::AccountRecovered { .. } => "account_recovered",
        }
    }

    /// The account that it is about, if it is about one.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::AccountCooled { account, .. }
            | Self::AccountBlocked { account, .. }
            | Self::AccountRecovered { account, .. }
            | Self::BudgetThreshold { scope: LimitScope::Account(account), .. } => Some(account),
            Self::ModelUnpriced { account, .. } => account.as_ref(),
            Self::BudgetThreshold { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LimitKind;

    #[test]
    fn an_event_is_written_under_its_name_and_reads_back() {
        let account = AccountId::try_from("a").unwrap();
        let (key, model) = (KeyId::try_from("k").unwrap(), ModelName::try_from("m").unwrap());
        let state = LimitState {
            limit: LimitKind::DailyCost,
            used: 8,
            held: 1,
            allowed: 10,
            resets_at: Some(Timestamp::from_millis(9)),
        };
        let reason = PenaltyReason::RateLimited;
        let kinds = [
            EventKind::BudgetThreshold { scope: LimitScope::Key(key.clone()), percent: 80, state },
            EventKind::ModelUnpriced {
                model: model.clone(),
                key,
                account: None,
                treatment: UnpricedTreatment::Refused,
            },
            EventKind::AccountCooled {
                account: account.clone(),
                model: Some(model),
                reason,
                until: None,
            },
            EventKind::AccountBlocked { account: account.clone(), reason, until: None },
            EventKind::AccountRecovered { account, reason },
        ];
        for kind in kinds {
            let name = kind.name();
            let event = Event { at: Timestamp::from_millis(7), kind };
            let json = serde_json::to_string(&event).unwrap();
            assert!(json.contains(&format!(r#""type":"{name}""#)), "{json}");
            assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event, "{name}");
        }
    }
}
