//! An API key's settings.

use std::time::Duration;

use relay_domain::key::Deletion;
use relay_domain::{
    AccountId, ApiKey, BudgetPolicy, Expiry, KeyDigest, KeyId, Limits, NanoUsd, PeriodStarts,
    Permissions, Platform, RateWindow, Timestamp,
};
use serde::{Deserialize, Serialize};

/// What an operator may change of a key.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct KeyForm {
    name: String,
    description: String,
    is_active: bool,
    deleted: Option<DeletionForm>,
    pub(crate) expiry: ExpiryForm,
    /// `None`: every platform.
    permissions: Option<Vec<Platform>>,
    restricted_models: Vec<String>,
    bound_claude_account: Option<AccountId>,
    bound_codex_account: Option<AccountId>,
    limits: LimitsForm,
    tags: Vec<String>,
    created_by: String,
    updated_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, Serialize)]
struct DeletionForm {
    at: Timestamp,
    by: String,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExpiryForm {
    Never,
    At(Timestamp),
    AfterFirstUseMs(u64),
}

#[derive(Debug, Deserialize, Serialize)]
struct LimitsForm {
    concurrency: Option<u32>,
    window: Option<WindowForm>,
    daily_cost: Option<NanoUsd>,
    #[serde(default)]
    weekly_cost: Option<NanoUsd>,
    #[serde(default)]
    monthly_cost: Option<NanoUsd>,
    total_cost: Option<NanoUsd>,
    weekly_claude_cost: Option<NanoUsd>,
    #[serde(default)]
    starts: StartsForm,
    hard_budget: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct StartsForm {
    day_minute: u16,
    week_day: u8,
    week_hour: u8,
}

impl Default for StartsForm {
    fn default() -> Self {
        Self::of(PeriodStarts::default())
    }
}

impl StartsForm {
    fn of(PeriodStarts { day_minute, week_day, week_hour }: PeriodStarts) -> Self {
        Self { day_minute, week_day, week_hour }
    }

    fn into_starts(self) -> PeriodStarts {
        let Self { day_minute, week_day, week_hour } = self;
        PeriodStarts { day_minute, week_day, week_hour }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct WindowForm {
    length_ms: u64,
    requests: Option<u64>,
    tokens: Option<u64>,
    cost: Option<NanoUsd>,
}

/// The columns of a key that have no place in its settings.
pub(crate) struct KeyColumns {
    pub(crate) id: KeyId,
    pub(crate) digest: KeyDigest,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
}

impl KeyForm {
    /// The form of a key's settings.
    pub(crate) fn of(key: &ApiKey) -> Self {
        Self {
            name: key.name.clone(),
            description: key.description.clone(),
            is_active: key.is_active,
            deleted: key.deleted.clone().map(|Deletion { at, by }| DeletionForm { at, by }),
            expiry: ExpiryForm::of(key.expiry),
            permissions: match &key.permissions {
                Permissions::All => None,
                Permissions::Only(platforms) => Some(platforms.clone()),
            },
            restricted_models: key.restricted_models.clone(),
            bound_claude_account: key.bound_claude_account.clone(),
            bound_codex_account: key.bound_codex_account.clone(),
            limits: LimitsForm::of(&key.limits),
            tags: key.tags.clone(),
            created_by: key.created_by.clone(),
            updated_at: key.updated_at,
        }
    }

    /// The key that has these settings and columns.
    pub(crate) fn into_key(self, columns: KeyColumns) -> ApiKey {
        let KeyColumns { id, digest, created_at, last_used_at } = columns;
        ApiKey {
            id,
            digest,
            name: self.name,
            description: self.description,
            is_active: self.is_active,
            deleted: self.deleted.map(|DeletionForm { at, by }| Deletion { at, by }),
            expiry: self.expiry.into_expiry(),
            permissions: self.permissions.map_or(Permissions::All, Permissions::Only),
            restricted_models: self.restricted_models,
            bound_claude_account: self.bound_claude_account,
            bound_codex_account: self.bound_codex_account,
            limits: self.limits.into_limits(),
            tags: self.tags,
            created_by: self.created_by,
            created_at,
            updated_at: self.updated_at,
            last_used_at,
        }
    }
}

impl ExpiryForm {
    /// The form of an end.
    pub(crate) fn of(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Never => Self::Never,
            Expiry::At(at) => Self::At(at),
            Expiry::AfterFirstUse(length) => Self::AfterFirstUseMs(length_ms(length)),
        }
    }

    fn into_expiry(self) -> Expiry {
        match self {
            Self::Never => Expiry::Never,
            Self::At(at) => Expiry::At(at),
            Self::AfterFirstUseMs(length) => Expiry::AfterFirstUse(Duration::from_millis(length)),
        }
    }
}

impl LimitsForm {
    fn of(limits: &Limits) -> Self {
        let window = |window: RateWindow| WindowForm {
            length_ms: length_ms(window.length),
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        };
        Self {
            concurrency: limits.concurrency,
            window: limits.window.map(window),
            daily_cost: limits.daily_cost,
            weekly_cost: limits.weekly_cost,
            monthly_cost: limits.monthly_cost,
            starts: StartsForm::of(limits.starts),
            total_cost: limits.total_cost,
            weekly_claude_cost: limits.weekly_claude_cost,
            hard_budget: limits.budget_policy == BudgetPolicy::Hard,
        }
    }

