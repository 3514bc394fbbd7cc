//! Letting a request in: the key, its limits, its conversation.

mod prospect;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use relay_crypto::affinity;
use relay_domain::{
    AccountBinding, AccountId, AffinityKey, ApiKey, KeyRefusal, LimitKind, LimitScope, NanoUsd,
    Outcome, Platform, RequestRecord, RequestTimes, ServedTerms, Timestamp, TokenUsage,
    UsageSource, names_claude,
};
use relay_protocol::anthropic::RequestScan;
use relay_protocol::session::{SessionHint, hint};
use relay_store::{Admission, AdmitRequest, Binding, ConfigVersion, Estimate, StoreError};
use tokio::time::timeout;

use crate::EngineError;
use crate::core::Core;
use crate::directory::KnownKey;
use crate::estimate::Allowance;
use crate::flight::Flight;
use crate::journey::{Caller, Incoming, Relay};
use crate::payer::Payer;
use crate::wait_room::Obstacle;
use crate::waiting::Wish;

/// Who may serve a request, as far as its key and its conversation say.
pub(crate) struct Preference {
    pub(crate) binding: AccountBinding,
    pub(crate) restricted_models: Vec<String>,
    pub(crate) sticky: Option<AccountId>,
}

/// A request that wants in.
struct Applicant<'a> {
    incoming: &'a Incoming<'a>,
    scan: &'a RequestScan,
    affinity: Option<AffinityKey>,
    /// What its body allows, once that has been asked for.
    allowance: OnceLock<Allowance>,
}

impl Relay {
    /// Admits a request that counts.
    pub(crate) async fn admit(
        &self,
        caller: Caller,
        incoming: &Incoming<'_>,
        scan: &RequestScan,
    ) -> Result<(Flight, Preference), EngineError> {
        if self.core.is_backlogged() {
            return Err(EngineError::Backlogged);
        }
        let mut known = self.usable(caller, scan).await?;
        let affinity = affinity_of(&known.key, incoming, scan);
        let applicant = Applicant { incoming, scan, affinity, allowance: OnceLock::new() };
        let mut payer = known.payer();
        // Before the hold is taken, so that it is given back whatever happens from here on.
        let record = record(incoming, &payer, scan, self.core.clock.now());
        let body_bytes = u64::try_from(incoming.body.len()).unwrap_or(u64::MAX);
        let core = Arc::clone(&self.core);
        let mut flight = Flight::begin(core, incoming.arrived, record, payer.clone(), body_bytes);
        flight.may_outlast(incoming.departure);
        let mut place = None;
        // Who comes while others wait does not pass them.
        let hall = payer.hall();
        if let Some(terms) = payer.key.queue.filter(|_| self.core.wait_room.has_line(&hall)) {
            flight.dismiss();
            let wish = Wish { terms, hall, obstacle: Obstacle::Unknown, busy: Vec::new() };
            self.core.wait(&mut flight, incoming, wish, &mut place).await?;
        }
        // By limits that have changed since.
        let mut is_held = false;
        loop {
            flight.begin_again(payer.clone());
            let estimate = self.estimate(&payer, &applicant).await.inspect_err(|_| {
                if is_held {
                    flight.land(Outcome::Rejected, None, 0);
                } else {
                    flight.dismiss();
                }
            })?;
            let request = self.admit_request(&payer, &applicant, estimate);
            // Whether a store that did not answer took the hold is not known.
            let admission = self.core.ask(&request).await;
            let admission =
                admission.inspect_err(|_| flight.land(Outcome::NoAccount, None, 503))?;
            let current = known.version == admission.version.keys;
            self.core.directory.hear_keys(admission.version);
            match admission.decision {
                Ok(grant) => {
                    // It was weighed against limits that may have been tightened since.
                    if !current {
                        let other = self.has_other_limits(&mut known, &payer, &applicant).await;
                        if other.inspect_err(|_| flight.land(Outcome::Rejected, None, 0))? {
                            payer = known.payer();
                            is_held = true;
                            continue;
                        }
                    }
                    if let Some(place) = place {
                        place.served();
                    }
                    flight.admitted(request.estimate, grant.limits);
                    let version = admission.version;
                    return self.let_in(flight, known, applicant, grant.binding, version).await;
                }
                Err(denial) if current => {
                    flight.dismiss();
                    is_held = false;
                    let terms = payer.key.queue.filter(|_| denial.limit == LimitKind::Concurrency);
                    let Some(terms) = terms else {
                        let needed = payer.needs(&denial, &request.estimate);
                        return Err(EngineError::Denied { denial, needed });
                    };
                    let obstacle = match denial.scope {
                        LimitScope::Key(_) => Obstacle::ItsOwn,
                        LimitScope::Group(_) | LimitScope::Account(_) => Obstacle::Shared,
                    };
                    let wish = Wish { terms, hall: payer.hall(), obstacle, busy: Vec::new() };
                    self.core.wait(&mut flight, incoming, wish, &mut place).await?;
                }
                // The limit that denied may have been raised: ask again with the present one.
                Err(_) => {
                    flight.dismiss();
                    is_held = false;
                    known = self.read_again(&known).await?;
                    check(&known, scan, self.core.clock.now())?;
                    payer = known.payer();
                }
            }
        }
    }

