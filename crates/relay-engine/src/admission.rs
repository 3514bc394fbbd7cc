//! Letting a request in: the key, its limits, its conversation.

use std::sync::Arc;

use bytes::Bytes;
use relay_crypto::affinity;
use relay_domain::{
    AccountId, AffinityKey, ApiKey, KeyRefusal, LimitKind, NanoUsd, Outcome, Platform,
    RequestRecord, RequestTimes, Timestamp, TokenCount, TokenUsage, UsageSource,
};
use relay_pricing::Charge;
use relay_protocol::anthropic::RequestScan;
use relay_protocol::session::{SessionHint, hint};
use relay_store::{AdmitRequest, Binding, ConfigVersion, Estimate};

use crate::EngineError;
use crate::directory::KnownKey;
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
        let mut known = self.usable(caller, scan).await?;
        let affinity = affinity_of(&known.key, incoming, scan);
        let now = self.core.clock.now();
        // Before the hold is taken, so that it is given back whatever happens from here on.
        let record = record(incoming, &known.key, scan, now);
        let mut flight = Flight::begin(Arc::clone(&self.core), incoming.arrived, record);
        let directory = &self.core.directory;
        loop {
            let request = self.admit_request(incoming, &known.key, scan, affinity.clone(), now);
            let admission = directory.stores.ledger.admit(&request).await;
            // Whether a store that did not answer took the hold is not known.
            let admission =
                admission.inspect_err(|_| flight.land(Outcome::NoAccount, None, 503))?;
            let current = known.version == admission.version.keys;
            directory.hear_keys(admission.version);
            match admission.decision {
                Ok(grant) => {
                    flight.admitted();
                    let key = self.enter(known, scan, admission.version).await;
                    let key = key.inspect_err(|_| flight.land(Outcome::Rejected, None, 0))?;
                    if let Some(affinity) = affinity {
                        flight.belongs_to(affinity, grant.binding.as_ref());
                    }
                    return Ok((flight, Preference::of(&key, grant.binding)));
                }
                Err(denial) if current => {
                    flight.dismiss();
                    return Err(EngineError::Denied(denial));
                }
                // The limit that denied may have been raised: ask again with the present one.
                Err(_) => known = self.read_again(&known).await?,
            }
        }
    }

    /// Lets a request pass that is free at the provider and so here: no limits, no hold, no record.
    pub(crate) async fn wave_through(
        &self,
        caller: Caller,
        incoming: &Incoming<'_>,
        scan: &RequestScan,
    ) -> Result<(Flight, Preference), EngineError> {
        let key = self.catch_up(caller).await?.key;
        let now = self.core.clock.now();
        key.check(Platform::ClaudeConsole, scan.model.as_str(), now)?;
        let record = record(incoming, &key, scan, now);
        let flight = Flight::unmetered(Arc::clone(&self.core), incoming.arrived, record);
        Ok((flight, Preference::of(&key, None)))
    }

    /// The caller's key, if it lets the request in. A refusal is never given by an old snapshot.
    async fn usable(&self, caller: Caller, scan: &RequestScan) -> Result<KnownKey, EngineError> {
        if check(&caller.0.key, scan, self.core.clock.now()).is_ok() {
            return Ok(caller.0);
        }
        let known = self.catch_up(caller).await?;
        check(&known.key, scan, self.core.clock.now())?;
        Ok(known)
    }

    /// Brings the snapshots up to date for a request that has no hold. Returns the caller's key as it is
    /// now.
    pub(crate) async fn catch_up(&self, caller: Caller) -> Result<KnownKey, EngineError> {
        let directory = &self.core.directory;
        let version = directory.stores.ledger.version().await?;
        directory.refresh_roster(version).await?;
        directory.hear_keys(version);
        if caller.0.version == version.keys {
            Ok(caller.0)
        } else {
            self.read_again(&caller.0).await
        }
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
            group: None,
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
    fn estimate(&self, body: &Bytes, scan: &RequestScan) -> Estimate {
        let input = u64::try_from(body.len()).unwrap_or(u64::MAX) / BYTES_PER_TOKEN;
        let output =
            scan.max_tokens.map_or(ESTIMATED_OUTPUT, TokenCount::get).min(ESTIMATED_OUTPUT);
        let usage = TokenUsage {
            input: TokenCount::new(input),
            output: TokenCount::new(output),
            ..TokenUsage::default()
        };
        let charge = Charge { usage, ..Charge::default() };
        let quote = self.core.prices.quote(scan.model.as_str(), &charge);
        let cost = quote.map_or(NanoUsd::ZERO, |quote| quote.cost);
        Estimate { tokens: input + output, cost, charged: cost }
    }

    /// What is left to do for a request that has its hold: bring the snapshots up to `version`, and start
    /// a key whose time begins now.
    async fn enter(
        &self,
        mut known: KnownKey,
        scan: &RequestScan,
        version: ConfigVersion,
    ) -> Result<Arc<ApiKey>, EngineError> {
        self.core.retries.deposit();
        self.core.directory.refresh_roster(version).await?;
        let now = self.core.clock.now();
        if known.version != version.keys {
            known = self.read_again(&known).await?;
            check(&known.key, scan, now)?;
        }
        self.activate(&known.key, now).await?;
        Ok(known.key)
    }

    async fn read_again(&self, known: &KnownKey) -> Result<KnownKey, EngineError> {
        self.core.directory.read_again(known).await?.ok_or(EngineError::UnknownKey)
    }

    /// Starts the time of a key that begins with its first use.
    async fn activate(&self, key: &ApiKey, now: Timestamp) -> Result<(), EngineError> {
        let Some(lifetime) = key.expiry.due() else { return Ok(()) };
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
        group: None,
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
        charged: Some(NanoUsd::ZERO),
        attempts: Vec::new(),
        edits: Vec::new(),
    }
}

#[cfg(test)]
mod tests;
