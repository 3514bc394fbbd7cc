//! The accounts, ready to be used: credentials opened, addresses understood, live counters attached.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use http::header::{AUTHORIZATION, HeaderName};
use relay_crypto::Keyring;
use relay_domain::{
    Account, AccountBinding, AccountGroup, AccountGroupId, AccountHealth, AccountId, HealthEvent,
    Multiplier, Proxy, ProxySetting, Timestamp,
};
use relay_scheduler::{Candidate, Readiness};
use secrecy::ExposeSecret as _;

use crate::account_secrets::OpenSecrets;
use crate::breaker::Breaker;
use crate::upstream::ProxyRoute;
use crate::upstream_url::UpstreamUrl;

/// All accounts at one version.
#[derive(Default)]
pub(crate) struct Roster {
    pub(crate) version: u64,
    pub(crate) entries: Vec<RosterEntry>,
}

/// One account.
pub(crate) struct RosterEntry {
    pub(crate) account: Account,
    /// The groups of its platform that it is a member of.
    pub(crate) groups: Vec<AccountGroupId>,
    pub(crate) live: Arc<AccountLive>,
    /// How it is reached, or why it cannot be.
    pub(crate) access: Result<Access, Readiness>,
}

/// All that is needed to send a request to an account.
pub(crate) struct Access {
    pub(crate) url: UpstreamUrl,
    pub(crate) proxy: Option<ProxyRoute>,
    pub(crate) credential: (HeaderName, HeaderValue),
    pub(crate) user_agent: Option<HeaderValue>,
}

/// What this process knows of an account beyond the store; outlives the roster's versions.
#[derive(Default)]
pub(crate) struct AccountLive {
    in_flight: AtomicU32,
    trial: AtomicBool,
    pub(crate) breaker: Breaker,
    health: ArcSwap<AccountHealth>,
    /// Events that this process knows of and the store does not yet.
    untold: AtomicU32,
    /// Raised with every event that the store was told of, so that what was read before is known to be old.
    tellings: AtomicU64,
}

/// What a process knows of its accounts: as it was before something was read from the store.
pub(crate) type Known = HashMap<AccountId, (Arc<AccountLive>, u64)>;

impl AccountLive {
    /// Takes a health event at once, ahead of the store's word. Until [`told`](Self::told) the store's word
    /// does not count: it may be of before.
    pub(crate) fn learn(&self, event: &HealthEvent, now: Timestamp) {
        self.untold.fetch_add(1, Ordering::AcqRel);
        self.health.rcu(|health| AccountHealth::clone(health).on(event.clone(), now));
    }

    /// The store knows of an event, or never will. `health` is what it says now.
    pub(crate) fn told(&self, health: Option<AccountHealth>) {
        self.tellings.fetch_add(1, Ordering::AcqRel);
        let others = self.untold.fetch_sub(1, Ordering::AcqRel) > 1;
        if let Some(health) = health.filter(|_| !others) {
            self.health.store(Arc::new(health));
        }
    }

    /// Takes over what the store has said since `tellings`, unless this process knows more.
    fn hear(&self, health: &AccountHealth, tellings: u64) {
        let is_told = self.untold.load(Ordering::Acquire) == 0;
        if is_told && self.tellings.load(Ordering::Acquire) == tellings {
            self.health.store(Arc::new(health.clone()));
        }
    }

    /// How it fares, as far as this process knows.
    pub(crate) fn health(&self) -> Arc<AccountHealth> {
        self.health.load_full()
    }

    /// Whether a success would change anything.
    pub(crate) fn is_marked(&self) -> bool {
        self.health.load().penalty.is_some()
    }
}

/// A request in flight on an account; ends when dropped.
pub(crate) struct InFlight(pub(crate) Arc<AccountLive>);

impl InFlight {
    pub(crate) fn begin(live: &Arc<AccountLive>) -> Self {
        live.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(live))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The one request that finds out whether an account whose rest has ended is well: until it has begun to
/// answer, or failed. Ends when dropped.
pub(crate) struct Trial(Option<Arc<AccountLive>>);

impl Trial {
    /// Begins a trial, if the account is due for one.
    pub(crate) fn begin(live: &Arc<AccountLive>, now: Timestamp) -> Self {
        let due = live.health.load().on_trial(now) && !live.trial.swap(true, Ordering::Relaxed);
        Self(due.then(|| Arc::clone(live)))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(live) = &self.0 {
            live.trial.store(false, Ordering::Relaxed);
        }
    }
}

impl Roster {
    /// Prepares `accounts` and notes which of `groups` they are in. `known`: what the process knew of them
    /// before they were read.
    pub(crate) fn build(
        version: u64,
        accounts: Vec<Account>,
        groups: &[AccountGroup],
        keyring: &Keyring,
        mut known: Known,
    ) -> Self {
        let entries = accounts.into_iter().map(|account| {
            let (live, tellings) = known.remove(&account.id).unwrap_or_default();
            live.hear(&account.health, tellings);
            let access = access(&account, keyring);
            if let Err(readiness) = &access {
                tracing::warn!(account.id = %account.id, ?readiness, "account cannot be used");
            }
            let groups = groups.iter().filter(|group| {
                group.platform == account.platform && group.members.contains(&account.id)
            });
            let groups = groups.map(|group| group.id.clone()).collect();
            RosterEntry { account, groups, live, access }
        });
        Self { version, entries: entries.collect() }
    }

