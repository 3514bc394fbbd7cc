//! An API key in the file.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_domain::key::{
    Restriction, RetiringSecret, Signature, UnpricedPolicy, WaitQueue, WindowCaps,
};
use relay_domain::{
    AccountBinding, ApiKey, Expiry, ExpiryMode, GroupId, KeyDigest, KeyId, KeyUser, Lifetime,
    Multiplier, NanoUsd, Permissions, Platform, Service, ServiceRates, Timestamp, UserStanding,
};
use relay_store::StoredLimits;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct KeyForm {
    id: KeyId,
    /// In hexadecimal.
    digest: String,
    /// The digest of the secret before, and until when that is good.
    retiring: Option<(String, Timestamp)>,
    name: String,
    description: String,
    icon: String,
    is_active: bool,
    deleted: Option<Signature>,
    restored: Option<Signature>,
    expiry: ExpiryForm,
    /// `None`: every platform.
    platforms: Option<Vec<Platform>>,
    restricted_models: RestrictionForm,
    allowed_clients: RestrictionForm,
    #[serde(default)]
    bound_claude_account: AccountBinding,
    #[serde(default)]
    bound_codex_account: AccountBinding,
    group: Option<GroupId>,
    limits: StoredLimits,
    idle_window: CapsForm,
    /// In millionths, by service.
    service_rates: BTreeMap<String, u32>,
    unpriced: Option<UnpricedPolicy>,
    queue: Option<QueueForm>,
    tags: Vec<String>,
    user_id: String,
    user_username: String,
    /// The user's keys are refused.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    user_is_disabled: bool,
    created_by: String,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
struct ExpiryForm {
    mode: ExpiryMode,
    at: Option<Timestamp>,
    lifetime: Lifetime,
    is_activated: bool,
    activated_at: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
struct RestrictionForm {
    is_on: bool,
    names: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct CapsForm {
    requests: Option<u64>,
    tokens: Option<u64>,
    cost: Option<NanoUsd>,
}

#[derive(Deserialize, Serialize)]
struct QueueForm {
    max_waiting: u32,
    deadline_ms: u64,
}

impl From<ApiKey> for KeyForm {
    fn from(key: ApiKey) -> Self {
        let ApiKey {
            id,
            digest,
            retiring,
            name,
            description,
            icon,
            is_active,
            deleted,
            restored,
            expiry: Expiry { mode, at, lifetime, is_activated, activated_at },
            permissions,
            restricted_models,
            allowed_clients,
            claude_binding,
            codex_binding,
            group,
            limits,
            idle_window: WindowCaps { requests, tokens, cost },
            service_rates,
            unpriced,
            queue,
            tags,
            user,
            created_by,
            created_at,
            updated_at,
            last_used_at,
            // It counts the changes in one store.
            revision: _,
        } = key;
        let rates = service_rates.pairs();
        Self {
            id,
            digest: digest.to_hex(),
            retiring: retiring.map(|RetiringSecret { digest, until }| (digest.to_hex(), until)),
            name,
            description,
            icon,
            is_active,
            deleted,
            restored,
            expiry: ExpiryForm { mode, at, lifetime, is_activated, activated_at },
            platforms: match permissions {
                Permissions::All => None,
                Permissions::Only(platforms) => Some(platforms),
            },
            restricted_models: restricted_models.into(),
            allowed_clients: allowed_clients.into(),
            bound_claude_account: claude_binding,
            bound_codex_account: codex_binding,
            group,
            limits: limits.into(),
            idle_window: CapsForm { requests, tokens, cost },
            service_rates: rates
                .map(|(service, rate)| (service.name().to_owned(), rate.as_micros()))
                .collect(),
            unpriced,
            queue: queue.map(|WaitQueue { max_waiting, deadline }| QueueForm {
                max_waiting,
                deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            }),
            tags,
            user_id: user.id().to_owned(),
            user_is_disabled: user.is_disabled(),
            user_username: user.username,
            created_by,
            created_at,
            updated_at,
            last_used_at,
        }
    }
}

impl KeyForm {
    /// The key, if its digests are such.
    pub(super) fn into_key(self) -> Option<ApiKey> {
        let ExpiryForm { mode, at, lifetime, is_activated, activated_at } = self.expiry;
        let CapsForm { requests, tokens, cost } = self.idle_window;
        let digest = |hex: &str| KeyDigest::from_hex(hex).ok();
        let retiring = match self.retiring {
            None => None,
            Some((hex, until)) => Some(RetiringSecret { digest: digest(&hex)?, until }),
        };
        let rates = self.service_rates.into_iter();
        let service_rates: ServiceRates = rates
            .filter_map(|(name, micros)| {
                Some((Service::named(&name)?, Multiplier::from_micros(micros)))
            })
            .collect();
        let standing =
            if self.user_is_disabled { UserStanding::Disabled } else { UserStanding::Active };
        Some(ApiKey {
            id: self.id,
            digest: digest(&self.digest)?,
            retiring,
            name: self.name,
            description: self.description,
            icon: self.icon,
            is_active: self.is_active,
            deleted: self.deleted,
            restored: self.restored,
            expiry: Expiry { mode, at, lifetime, is_activated, activated_at },
            permissions: self.platforms.map_or(Permissions::All, Permissions::Only),
            restricted_models: self.restricted_models.into(),
            allowed_clients: self.allowed_clients.into(),
            claude_binding: self.bound_claude_account,
            codex_binding: self.bound_codex_account,
            group: self.group,
            limits: self.limits.into(),
            idle_window: WindowCaps { requests, tokens, cost },
            service_rates,
            unpriced: self.unpriced,
            queue: self.queue.map(|QueueForm { max_waiting, deadline_ms }| WaitQueue {
                max_waiting,
                deadline: Duration::from_millis(deadline_ms),
            }),
            tags: self.tags,
            user: KeyUser::new(self.user_id, self.user_username, standing),
            created_by: self.created_by,
            created_at: self.created_at,
            updated_at: self.updated_at,
            last_used_at: self.last_used_at,
            revision: 0,
        })
    }
}

impl From<Restriction> for RestrictionForm {
    fn from(Restriction { is_on, names }: Restriction) -> Self {
        Self { is_on, names }
    }
}

impl From<RestrictionForm> for Restriction {
    fn from(RestrictionForm { is_on, names }: RestrictionForm) -> Self {
        Self { is_on, names }
    }
}
