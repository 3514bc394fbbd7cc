//! An API key's settings.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_domain::{
    AccountBinding, ApiKey, Expiry, ExpiryMode, GroupId, KeyDigest, KeyId, KeyUser, Lifetime,
    LifetimeUnit, Multiplier, NanoUsd, Permissions, Platform, Restriction, RetiringSecret, Service,
    ServiceRates, Signature, Timestamp, UnpricedPolicy, UserStanding, WaitQueue, WindowCaps,
};
use relay_store::StoredLimits;
use serde::{Deserialize, Serialize};

/// What an operator may change of a key.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct KeyForm {
    name: String,
    description: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    icon: String,
    is_active: bool,
    deleted: Option<SignatureForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored: Option<SignatureForm>,
    expiry: ExpiryForm,
    /// Absent in what the first version wrote.
    #[serde(default)]
    activation: Option<ActivationForm>,
    /// `None`: every platform.
    permissions: Option<Vec<Platform>>,
    restricted_models: Vec<String>,
    /// Absent in what the first version wrote: then a list that is not empty counts.
    #[serde(default)]
    restricts_models: Option<bool>,
    #[serde(default)]
    allowed_clients: Vec<String>,
    #[serde(default)]
    restricts_clients: bool,
    bound_claude_account: AccountBinding,
    bound_codex_account: AccountBinding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
    limits: StoredLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle_window: Option<CapsForm>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    service_rates: BTreeMap<String, Multiplier>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unpriced: Option<UnpricedPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<QueueForm>,
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user_id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    user_username: String,
    /// As an import has brought it along: there are no users here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    user_is_disabled: bool,
    created_by: String,
    updated_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, Serialize)]
struct SignatureForm {
    at: Timestamp,
    by: String,
    #[serde(default)]
    by_type: String,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum ExpiryForm {
    Never,
    At(Timestamp),
    /// Written by the first version only, which knew no other form of what has not begun.
    AfterFirstUseMs(u64),
}

/// How the end of a key comes about.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct ActivationForm {
    mode: ExpiryMode,
    count: u32,
    unit: LifetimeUnit,
    is_activated: bool,
    at: Option<Timestamp>,
}

#[derive(Debug, Deserialize, Serialize)]
struct CapsForm {
    requests: Option<u64>,
    tokens: Option<u64>,
    cost: Option<NanoUsd>,
}

#[derive(Debug, Deserialize, Serialize)]
struct QueueForm {
    max_waiting: u32,
    deadline_ms: u64,
}

/// The columns of a key that have no place in its settings.
pub(crate) struct KeyColumns {
    pub(crate) id: KeyId,
    pub(crate) digest: KeyDigest,
    pub(crate) retiring: Option<RetiringSecret>,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) revision: u64,
}

impl KeyForm {
    /// The form of a key's settings.
    pub(crate) fn of(key: &ApiKey) -> Self {
        Self {
            name: key.name.clone(),
            description: key.description.clone(),
            icon: key.icon.clone(),
            is_active: key.is_active,
            deleted: key.deleted.clone().map(SignatureForm::from),
            restored: key.restored.clone().map(SignatureForm::from),
            expiry: key.expiry.at.map_or(ExpiryForm::Never, ExpiryForm::At),
            activation: Some(ActivationForm::of(key.expiry)),
            permissions: match &key.permissions {
                Permissions::All => None,
                Permissions::Only(platforms) => Some(platforms.clone()),
            },
            restricted_models: key.restricted_models.names.clone(),
            restricts_models: Some(key.restricted_models.is_on),
            allowed_clients: key.allowed_clients.names.clone(),
            restricts_clients: key.allowed_clients.is_on,
            bound_claude_account: key.claude_binding.clone(),
            bound_codex_account: key.codex_binding.clone(),
            group: key.group.clone(),
            limits: key.limits.into(),
            idle_window: (key.idle_window != WindowCaps::default()).then_some(CapsForm {
                requests: key.idle_window.requests,
                tokens: key.idle_window.tokens,
                cost: key.idle_window.cost,
            }),
            service_rates: key
                .service_rates
                .pairs()
                .map(|(service, rate)| (service.name().to_owned(), rate))
                .collect(),
            unpriced: key.unpriced,
            queue: key.queue.map(|queue| QueueForm {
                max_waiting: queue.max_waiting,
                deadline_ms: u64::try_from(queue.deadline.as_millis()).unwrap_or(u64::MAX),
            }),
            tags: key.tags.clone(),
            user_id: key.user.id().to_owned(),
            user_username: key.user.username.clone(),
            user_is_disabled: key.user.is_disabled(),
            created_by: key.created_by.clone(),
            updated_at: key.updated_at,
        }
    }

    /// When the key ends.
    pub(crate) fn expiry(&self) -> Expiry {
        let at = match self.expiry {
            ExpiryForm::Never => None,
            ExpiryForm::At(at) => Some(at),
            ExpiryForm::AfterFirstUseMs(length) => {
                return Expiry::after_first_use(lifetime_of(length));
            }
        };
        self.activation.map_or(Expiry { at, ..Expiry::NEVER }, |form| Expiry {
            mode: form.mode,
            at,
            lifetime: Lifetime { count: form.count, unit: form.unit },
            is_activated: form.is_activated,
            activated_at: form.at,
        })
    }

    /// Sets when the key ends.
    pub(crate) fn set_expiry(&mut self, expiry: Expiry) {
        self.expiry = expiry.at.map_or(ExpiryForm::Never, ExpiryForm::At);
        self.activation = Some(ActivationForm::of(expiry));
    }