    /// What is known of the accounts at this moment.
    pub(crate) fn known(&self) -> Known {
        let known = |entry: &RosterEntry| {
            let tellings = entry.live.tellings.load(Ordering::Acquire);
            (entry.account.id.clone(), (Arc::clone(&entry.live), tellings))
        };
        self.entries.iter().map(known).collect()
    }

    /// The healths at this moment, to be borrowed by [`Roster::candidates`].
    pub(crate) fn healths(&self) -> Vec<Arc<AccountHealth>> {
        self.entries.iter().map(|entry| entry.live.health()).collect()
    }

    /// What the accounts that a key with `binding` may use call `model`, and by how much what they cost counts.
    pub(crate) fn ways<'a>(
        &'a self,
        model: &'a str,
        binding: &'a AccountBinding,
    ) -> impl Iterator<Item = (&'a str, Multiplier)> {
        let open = move |entry: &&RosterEntry| entry.account.is_active && entry.is_open_to(binding);
        self.entries.iter().filter(open).filter_map(move |RosterEntry { account, .. }| {
            Some((account.models.upstream_name(model)?, account.rate))
        })
    }

    /// The facts for a decision.
    pub(crate) fn candidates<'a>(
        &'a self,
        healths: &'a [Arc<AccountHealth>],
    ) -> Vec<Candidate<'a>> {
        self.entries.iter().zip(healths).map(|(entry, health)| entry.candidate(health)).collect()
    }
}

impl RosterEntry {
    /// Whether a key with this binding may use it.
    pub(crate) fn is_open_to(&self, binding: &AccountBinding) -> bool {
        binding.admits(&self.account.id, self.account.kind, &self.groups)
    }

    fn candidate<'a>(&'a self, health: &'a AccountHealth) -> Candidate<'a> {
        let account = &self.account;
        Candidate {
            id: &account.id,
            platform: account.platform,
            priority: account.priority,
            is_active: account.is_active,
            schedulable: account.schedulable,
            kind: account.kind,
            groups: &self.groups,
            health,
            models: &account.models,
            daily_quota: None,
            daily_spent: relay_domain::NanoUsd::ZERO,
            in_flight: self.live.in_flight.load(Ordering::Relaxed),
            max_concurrent: account.limits.concurrency,
            subscription_ends: account.subscription_ends,
            readiness: self.access.as_ref().err().copied().unwrap_or_default(),
            trial_in_flight: self.live.trial.load(Ordering::Relaxed),
        }
    }
}

fn access(account: &Account, keyring: &Keyring) -> Result<Access, Readiness> {
    let OpenSecrets { credential: secret, proxy_password, .. } =
        OpenSecrets::of(account, keyring).map_err(|_| Readiness::SecretUnreadable)?;
    let credential = credential(secret.expose_secret()).ok_or(Readiness::SecretUnreadable)?;
    let proxy = match &account.proxy {
        ProxySetting::Direct => None,
        ProxySetting::Unusable => return Err(Readiness::ProxyUnusable),
        ProxySetting::Via(Proxy { scheme, host, port, auth }) => Some(ProxyRoute {
            scheme: *scheme,
            authority: format!("{host}:{port}"),
            auth: auth.as_ref().map(|auth| auth.username.clone()).zip(proxy_password),
        }),
    };
    let user_agent =
        account.user_agent.as_deref().and_then(|agent| HeaderValue::from_str(agent).ok());
    let url = UpstreamUrl::parse(&account.base_url).ok_or(Readiness::AddressUnusable)?;
    Ok(Access { url, proxy, credential, user_agent })
}

/// Anthropic's own keys go into `x-api-key`, other providers' into `Authorization`: v1's and v2's rule.
fn credential(secret: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = if secret.starts_with("sk-ant-") {
        (HeaderName::from_static("x-api-key"), HeaderValue::from_str(secret))
    } else {
        (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {secret}")))
    };
    let mut value = value.ok().filter(|_| !secret.is_empty())?;
    value.set_sensitive(true);
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_the_store_was_told_does_not_count() {
        let (now, live) = (Timestamp::EPOCH, AccountLive::default());
        let event = HealthEvent::Unreachable;
        let (before, read) = (live.tellings.load(Ordering::Acquire), AccountHealth::default());
        live.learn(&event, now);
        live.hear(&read, before);
        assert!(live.is_marked(), "the store does not know it yet");
        live.told(Some(read.clone().on(event, now)));
        live.hear(&read, before);
        assert!(live.is_marked(), "what was read is older");
        live.hear(&read, before + 1);
        assert!(!live.is_marked(), "this is newer");
    }
}
