//! What an operator should hear of: budgets that fill up, models without a price, accounts that rest.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, GroupId, InvalidId, KeyId, LimitScope, LimitState, ModelName, PenaltyReason,
    Timestamp,
};

/// Names one event, over all instances. Sorts by time, and what one process tells at one moment in the order
/// in which it told it.
///
/// 48 bits of milliseconds, 16 bits of the process's own count and 64 random bits, printed as `evt_` and
/// 32 hex digits. As texts they sort alike.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(u128);

impl EventId {
    /// Makes an id from the moment of the event, the process's own count and random bits.
    #[must_use]
    pub fn new(at: Timestamp, count: u16, random: u64) -> Self {
        Self((u128::from(at.as_millis()) << 80) | (u128::from(count) << 64) | u128::from(random))
    }

    /// The smallest id of an event at this moment: what came before has smaller ones.
    #[must_use]
    pub fn first_at(at: Timestamp) -> Self {
        Self::new(at, 0, 0)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{:032x}", self.0)
    }
}

impl TryFrom<&str> for EventId {
    type Error = InvalidId;

    fn try_from(raw: &str) -> Result<Self, InvalidId> {
        const NOT_HEX: InvalidId = InvalidId::NotHex { digits: 32 };
        let digits = raw.strip_prefix("evt_").ok_or(NOT_HEX)?;
        if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NOT_HEX);
        }
        u128::from_str_radix(digits, 16).map(Self).map_err(|_| NOT_HEX)
    }
}

impl TryFrom<String> for EventId {
    type Error = InvalidId;

    fn try_from(raw: String) -> Result<Self, InvalidId> {
        Self::try_from(raw.as_str())
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> Self {
        id.to_string()
    }
}

/// An event under its name, as it is kept and told outside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RecordedEvent {
    /// Its name.
    pub id: EventId,
    /// What happened, and when.
    pub event: Event,
}

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
    /// A model without a price was asked for or served. Told once a day for each model, over all instances.
    ModelUnpriced {
        /// The model.
        model: ModelName,
        /// Whose request it was, the first time on that day.
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
    /// An operator tries the webhooks. It is told to them alone and not kept.
    WebhookTest,
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
    /// The names of all that is kept.
    pub const NAMES: [&'static str; 5] = [
        "budget_threshold",
        "model_unpriced",
        "account_cooled",
        "account_blocked",
        "account_recovered",
    ];

    /// A stable name for endpoints, webhooks and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BudgetThreshold { .. } => "budget_threshold",
            Self::ModelUnpriced { .. } => "model_unpriced",
            Self::AccountCooled { .. } => "account_cooled",
            Self::AccountBlocked { .. } => "account_blocked",
            Self::AccountRecovered { .. } => "account_recovered",
            Self::WebhookTest => "webhook_test",
        }
    }

    /// The model that it is told about once a day; `None`: it is told whenever it happens.
    pub fn model_of_the_day(&self) -> Option<&ModelName> {
        match self {
            Self::ModelUnpriced { model, .. } => Some(model),
            Self::BudgetThreshold { .. }
            | Self::AccountCooled { .. }
            | Self::AccountBlocked { .. }
            | Self::AccountRecovered { .. }
            | Self::WebhookTest => None,
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
            Self::BudgetThreshold { .. } | Self::WebhookTest => None,
        }
    }

    /// The API key that it is about, if it is about one.
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::BudgetThreshold { scope: LimitScope::Key(key), .. }
            | Self::ModelUnpriced { key, .. } => Some(key),
            Self::BudgetThreshold { .. }
            | Self::AccountCooled { .. }
            | Self::AccountBlocked { .. }
            | Self::AccountRecovered { .. }
            | Self::WebhookTest => None,
        }
    }

    /// The group of keys that it is about, if it is about one.
    pub fn group(&self) -> Option<&GroupId> {
        match self {
            Self::BudgetThreshold { scope: LimitScope::Group(group), .. } => Some(group),
            Self::BudgetThreshold { .. }
            | Self::ModelUnpriced { .. }
            | Self::AccountCooled { .. }
            | Self::AccountBlocked { .. }
            | Self::AccountRecovered { .. }
            | Self::WebhookTest => None,
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
            assert!(EventKind::NAMES.contains(&name));
            let event = Event { at: Timestamp::from_millis(7), kind };
            let json = serde_json::to_string(&event).unwrap();
            assert!(json.contains(&format!(r#""type":"{name}""#)), "{json}");
            assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event, "{name}");
        }
    }
    #[test]
    fn ids_sort_by_time_and_order_also_as_texts() {
        let id =
            |millis, count, random| EventId::new(Timestamp::from_millis(millis), count, random);
        let ids = [id(1, u16::MAX, u64::MAX), id(2, 0, 9), id(2, 1, 0), id(1 << 41, 0, 0)];
        let texts = ids.map(|id| id.to_string());
        assert!(ids.is_sorted() && texts.is_sorted(), "{texts:?}");
        for (id, text) in ids.iter().zip(&texts) {
            assert_eq!(EventId::try_from(text.as_str()), Ok(*id));
        }
        assert!(EventId::first_at(Timestamp::from_millis(2)) < ids[1]);
        for bad in
            ["evt_", "req_00000000000000000000000000000001", "evt_+0000000000000000000000000000001"]
        {
            assert!(EventId::try_from(bad).is_err(), "{bad}");
        }
    }
}
