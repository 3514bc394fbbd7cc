//! An API key in the file.

use std::time::Duration;

use relay_domain::key::Deletion;
use relay_domain::{
    AccountId, ApiKey, BudgetPolicy, Expiry, KeyDigest, KeyId, Limits, NanoUsd, PeriodStarts,
    Permissions, Platform, RateWindow, Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct KeyForm {
    id: KeyId,
    /// In hexadecimal.
    digest: String,
    name: String,
    description: String,
    is_active: bool,
    deleted: Option<(Timestamp, String)>,
    expiry: ExpiryForm,
    /// `None`: every platform.
    platforms: Option<Vec<Platform>>,
    restricted_models: Vec<String>,
    bound_claude_account: Option<AccountId>,
    bound_codex_account: Option<AccountId>,
    limits: LimitsForm,
    tags: Vec<String>,
    created_by: String,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum ExpiryForm {
    Never,
    At(Timestamp),
    AfterFirstUseMs(u64),
}

/// The limits of a key, a group or an account in the file.
#[derive(Deserialize, Serialize)]
pub(super) struct LimitsForm {
    concurrency: Option<u32>,
    window: Option<WindowForm>,
    daily_cost: Option<NanoUsd>,
    weekly_cost: Option<NanoUsd>,
    monthly_cost: Option<NanoUsd>,
    total_cost: Option<NanoUsd>,
    weekly_claude_cost: Option<NanoUsd>,
    day_minute: u16,
    week_day: u8,
    week_hour: u8,
    is_hard: bool,
}

#[derive(Deserialize, Serialize)]
struct WindowForm {
    length_ms: u64,
    requests: Option<u64>,
    tokens: Option<u64>,
    cost: Option<NanoUsd>,
}

impl From<ApiKey> for KeyForm {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            id,
            digest,
            name,
            description,
            is_active,
            deleted,
            expiry,
            permissions,
            restricted_models,
            bound_claude_account,
            bound_codex_account,
            limits,
            tags,
            created_by,
            created_at,
            updated_at,
            last_used_at,
        } = key;
        Self {
            id,
            digest: digest.to_hex(),
            name,
            description,
            is_active,
            deleted: deleted.map(|Deletion { at, by }| (at, by)),
            expiry: match expiry {
                Expiry::Never => ExpiryForm::Never,
                Expiry::At(at) => ExpiryForm::At(at),
                Expiry::AfterFirstUse(length) => ExpiryForm::AfterFirstUseMs(millis(length)),
            },
            platforms: match permissions {
                Permissions::All => None,
                Permissions::Only(platforms) => Some(platforms),
            },
            restricted_models,
            bound_claude_account,
            bound_codex_account,
            limits: limits.into(),
            tags,
            created_by,
            created_at,
            updated_at,
            last_used_at,
        }
    }
}

impl KeyForm {
    /// The key, if its digest is one.
    pub(super) fn into_key(self) -> Option<ApiKey> {
        let digest = KeyDigest::from_hex(&self.digest).ok()?;
        Some(ApiKey {
            id: self.id,
            digest,
            name: self.name,
            description: self.description,
            is_active: self.is_active,
            deleted: self.deleted.map(|(at, by)| Deletion { at, by }),
            expiry: match self.expiry {
                ExpiryForm::Never => Expiry::Never,
                ExpiryForm::At(at) => Expiry::At(at),
                ExpiryForm::AfterFirstUseMs(length) => {
                    Expiry::AfterFirstUse(Duration::from_millis(length))
                }
            },
            permissions: self.platforms.map_or(Permissions::All, Permissions::Only),
            restricted_models: self.restricted_models,
            bound_claude_account: self.bound_claude_account,
            bound_codex_account: self.bound_codex_account,
            limits: self.limits.into(),
            tags: self.tags,
            created_by: self.created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_used_at: self.last_used_at,
        })
    }
}

impl From<Limits> for LimitsForm {
    fn from(limits: Limits) -> Self {
        let Limits {
            concurrency,
            window,
            daily_cost,
            weekly_cost,
            monthly_cost,
            total_cost,
            weekly_claude_cost,
            starts: PeriodStarts { day_minute, week_day, week_hour },
            budget_policy,
        } = limits;
        let window = window.map(|RateWindow { length, requests, tokens, cost }| WindowForm {
            length_ms: millis(length),
            requests,
            tokens,
            cost,
        });
        Self {
            concurrency,
            window,
            daily_cost,
            weekly_cost,
            monthly_cost,
            total_cost,
            weekly_claude_cost,
            day_minute,
            week_day,
            week_hour,
            is_hard: budget_policy == BudgetPolicy::Hard,
        }
    }
}

impl From<LimitsForm> for Limits {
    fn from(form: LimitsForm) -> Self {
        let LimitsForm { day_minute, week_day, week_hour, .. } = form;
        let window = form.window.map(|WindowForm { length_ms, requests, tokens, cost }| {
            RateWindow { length: Duration::from_millis(length_ms), requests, tokens, cost }
        });
        Self {
            concurrency: form.concurrency,
            window,
            daily_cost: form.daily_cost,
            weekly_cost: form.weekly_cost,
            monthly_cost: form.monthly_cost,
            total_cost: form.total_cost,
            weekly_claude_cost: form.weekly_claude_cost,
            starts: PeriodStarts { day_minute, week_day, week_hour },
            budget_policy: if form.is_hard { BudgetPolicy::Hard } else { BudgetPolicy::Soft },
        }
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}