    /// Reads the key of a request that has its hold again, and says whether it would be weighed otherwise now.
    async fn has_other_limits(
        &self,
        known: &mut KnownKey,
        payer: &Payer,
        applicant: &Applicant<'_>,
    ) -> Result<bool, EngineError> {
        *known = self.read_again(known).await?;
        check(known, applicant.scan, self.core.clock.now())?;
        let now = known.payer();
        let of_key = |payer: &Payer| (payer.key.limits, payer.rate(), payer.unpriced());
        Ok(of_key(&now) != of_key(payer) || now.group != payer.group)
    }

    /// Goes on with a request that has its hold.
    async fn let_in(
        &self,
        mut flight: Flight,
        known: KnownKey,
        applicant: Applicant<'_>,
        binding: Option<Binding>,
        version: ConfigVersion,
    ) -> Result<(Flight, Preference), EngineError> {
        let key = self.enter(known, version).await;
        let key = key.inspect_err(|_| flight.land(Outcome::Rejected, None, 0))?;
        flight.allows(applicant.allowance.into_inner());
        let binding = binding.filter(|_| self.core.config.binds());
        if let Some(affinity) = applicant.affinity {
            flight.belongs_to(affinity, binding.as_ref());
        }
        Ok((flight, Preference::of(&key, binding)))
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
        let payer = Payer { key: Arc::clone(&key), group: None };
        let record = record(incoming, &payer, scan, now);
        let flight = Flight::unmetered(Arc::clone(&self.core), incoming.arrived, record);
        Ok((flight, Preference::of(&key, None)))
    }

    /// The caller's key, if it lets the request in. A refusal is never given by an old snapshot.
    async fn usable(&self, caller: Caller, scan: &RequestScan) -> Result<KnownKey, EngineError> {
        if check(&caller.0, scan, self.core.clock.now()).is_ok() {
            return Ok(caller.0);
        }
        let known = self.catch_up(caller).await?;
        check(&known, scan, self.core.clock.now())?;
        Ok(known)
    }

    /// Brings the snapshots up to date for a request that has no hold. Returns the caller's key as it is
    /// now.
    pub(crate) async fn catch_up(&self, caller: Caller) -> Result<KnownKey, EngineError> {
        let version = self.bring_up_to_date().await?;
        if caller.0.version == version.keys {
            Ok(caller.0)
        } else {
            self.read_again(&caller.0).await
        }
    }

