//! What an operator sends to add an account.

use relay_domain::{AccountKind, Limits, ModelMap, OnDisconnect, Platform, Priority};
use relay_engine::operator::NewAccount;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::proxy::ProxyRecord;
use super::record::account_record;
use super::settings::{
    AccountKindName, OnDisconnectName, SupportedModels, end_of_subscription, multiplier,
};
use crate::admin::error::ApiError;
use crate::admin::extract::secret;
use crate::admin::given_limits::{BudgetPolicyName, GivenLimits, minute_of_day, money};
use crate::admin::patch::Patch;

account_record! {
    /// An account to be added. All but `apiUrl` and `apiKey` may be left out.
    NewAccountRecord, [], {
        /// Where it is: scheme, host and perhaps a path; `/v1` and `/v1/messages` at its end are dropped.
        #[schema(format = "uri")]
        api_url: String,
        /// Its credential. It is never shown again.
        #[serde(deserialize_with = "secret")]
        #[schema(value_type = String, format = Password, min_length = 1)]
        api_key: SecretString,
        /// Smaller is tried first; 50 unless told otherwise.
        #[schema(value_type = Option<u8>, minimum = 1, maximum = 100)]
        priority: Option<Priority>,
        proxy: Option<ProxyRecord>,
        /// When its subscription ends; it is not used afterwards.
        #[schema(format = DateTime)]
        subscription_expires_at: Option<String>,
    }
}

impl NewAccountRecord {
    /// The account to be added, in the engine's words.
    pub(super) fn into_new_account(self, platform: Platform) -> Result<NewAccount, ApiError> {
        let mut limits = Limits::default();
        self.limits()?.apply(&mut limits);
        let base = NewAccount::new(platform, self.api_url, self.api_key);
        let end = self.subscription_expires_at.as_deref().map(end_of_subscription);
        Ok(NewAccount {
            name: self.name,
            description: self.description.value().unwrap_or_default(),
            priority: self.priority.unwrap_or(base.priority),
            models: self.supported_models.value().map(ModelMap::from).unwrap_or_default(),
            user_agent: self.user_agent.value(),
            proxy: self.proxy.map(ProxyRecord::into_new_proxy).transpose()?,
            is_active: self.is_active.unwrap_or(base.is_active),
            schedulable: self.schedulable.unwrap_or(base.schedulable),
            kind: self.account_type.map_or(base.kind, AccountKind::from),
            rate_limit_minutes: self.rate_limit_duration.value().unwrap_or(base.rate_limit_minutes),
            limits,
            rate: self.rate_multiplier.as_ref().map_or(Ok(base.rate), multiplier)?,
            subscription_ends: end.transpose()?.flatten(),
            on_disconnect: self.on_disconnect.map_or(base.on_disconnect, OnDisconnect::from),
            ..base
        })
    }
}