    fn into_limits(self) -> Limits {
        let window = |window: WindowForm| RateWindow {
            length: Duration::from_millis(window.length_ms),
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        };
        Limits {
            concurrency: self.concurrency,
            window: self.window.map(window),
            daily_cost: self.daily_cost,
            weekly_cost: self.weekly_cost,
            monthly_cost: self.monthly_cost,
            starts: self.starts.into_starts(),
            total_cost: self.total_cost,
            weekly_claude_cost: self.weekly_claude_cost,
            budget_policy: if self.hard_budget { BudgetPolicy::Hard } else { BudgetPolicy::Soft },
        }
    }
}

fn length_ms(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{key, rich_key};

    use super::*;

    #[test]
    fn the_stored_form_of_a_key_stays_as_it_is() {
        let stored = concat!(
            r#"{"name":"第一 key 🔑","description":"two\nlines, \"quoted\"","is_active":false,"#,
            r#""deleted":{"at":2208961800007,"by":"someone else"},"expiry":{"at":2209048200123},"#,
            r#""permissions":["codex","claude-console"],"#,
            r#""restricted_models":["claude-opus-4-1","模型"],"#,
            r#""bound_claude_account":"account-one","bound_codex_account":"account-two","#,
            r#""limits":{"concurrency":10,"window":{"length_ms":5400000,"requests":100,"#,
            r#""tokens":1000000,"cost":1500000000},"daily_cost":2750000000,"#,
            r#""weekly_cost":7000000000,"monthly_cost":30000000000,"#,
            r#""total_cost":100000000001,"weekly_claude_cost":10000000000,"#,
            r#""starts":{"day_minute":0,"week_day":3,"week_hour":10},"hard_budget":true},"#,
            r#""tags":["team a","标签"],"created_by":"operator","updated_at":2208961800005}"#,
        );
        let form = KeyForm::of(&rich_key("k", 1));
        assert_eq!(serde_json::to_string(&form).unwrap(), stored);
    }

    #[test]
    fn the_stored_forms_of_an_end_stay_as_they_are() {
        let at = Timestamp::from_millis(7);
        for (expiry, stored) in [
            (Expiry::Never, r#""never""#),
            (Expiry::At(at), r#"{"at":7}"#),
            (Expiry::AfterFirstUse(Duration::from_secs(1)), r#"{"after_first_use_ms":1000}"#),
        ] {
            let form = ExpiryForm::of(expiry);
            assert_eq!(serde_json::to_string(&form).unwrap(), stored);
            let read: ExpiryForm = serde_json::from_str(stored).unwrap();
            assert_eq!(read.into_expiry(), expiry);
        }
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let form = serde_json::to_string(&KeyForm::of(&key("k", 1))).unwrap();
        let later = form.replacen('{', r#"{"new_field":[1],"#, 1);
        let read: KeyForm = serde_json::from_str(&later).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), form);
    }
}
