//! Putting an operator's fields onto a key: a new one's wish and an existing one alike.

use std::time::Duration;

use relay_domain::{
    AccountBinding, ApiKey, Expiry, ExpiryMode, GroupId, KeyUser, Limits, Permissions, RateWindow,
    Restriction, ServiceRates, Timestamp, UnpricedPolicy, WaitQueue, WindowCaps,
};
use relay_engine::operator::NewKey;

use super::fields::{End, KeyFields};
use crate::admin::dollars::Dollars;
use crate::admin::error::ApiError;
use crate::admin::patch::{Patch, set};

/// The settings of a key that is, or is to be.
struct Settings<'a> {
    description: &'a mut String,
    icon: &'a mut String,
    is_active: &'a mut bool,
    expiry: &'a mut Expiry,
    permissions: &'a mut Permissions,
    restricted_models: &'a mut Restriction,
    allowed_clients: &'a mut Restriction,
    claude_binding: &'a mut AccountBinding,
    codex_binding: &'a mut AccountBinding,
    group: &'a mut Option<GroupId>,
    limits: &'a mut Limits,
    idle_window: &'a mut WindowCaps,
    service_rates: &'a mut ServiceRates,
    unpriced: &'a mut Option<UnpricedPolicy>,
    queue: &'a mut Option<WaitQueue>,
    tags: &'a mut Vec<String>,
    user: &'a mut KeyUser,
}

/// Both kinds of key call their settings the same.
macro_rules! settings_of {
    ($key:expr) => {
        Settings {
            description: &mut $key.description,
            icon: &mut $key.icon,
            is_active: &mut $key.is_active,
            expiry: &mut $key.expiry,
            permissions: &mut $key.permissions,
            restricted_models: &mut $key.restricted_models,
            allowed_clients: &mut $key.allowed_clients,
            claude_binding: &mut $key.claude_binding,
            codex_binding: &mut $key.codex_binding,
            group: &mut $key.group,
            limits: &mut $key.limits,
            idle_window: &mut $key.idle_window,
            service_rates: &mut $key.service_rates,
            unpriced: &mut $key.unpriced,
            queue: &mut $key.queue,
            tags: &mut $key.tags,
            user: &mut $key.user,
        }
    };
}

impl KeyFields {
    /// The key to be made, in the engine's words.
    pub(super) fn into_new_key(
        self,
        created_by: String,
        now: Timestamp,
    ) -> Result<NewKey, ApiError> {
        self.check()?;
        let mut new = NewKey { name: self.name.clone(), created_by, ..NewKey::default() };
        self.put_on(settings_of!(new), now);
        let counts =
            |list: &Restriction, told: Option<bool>| told.unwrap_or(!list.names.is_empty());
        new.restricted_models.is_on = counts(&new.restricted_models, self.enable_model_restriction);
        new.allowed_clients.is_on = counts(&new.allowed_clients, self.enable_client_restriction);
        Ok(new)
    }