    fn admit_request(
        &self,
        payer: &Payer,
        applicant: &Applicant<'_>,
        estimate: Estimate,
    ) -> AdmitRequest {
        let Applicant { incoming, scan, affinity, .. } = applicant;
        let now = self.core.clock.now();
        let model = &scan.model;
        let may_be_claude = || {
            let (roster, binding) = (self.core.directory.roster(), &payer.key.claude_binding);
            roster.ways(model.as_str(), binding).any(|(name, _)| names_claude(name))
        };
        AdmitRequest {
            request: incoming.id,
            key: payer.id().clone(),
            limits: payer.key.limits,
            group: payer.group.clone(),
            platform: Platform::ClaudeConsole,
            model: model.clone(),
            may_be_claude: model.is_claude() || may_be_claude(),
            stream: scan.stream,
            estimate,
            affinity: affinity.clone(),
            now,
            lease_until: now.plus(self.core.config.lease),
        }
    }

    /// What is left to do for a request that has its hold: bring the snapshots up to `version`, and start
    /// a key whose time begins now.
    async fn enter(
        &self,
        known: KnownKey,
        version: ConfigVersion,
    ) -> Result<Arc<ApiKey>, EngineError> {
        self.core.retries.deposit();
        self.core.directory.refresh_roster(version).await?;
        self.activate(&known.key, self.core.clock.now()).await?;
        Ok(known.key)
    }

    /// Whether a request that has its hold and has waited since may go on: its key still lets it in. Brings
    /// the snapshots up to date, and returns what the key may use by now.
    pub(crate) async fn still_welcome(
        &self,
        payer: &Payer,
        flight: &Flight,
    ) -> Result<Preference, EngineError> {
        self.bring_up_to_date().await?;
        let keys = &self.core.directory.stores.keys;
        let key = keys.get(payer.id()).await?.ok_or(EngineError::UnknownKey)?;
        let (model, now) = (flight.record.model.as_str(), self.core.clock.now());
        key.check(Platform::ClaudeConsole, model, now)?;
        Ok(Preference::of(&key, None))
    }

    /// Brings the snapshots up to date, without letting anybody in.
    async fn bring_up_to_date(&self) -> Result<ConfigVersion, EngineError> {
        let directory = &self.core.directory;
        let asked = directory.stores.ledger.version();
        let version = in_time(self.core.config.admission_timeout, asked).await?;
        directory.refresh_roster(version).await?;
        directory.hear_keys(version);
        Ok(version)
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
    /// Takes over what the key may use by now; the conversation stays where it was.
    pub(crate) fn renew(&mut self, by_now: Self) {
        *self = Self { sticky: self.sticky.take(), ..by_now };
    }

    fn of(key: &ApiKey, binding: Option<Binding>) -> Self {
        let sticky = binding.map(|binding| binding.account);
        let restricted_models = key.restricted_models.in_force().to_vec();
        Self { binding: key.binding(Platform::ClaudeConsole).clone(), restricted_models, sticky }
    }
}

impl Core {
    /// Asks the store, for as long as a client should wait for that.
    async fn ask(&self, request: &AdmitRequest) -> Result<Admission, StoreError> {
        in_time(self.config.admission_timeout, self.directory.stores.ledger.admit(request)).await
    }
}

/// What the store answers, unless it takes longer than `patience`.
pub(crate) async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(patience, answer).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(StoreError::Unavailable(Box::new(elapsed))),
    }
}

/// Whether a key lets in a request for the scanned model.
fn check(known: &KnownKey, scan: &RequestScan, now: Timestamp) -> Result<(), EngineError> {
    known.key.check(Platform::ClaudeConsole, scan.model.as_str(), now)?;
    known.lost_group().map_or(Ok(()), |group| Err(EngineError::GroupGone(group.clone())))
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
    payer: &Payer,
    scan: &RequestScan,
    now: Timestamp,
) -> RequestRecord {
    RequestRecord {
        id: incoming.id,
        key: payer.id().clone(),
        group: payer.group.as_ref().map(|(group, _)| group.clone()),
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
        terms: ServedTerms::default(),
        settled_at: None,
        cost: Some(NanoUsd::ZERO),
        cost_by_kind: None,
        presumed_cost: None,
        charged: Some(NanoUsd::ZERO),
        attempts: Vec::new(),
        edits: Vec::new(),
        decision: Vec::new(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
