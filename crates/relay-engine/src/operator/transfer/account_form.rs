//! An upstream account in the file.

use std::collections::BTreeMap;

use relay_domain::{
    Account, AccountHealth, AccountId, AccountKind, ModelMap, ModelName, Multiplier, OnDisconnect,
    Penalty, PenaltyReason, Platform, Priority, Proxy, ProxyAuth, ProxyScheme, ProxySetting,
    SealedSecret, Timestamp,
};
use relay_store::{AccountSecrets, StoredLimits};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct AccountForm {
    id: AccountId,
    platform: Platform,
    name: String,
    description: String,
    base_url: String,
    priority: Priority,
    models: BTreeMap<String, String>,
    user_agent: Option<String>,
    proxy: ProxyForm,
    is_active: bool,
    schedulable: bool,
    kind: AccountKind,
    rate_limit_minutes: u32,
    limits: StoredLimits,
    /// In millionths.
    rate: u32,
    subscription_ends: Option<Timestamp>,
    on_disconnect: OnDisconnect,
    error_message: String,
    penalty: Option<PenaltyForm>,
    model_penalties: BTreeMap<ModelName, PenaltyForm>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    secrets: SecretsForm,
}

/// An account's secrets in the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretsForm {
    /// In clear: the file is what seals them.
    Open {
        /// The credential.
        credential: String,
        /// What the proxy asks for.
        proxy_password: Option<String>,
    },
    /// As they are stored, for they do not open.
    Sealed {
        /// The credential.
        credential: String,
        /// What the proxy asks for.
        proxy_password: Option<String>,
    },
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum ProxyForm {
    Direct,
    Via { scheme: ProxyScheme, host: String, port: u16, username: Option<String> },
    Unusable,
}

#[derive(Deserialize, Serialize)]
struct PenaltyForm {
    reason: PenaltyReason,
    since: Timestamp,
    until: Option<Timestamp>,
    streak: u32,
}

impl AccountForm {
    pub(super) fn of(account: Account, secrets: SecretsForm) -> Self {
        let Account {
            id,
            platform,
            name,
            description,
            base_url,
            secret: _,
            priority,
            models,
            user_agent,
            proxy,
            is_active,
            schedulable,
            kind,
            rate_limit_minutes,
            limits,
            rate,
            subscription_ends,
            on_disconnect,
            error_message,
            health: AccountHealth { penalty, models: model_penalties },
            created_at,
            updated_at,
            last_used_at,
            // It counts the changes in one store.
            revision: _,
        } = account;
        let proxy = match proxy {
            ProxySetting::Direct => ProxyForm::Direct,
            ProxySetting::Unusable => ProxyForm::Unusable,
            ProxySetting::Via(Proxy { scheme, host, port, auth }) => {
                ProxyForm::Via { scheme, host, port, username: auth.map(|auth| auth.username) }
            }
        };
        let model_penalties =
            model_penalties.into_iter().map(|(model, penalty)| (model, penalty.into()));
        Self {
            id,
            platform,
            name,
            description,
            base_url,
            priority,
            models: models.pairs().clone(),
            user_agent,
            proxy,
            is_active,
            schedulable,
            kind,
            rate_limit_minutes,
            limits: limits.into(),
            rate: rate.as_micros(),
            subscription_ends,
            on_disconnect,
            error_message,
            penalty: penalty.map(PenaltyForm::from),
            model_penalties: model_penalties.collect(),
            created_at,
            updated_at,
            last_used_at,
            secrets,
        }
    }

    pub(super) fn id(&self) -> &AccountId {
        &self.id
    }

    /// Whether its secrets were opened.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.secrets, SecretsForm::Open { .. })
    }

    /// Its secrets, and what makes the account of them once they are sealed.
    pub(super) fn into_parts(
        self,
    ) -> (Platform, SecretsForm, impl FnOnce(AccountSecrets) -> Account) {
        let (platform, secrets) = (self.platform, self.secrets);
        let proxy = match self.proxy {
            ProxyForm::Direct => ProxySetting::Direct,
            ProxyForm::Unusable => ProxySetting::Unusable,
            ProxyForm::Via { scheme, host, port, username } => {
                let password = SealedSecret::new(String::new());
                let auth = username.map(|username| ProxyAuth { username, password });
                ProxySetting::Via(Proxy { scheme, host, port, auth })
            }
        };
        let model_penalties =
            self.model_penalties.into_iter().map(|(model, form)| (model, form.into()));
        let account = Account {
            id: self.id,
            platform,
            name: self.name,
            description: self.description,
            base_url: self.base_url,
            secret: SealedSecret::new(String::new()),
            priority: self.priority,
            models: ModelMap::new(self.models),
            user_agent: self.user_agent,
            proxy,
            is_active: self.is_active,
            schedulable: self.schedulable,
            kind: self.kind,
            rate_limit_minutes: self.rate_limit_minutes,
            limits: self.limits.into(),
            rate: Multiplier::from_micros(self.rate),
            subscription_ends: self.subscription_ends,
            on_disconnect: self.on_disconnect,
            error_message: self.error_message,
            health: AccountHealth {
                penalty: self.penalty.map(Penalty::from),
                models: model_penalties.collect(),
            },
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_used_at: self.last_used_at,
            revision: 0,
        };
        (platform, secrets, move |secrets: AccountSecrets| secrets.put_into(account))
    }
}

impl From<Penalty> for PenaltyForm {
    fn from(Penalty { reason, since, until, streak }: Penalty) -> Self {
        Self { reason, since, until, streak }
    }
}

impl From<PenaltyForm> for Penalty {
    fn from(PenaltyForm { reason, since, until, streak }: PenaltyForm) -> Self {
        Self { reason, since, until, streak }
    }
}
