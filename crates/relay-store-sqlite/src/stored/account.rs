//! An account's settings and its health.

use std::collections::BTreeMap;

use relay_domain::{
    Account, AccountHealth, AccountId, AccountKind, Limits, ModelMap, ModelName, Multiplier,
    NanoUsd, OnDisconnect, Penalty, PenaltyReason, Platform, Priority, Proxy, ProxyAuth,
    ProxyScheme, ProxySetting, SealedSecret, Timestamp,
};
use relay_store::StoredLimits;
use serde::{Deserialize, Serialize};

/// What an operator may change of an account, but for its priority, which is a column.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SettingsForm {
    platform: Platform,
    name: String,
    description: String,
    base_url: String,
    /// Sealed.
    secret: String,
    models: BTreeMap<String, String>,
    user_agent: Option<String>,
    proxy: ProxyForm,
    is_active: bool,
    schedulable: bool,
    kind: AccountKind,
    rate_limit_minutes: u32,
    /// Written by the first version only, which knew these two limits.
    #[serde(default, skip_serializing)]
    daily_quota: Option<NanoUsd>,
    #[serde(default, skip_serializing)]
    max_concurrent: Option<u32>,
    #[serde(default)]
    limits: Option<StoredLimits>,
    #[serde(default)]
    rate: Multiplier,
    #[serde(default)]
    subscription_ends: Option<Timestamp>,
    #[serde(default)]
    on_disconnect: OnDisconnect,
    #[serde(default)]
    error_message: String,
    updated_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum ProxyForm {
    Direct,
    Unusable,
    Via { scheme: ProxyScheme, host: String, port: u16, auth: Option<ProxyAuthForm> },
}

#[derive(Debug, Deserialize, Serialize)]
struct ProxyAuthForm {
    username: String,
    /// Sealed.
    password: String,
}

/// How an account fares.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct HealthForm {
    penalty: Option<PenaltyForm>,
    models: BTreeMap<ModelName, PenaltyForm>,
}

#[derive(Debug, Deserialize, Serialize)]
struct PenaltyForm {
    reason: PenaltyReason,
    since: Timestamp,
    until: Option<Timestamp>,
    streak: u32,
}

/// The columns of an account that have no place in its settings.
pub(crate) struct AccountColumns {
    pub(crate) id: AccountId,
    pub(crate) priority: Priority,
    pub(crate) health: AccountHealth,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) revision: u64,
}

impl SettingsForm {
    /// The form of an account's settings.
    pub(crate) fn of(account: &Account) -> Self {
        Self {
            platform: account.platform,
            name: account.name.clone(),
            description: account.description.clone(),
            base_url: account.base_url.clone(),
            secret: account.secret.as_stored().to_owned(),
            models: account.models.pairs().clone(),
            user_agent: account.user_agent.clone(),
            proxy: ProxyForm::of(&account.proxy),
            is_active: account.is_active,
            schedulable: account.schedulable,
            kind: account.kind,
            rate_limit_minutes: account.rate_limit_minutes,
            daily_quota: None,
            max_concurrent: None,
            limits: Some(account.limits.into()),
            rate: account.rate,
            subscription_ends: account.subscription_ends,
            on_disconnect: account.on_disconnect,
            error_message: account.error_message.clone(),
            updated_at: account.updated_at,
        }
    }

    /// The account that has these settings and columns.
    pub(crate) fn into_account(self, columns: AccountColumns) -> Account {
        let AccountColumns { id, priority, health, created_at, last_used_at, revision } = columns;
        let of_first_version = Limits {
            daily_cost: self.daily_quota,
            concurrency: self.max_concurrent,
            ..Limits::default()
        };
        Account {
            id,
            platform: self.platform,
            name: self.name,
            description: self.description,
            base_url: self.base_url,
            secret: SealedSecret::new(self.secret),
            priority,
            models: ModelMap::new(self.models),
            user_agent: self.user_agent,
            proxy: self.proxy.into_setting(),
            is_active: self.is_active,
            schedulable: self.schedulable,
            kind: self.kind,
            rate_limit_minutes: self.rate_limit_minutes,
            limits: self.limits.map_or(of_first_version, Limits::from),
            rate: self.rate,
            subscription_ends: self.subscription_ends,
            on_disconnect: self.on_disconnect,
            error_message: self.error_message,
            health,
            created_at,
            updated_at: self.updated_at,
            last_used_at,
            revision,
        }
    }
}

