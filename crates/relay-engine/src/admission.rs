//! Letting a request in: the key, its limits, its conversation.

use std::sync::Arc;

use bytes::Bytes;
use relay_crypto::affinity;
use relay_domain::{
    AccountId, AffinityKey, ApiKey, Expiry, KeyRefusal, LimitKind, NanoUsd, Outcome, Platform,
    RequestRecord, RequestTimes, Timestamp, TokenCount, TokenUsage, UsageSource,
};
use relay_pricing::Charge;
use relay_protocol::anthropic::RequestScan;
use relay_protocol::session::{SessionHint, hint};
use relay_store::{AdmitRequest, Binding, ConfigVersion};

use crate::EngineError;
use crate::directory::PresentedKey;
use crate::flight::Flight;
use crate::journey::{Caller, Incoming, Relay};

/// Bytes of a request's body that make a token, for the estimate that a budget holds.
const BYTES_PER_TOKEN: u64 = 4;
/// Output that the estimate reckons with at most.
const ESTIMATED_OUTPUT: u64 = 4_096;
/// Who may serve a request, as far as its key and its conversation say.
pub(crate) struct Preference {
    pub(crate) bound: Option<AccountId>,
    pub(crate) sticky: Option<AccountId>,
}

impl Relay {
    /// Admits a request that counts.
    pub(crate) async fn admit(
        &self,
        caller: Caller,
        incoming: &Incoming<'_>,
        scan: &RequestScan,
    ) -> Result<(Flight, Preference), EngineError> {
        let Caller { presented, mut key } = caller;
        let affinity = affinity_of(&key, incoming, scan);
        loop {
            let now = self.core.clock.now();
            check(&key, scan, now)?;
            let request = self.admit_request(incoming, &key, scan, affinity.clone(), now);
            let admission = self.core.directory.stores.ledger.admit(&request).await?;
            let current = self.core.directory.keys_are_current(admission.version);
            match admission.decision {
                Ok(grant) => {
                    let mut flight = self.flight(incoming, &key, scan, now);
                    let version = admission.version;
                    let key = self.enter(presented, key, scan, version, current).await;
                    let key = key.inspect_err(|_| flight.land(Outcome::Rejected, None, 0))?;
                    if let Some(affinity) = affinity {
                        flight.belongs_to(affinity, grant.binding.as_ref());
                    }
                    return Ok((flight, Preference::of(&key, grant.binding)));
                }
                Err(denial) if current => return Err(EngineError::Denied(denial)),
                // The limit that denied may have been raised: ask again with the present one.
                Err(_) => key = self.look_up(presented).await?,
            }
        }
    }

    /// Lets a request pass that is free at the provider and so here: no limits, no hold, no record.
    pub(crate) async fn wave_through(
        &self,
        caller: &Caller,
        incoming: &Incoming<'_>,
        scan: &RequestScan,
    ) -> Result<(Flight, Preference), EngineError> {
        let key = self.catch_up(caller).await?;
        let now = self.core.clock.now();
        key.check(Platform::ClaudeConsole, scan.model.as_str(), now)?;
        let flight = Flight::unmetered(
            Arc::clone(&self.core),
            incoming.arrived,
            record(incoming, &key, scan, now),
        );
        Ok((flight, Preference::of(&key, None)))
    }

    /// Brings the snapshots up to date for a request that takes no hold. Returns the caller's key as it is
    /// now.
    pub(crate) async fn catch_up(&self, caller: &Caller) -> Result<Arc<ApiKey>, EngineError> {
        let directory = &self.core.directory;
        let version = directory.stores.ledger.version().await?;
        directory.refresh_roster(version).await?;
        if directory.keys_are_current(version) {
            return Ok(Arc::clone(&caller.key));
        }
        self.look_up(caller.presented).await
    }

    fn admit_request(
        &self,
        incoming: &Incoming<'_>,
        key: &ApiKey,
        scan: &RequestScan,
        affinity: Option<AffinityKey>,
        now: Timestamp,
    ) -> AdmitRequest {
        AdmitRequest {
            request: incoming.id,
            key: key.id.clone(),
            limits: key.limits,
            platform: Platform::ClaudeConsole,
            model: scan.model.clone(),
            stream: scan.stream,
            estimate: self.estimate(incoming.body, scan),
            affinity,
            now,
            lease_until: now.plus(self.core.config.lease),
        }
    }

    /// What a request may cost, by its size and what it asks for.
    fn estimate(&self, body: &Bytes, scan: &RequestScan) -> Option<NanoUsd> {
        let input = u64::try_from(body.len()).unwrap_or(u64::MAX) / BYTES_PER_TOKEN;
        let output =
            scan.max_tokens.map_or(ESTIMATED_OUTPUT, TokenCount::get).min(ESTIMATED_OUTPUT);
        let usage = TokenUsage {
            input: TokenCount::new(input),
            output: TokenCount::new(output),
            ..TokenUsage::default()
        };
        let charge = Charge { usage, ..Charge::default() };
        self.core.prices.quote(scan.model.as_str(), &charge).map(|quote| quote.cost)
    }