    /// The key that has these settings and columns.
    pub(crate) fn into_key(self, columns: KeyColumns) -> ApiKey {
        let KeyColumns { id, digest, retiring, created_at, last_used_at, revision } = columns;
        let expiry = self.expiry();
        let rates = self.service_rates.into_iter();
        let rates = rates.filter_map(|(name, rate)| Some((Service::named(&name)?, rate)));
        let service_rates: ServiceRates = rates.collect();
        let standing =
            if self.user_is_disabled { UserStanding::Disabled } else { UserStanding::Active };
        ApiKey {
            id,
            digest,
            retiring,
            name: self.name,
            description: self.description,
            icon: self.icon,
            is_active: self.is_active,
            deleted: self.deleted.map(Signature::from),
            restored: self.restored.map(Signature::from),
            expiry,
            permissions: self.permissions.map_or(Permissions::All, Permissions::Only),
            restricted_models: Restriction {
                is_on: self.restricts_models.unwrap_or(!self.restricted_models.is_empty()),
                names: self.restricted_models,
            },
            allowed_clients: Restriction {
                is_on: self.restricts_clients,
                names: self.allowed_clients,
            },
            claude_binding: self.bound_claude_account,
            codex_binding: self.bound_codex_account,
            group: self.group,
            limits: self.limits.into(),
            idle_window: self.idle_window.map_or_else(WindowCaps::default, |caps| WindowCaps {
                requests: caps.requests,
                tokens: caps.tokens,
                cost: caps.cost,
            }),
            service_rates,
            unpriced: self.unpriced,
            queue: self.queue.map(|queue| WaitQueue {
                max_waiting: queue.max_waiting,
                deadline: Duration::from_millis(queue.deadline_ms),
            }),
            tags: self.tags,
            user: KeyUser::new(self.user_id, self.user_username, standing),
            created_by: self.created_by,
            created_at,
            updated_at: self.updated_at,
            last_used_at,
            revision,
        }
    }
}

impl ActivationForm {
    fn of(expiry: Expiry) -> Self {
        Self {
            mode: expiry.mode,
            count: expiry.lifetime.count,
            unit: expiry.lifetime.unit,
            is_activated: expiry.is_activated,
            at: expiry.activated_at,
        }
    }
}

impl From<Signature> for SignatureForm {
    fn from(Signature { at, by, by_type }: Signature) -> Self {
        Self { at, by, by_type }
    }
}

impl From<SignatureForm> for Signature {
    fn from(SignatureForm { at, by, by_type }: SignatureForm) -> Self {
        Self { at, by, by_type }
    }
}

/// What the first version knew as a span of time, in whole hours.
fn lifetime_of(length_ms: u64) -> Lifetime {
    let hours = u32::try_from(length_ms.div_ceil(3_600_000)).unwrap_or(u32::MAX);
    if hours.is_multiple_of(24) { Lifetime::days(hours / 24) } else { Lifetime::hours(hours) }
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{key, rich_key};

    use super::*;

    #[test]
    fn the_stored_form_of_a_key_stays_as_it_is() {
        let stored = concat!(
            r#"{"name":"第一 key 🔑","description":"two\nlines, \"quoted\"","icon":"🔑","is_active":false,"#,
            r#""deleted":{"at":2208961800007,"by":"someone else","by_type":"admin"},"#,
            r#""restored":{"at":2208961800006,"by":"another one","by_type":"admin"},"#,
            r#""expiry":{"at":2209048200123},"activation":{"mode":"activation","count":36,"#,
            r#""unit":"hours","is_activated":true,"at":2208961800123},"#,
            r#""permissions":["codex","claude-console"],"#,
            r#""restricted_models":["claude-opus-4-1","模型"],"restricts_models":true,"#,
            r#""allowed_clients":["claude_code"],"restricts_clients":false,"#,
            r#""bound_claude_account":"account-one","bound_codex_account":"account-two","#,
            r#""group":"team-one","#,
            r#""limits":{"concurrency":10,"window":{"length_ms":5400000,"requests":100,"#,
            r#""tokens":1000000,"cost":1500000000},"daily_cost":2750000000,"#,
            r#""weekly_cost":7000000000,"monthly_cost":30000000000,"#,
            r#""total_cost":100000000001,"weekly_claude_cost":10000000000,"#,
            r#""starts":{"day_minute":0,"week_day":3,"week_hour":10},"hard_budget":true},"#,
            r#""service_rates":{"bedrock":1e-6,"claude":1.25},"unpriced":"fallback","#,
            r#""queue":{"max_waiting":3,"deadline_ms":12500},"#,
            r#""tags":["team a","标签"],"user_id":"user-one","user_username":"王","user_is_disabled":true,"created_by":"operator","updated_at":2208961800005}"#,
        );
        let form = KeyForm::of(&rich_key("k", 1));
        assert_eq!(serde_json::to_string(&form).unwrap(), stored);
    }

    #[test]
    fn ends_of_the_first_version_are_read() {
        let at = Timestamp::from_millis(7);
        for (expiry, stored) in [
            (Expiry::NEVER, r#""never""#),
            (Expiry::at(at), r#"{"at":7}"#),
            (Expiry::after_first_use(Lifetime::days(2)), r#"{"after_first_use_ms":172800000}"#),
            (Expiry::after_first_use(Lifetime::hours(1)), r#"{"after_first_use_ms":1000}"#),
        ] {
            let mut form = KeyForm::of(&key("k", 1));
            (form.expiry, form.activation) = (serde_json::from_str(stored).unwrap(), None);
            assert_eq!(form.expiry(), expiry, "{stored}");
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