impl ProxyForm {
    fn of(setting: &ProxySetting) -> Self {
        let auth = |auth: &ProxyAuth| ProxyAuthForm {
            username: auth.username.clone(),
            password: auth.password.as_stored().to_owned(),
        };
        match setting {
            ProxySetting::Direct => Self::Direct,
            ProxySetting::Unusable => Self::Unusable,
            ProxySetting::Via(proxy) => Self::Via {
                scheme: proxy.scheme,
                host: proxy.host.clone(),
                port: proxy.port,
                auth: proxy.auth.as_ref().map(auth),
            },
        }
    }

    fn into_setting(self) -> ProxySetting {
        let auth = |auth: ProxyAuthForm| ProxyAuth {
            username: auth.username,
            password: SealedSecret::new(auth.password),
        };
        match self {
            Self::Direct => ProxySetting::Direct,
            Self::Unusable => ProxySetting::Unusable,
            Self::Via { scheme, host, port, auth: asked } => {
                ProxySetting::Via(Proxy { scheme, host, port, auth: asked.map(auth) })
            }
        }
    }
}

impl HealthForm {
    /// The form of a health.
    pub(crate) fn of(health: &AccountHealth) -> Self {
        let models = health.models.iter();
        Self {
            penalty: health.penalty.map(PenaltyForm::of),
            models: models.map(|(model, p)| (model.clone(), PenaltyForm::of(*p))).collect(),
        }
    }

    /// The health of a form.
    pub(crate) fn into_health(self) -> AccountHealth {
        let models = self.models.into_iter();
        AccountHealth {
            penalty: self.penalty.map(PenaltyForm::into_penalty),
            models: models.map(|(model, form)| (model, form.into_penalty())).collect(),
        }
    }
}

impl PenaltyForm {
    fn of(penalty: Penalty) -> Self {
        let Penalty { reason, since, until, streak } = penalty;
        Self { reason, since, until, streak }
    }

    fn into_penalty(self) -> Penalty {
        let Self { reason, since, until, streak } = self;
        Penalty { reason, since, until, streak }
    }
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{account, rich_account};

    use super::*;

    #[test]
    fn the_stored_form_of_an_account_stays_as_it_is() {
        let stored = concat!(
            r#"{"platform":"codex","name":"账户 👍","description":"of the\nteam","#,
            r#""base_url":"http://127.0.0.1:8080/base/path","secret":"v1:other:sealed=secret","#,
            r#""models":{"claude-opus-4-1":"","claude-sonnet-4-5":"sonnet 🚀"},"#,
            r#""user_agent":"claude-cli/2.0.0 (external, cli)","#,
            r#""proxy":{"via":{"scheme":"socks5","host":"proxy.example","port":1080,"#,
            r#""auth":{"username":"user:name","password":"sealed-password"}}},"#,
            r#""is_active":false,"schedulable":false,"kind":"dedicated","rate_limit_minutes":0,"#,
            r#""limits":{"concurrency":4,"window":{"length_ms":300000,"requests":7,"tokens":null,"#,
            r#""cost":1},"daily_cost":25500000000,"weekly_cost":70000000000,"#,
            r#""monthly_cost":300000000000,"total_cost":1000000000000,"#,
            r#""weekly_claude_cost":60000000000,"#,
            r#""starts":{"day_minute":510,"week_day":7,"week_hour":23},"hard_budget":true},"#,
            r#""rate":0.8,"subscription_ends":2208962799000,"on_disconnect":"drain","#,
            r#""error_message":"see ticket 5","updated_at":2208961800005}"#,
        );
        let form = SettingsForm::of(&rich_account("a"));
        assert_eq!(serde_json::to_string(&form).unwrap(), stored);
    }

    #[test]
    fn the_stored_form_of_a_health_stays_as_it_is() {
        let stored = concat!(
            r#"{"penalty":{"reason":"unauthorized","since":2208961800003,"until":null,"streak":2},"#,
            r#""models":{"claude-opus-4-1":{"reason":"rate_limited","since":2208961800003,"#,
            r#""until":2208961890001,"streak":1}}}"#,
        );
        let form = HealthForm::of(&rich_account("a").health);
        assert_eq!(serde_json::to_string(&form).unwrap(), stored);
    }

    #[test]
    fn the_stored_forms_of_a_proxy_stay_as_they_are() {
        for (setting, stored) in
            [(ProxySetting::Direct, r#""direct""#), (ProxySetting::Unusable, r#""unusable""#)]
        {
            let form = ProxyForm::of(&setting);
            assert_eq!(serde_json::to_string(&form).unwrap(), stored);
        }
    }

    #[test]
    fn fields_of_a_later_version_are_passed_over() {
        let form = serde_json::to_string(&SettingsForm::of(&account("a"))).unwrap();
        let later = form.replacen('{', r#"{"new_field":[1],"#, 1);
        let read: SettingsForm = serde_json::from_str(&later).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), form);
    }
}