    /// What is to be done to a key that is.
    pub(super) fn into_edit(
        self,
        now: Timestamp,
    ) -> Result<impl Fn(&mut ApiKey) + Send + Sync, ApiError> {
        self.check()?;
        Ok(move |key: &mut ApiKey| {
            set(&mut key.name, self.name.as_ref());
            self.put_on(settings_of!(key), now);
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is a bundle of borrows for this call")]
    fn put_on(&self, key: Settings<'_>, now: Timestamp) {
        self.description.apply_or_default(key.description, String::clone);
        self.icon.apply_or_default(key.icon, String::clone);
        set(key.is_active, self.is_active.as_ref());
        self.put_expiry(key.expiry, now);
        if let Some(permissions) = self.permissions {
            *key.permissions = permissions.into();
        }
        set(&mut key.restricted_models.is_on, self.enable_model_restriction.as_ref());
        set(&mut key.restricted_models.names, self.restricted_models.as_ref());
        set(&mut key.allowed_clients.is_on, self.enable_client_restriction.as_ref());
        set(&mut key.allowed_clients.names, self.allowed_clients.as_ref());
        self.claude_console_account_id
            .apply_or_default(key.claude_binding, |given| given.0.clone());
        self.codex_account_id.apply_or_default(key.codex_binding, |given| given.0.clone());
        self.group_id.apply(key.group, |id| Some(id.clone()));
        self.put_window(key.limits, key.idle_window);
        self.put_limits(key.limits);
        self.service_rates.apply_or_default(key.service_rates, |rates| rates.0.clone());
        self.unpriced.apply(key.unpriced, |policy| Some((*policy).into()));
        self.queue.apply(key.queue, |queue| Some((*queue).into()));
        set(key.tags, self.tags.as_ref());
        let mut user_id = key.user.id().to_owned();
        self.user_id.apply_or_default(&mut user_id, String::clone);
        key.user.set_id(user_id);
        self.user_username.apply_or_default(&mut key.user.username, String::clone);
    }

    fn put_limits(&self, limits: &mut Limits) {
        self.concurrency_limit.apply(&mut limits.concurrency, |limit| Some(*limit));
        let budgets = [
            (&self.daily_cost_limit, &mut limits.daily_cost),
            (&self.weekly_cost_limit, &mut limits.weekly_cost),
            (&self.monthly_cost_limit, &mut limits.monthly_cost),
            (&self.total_cost_limit, &mut limits.total_cost),
            (&self.weekly_opus_cost_limit, &mut limits.weekly_claude_cost),
        ];
        for (said, limit) in budgets {
            said.apply(limit, |Dollars(amount)| Some(*amount));
        }
        set(&mut limits.starts.week_day, self.weekly_reset_day.as_ref());
        set(&mut limits.starts.week_hour, self.weekly_reset_hour.as_ref());
        if let Some(policy) = self.budget_policy {
            limits.budget_policy = policy.into();
        }
    }

    /// What a window allows is kept while there is none.
    fn put_window(&self, limits: &mut Limits, idle: &mut WindowCaps) {
        let mut length = limits.window.map(|window| window.length);
        let mut caps = limits.window.map_or(*idle, |window| WindowCaps {
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        });
        self.rate_limit_window.apply(&mut length, |minutes| {
            (*minutes > 0).then(|| Duration::from_mins(u64::from(*minutes)))
        });
        self.rate_limit_requests.apply(&mut caps.requests, |limit| Some(*limit));
        self.token_limit.apply(&mut caps.tokens, |limit| Some(*limit));
        self.rate_limit_cost.apply(&mut caps.cost, |Dollars(amount)| Some(*amount));
        let WindowCaps { requests, tokens, cost } = caps;
        limits.window = length.map(|length| RateWindow { length, requests, tokens, cost });
        *idle = if length.is_some() { WindowCaps::default() } else { caps };
    }

    fn put_expiry(&self, expiry: &mut Expiry, now: Timestamp) {
        set(&mut expiry.lifetime.count, self.activation_days.as_ref());
        if let Some(unit) = self.activation_unit {
            expiry.lifetime.unit = unit.into();
        }
        if let Some(mode) = self.expiration_mode.map(ExpiryMode::from)
            && mode != expiry.mode
        {
            expiry.mode = mode;
            let begins_anew = mode == ExpiryMode::Activation;
            expiry.is_activated = !begins_anew;
            if begins_anew {
                (expiry.at, expiry.activated_at) = (None, None);
            }
        }
        match self.is_activated {
            // As if it had been used for the first time.
            Some(true) if expiry.due().is_some() => {
                let first_use = match self.activated_at {
                    Patch::Set(End(Some(moment))) => moment,
                    Patch::Set(End(None)) | Patch::Keep | Patch::Clear => now,
                };
                *expiry = expiry.activated(first_use);
            }
            // As if it never had.
            Some(false) if expiry.mode == ExpiryMode::Activation => {
                *expiry = Expiry { mode: expiry.mode, ..Expiry::after_first_use(expiry.lifetime) };
            }
            Some(told) => expiry.is_activated = told,
            None => {}
        }
        self.activated_at.apply(&mut expiry.activated_at, |End(moment)| *moment);
        self.expires_at.apply(&mut expiry.at, |End(moment)| *moment);
    }
}