    fn flight(
        &self,
        incoming: &Incoming<'_>,
        key: &ApiKey,
        scan: &RequestScan,
        now: Timestamp,
    ) -> Flight {
        Flight::begin(Arc::clone(&self.core), incoming.arrived, record(incoming, key, scan, now))
    }

    /// What is left to do for a request that has its hold: bring the snapshots up to date and start a key
    /// whose time begins now. `current`: the key is as it was when the request was admitted.
    async fn enter(
        &self,
        presented: PresentedKey,
        mut key: Arc<ApiKey>,
        scan: &RequestScan,
        version: ConfigVersion,
        current: bool,
    ) -> Result<Arc<ApiKey>, EngineError> {
        self.core.retries.deposit();
        self.core.directory.refresh_roster(version).await?;
        let now = self.core.clock.now();
        if !current {
            key = self.look_up(presented).await?;
            check(&key, scan, now)?;
        }
        self.activate(&key, now).await?;
        Ok(key)
    }

    async fn look_up(&self, presented: PresentedKey) -> Result<Arc<ApiKey>, EngineError> {
        self.core.directory.look_up(presented).await?.ok_or(EngineError::UnknownKey)
    }

    /// Starts the time of a key that begins with its first use.
    async fn activate(&self, key: &ApiKey, now: Timestamp) -> Result<(), EngineError> {
        let Expiry::AfterFirstUse(lifetime) = key.expiry else { return Ok(()) };
        let end =
            self.core.directory.stores.keys.activate(&key.id, now, now.plus(lifetime)).await?;
        match end {
            Some(at) if at <= now => Err(KeyRefusal::Expired { at }.into()),
            Some(_) | None => Ok(()),
        }
    }
}

impl Preference {
    fn of(key: &ApiKey, binding: Option<Binding>) -> Self {
        let bound = key.bound_account(Platform::ClaudeConsole).cloned();
        Self { bound, sticky: binding.map(|binding| binding.account) }
    }
}

/// Whether `key` lets in a request for the scanned model.
fn check(key: &ApiKey, scan: &RequestScan, now: Timestamp) -> Result<(), EngineError> {
    key.check(Platform::ClaudeConsole, scan.model.as_str(), now)?;
    unkept_limit(key).map_or(Ok(()), |limit| Err(EngineError::LimitNotKept(limit)))
}

/// A limit that the key carries and admission does not keep yet. Letting such a key in would spend what
/// its operator forbade.
fn unkept_limit(key: &ApiKey) -> Option<LimitKind> {
    let limits = &key.limits;
    let window = limits.window.map(|_| LimitKind::WindowRequests);
    window
        .or(limits.daily_cost.map(|_| LimitKind::DailyCost))
        .or(limits.total_cost.map(|_| LimitKind::TotalCost))
        .or(limits.weekly_claude_cost.map(|_| LimitKind::WeeklyClaudeCost))
}

/// What keeps a conversation on one account: the client's hint, under the key's id.
fn affinity_of(key: &ApiKey, incoming: &Incoming<'_>, scan: &RequestScan) -> Option<AffinityKey> {
    let header =
        |name: &'static str| incoming.headers.get(name).and_then(|value| value.to_str().ok());
    let digest = match hint(header, scan) {
        SessionHint::Explicit(session) => {
            affinity(key.id.as_str(), &[b"session", session.as_bytes()])
        }
        SessionHint::Fingerprint { system, first_user } => {
            let system = system.map_or(&[][..], |range| &incoming.body[range]);
            affinity(key.id.as_str(), &[b"beginning", system, &incoming.body[first_user]])
        }
        SessionHint::None => return None,
    };
    AffinityKey::try_from(format!("{:032x}", u128::from_be_bytes(digest))).ok()
}

fn record(
    incoming: &Incoming<'_>,
    key: &ApiKey,
    scan: &RequestScan,
    now: Timestamp,
) -> RequestRecord {
    RequestRecord {
        id: incoming.id,
        key: key.id.clone(),
        platform: Platform::ClaudeConsole,
        model: scan.model.clone(),
        served_model: None,
        account: None,
        stream: scan.stream,
        outcome: Outcome::ClientGone,
        status: 0,
        started_at: now,
        times: RequestTimes::default(),
        usage: TokenUsage::ZERO,
        usage_source: UsageSource::None,
        cost: Some(NanoUsd::ZERO),
        attempts: Vec::new(),
        edits: Vec::new(),
    }
}
