//! The order of things: authenticate, admit, rank, attempt, and again with the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use relay_crypto::{affinity, random_u128};
use relay_domain::{
    AccountId, AffinityKey, ApiKey, Expiry, KeyRefusal, LimitKind, NanoUsd, Outcome, Platform, RequestId,
    RequestRecord, RequestTimes, Timestamp, TokenCount, TokenUsage, UsageSource,
};
use relay_pricing::Charge;
use relay_protocol::anthropic::{RequestScan, scan_request};
use relay_protocol::session::{SessionHint, hint};
use relay_scheduler::{Ask, ChosenWhy, Policy, Ranking, Shortage, Verdict, rank};
use relay_store::{AdmitRequest, Binding, ConfigVersion, Rebind};

use crate::attempt::{Attempt, Failure, attempt};
use crate::classify::{Lesson, Retry};
use crate::core::Core;
use crate::directory::PresentedKey;
use crate::flight::Flight;
use crate::roster::{AccountLive, Roster};
use crate::stream::RelayBody;
use crate::upstream::Upstream;
use crate::upstream_url::Endpoint;
use crate::{EngineError, Engine};

/// Bytes of a request's body that make a token, for the estimate that a budget holds.
const BYTES_PER_TOKEN: u64 = 4;
/// Output that the estimate reckons with at most.
const ESTIMATED_OUTPUT: u64 = 4_096;
/// The pause before another account is tried while the provider is overloaded: up to this.
const OVERLOAD_JITTER_MS: u64 = 150;

/// Relay, for one runtime: the engine that all share, and upstream connections of its own.
#[derive(Clone)]
pub struct Relay {
    core: Arc<Core>,
    upstream: Arc<Upstream>,
}

/// A client whose key was recognised.
pub struct Caller {
    presented: PresentedKey,
    key: Arc<ApiKey>,
}

/// A client's request, read.
pub struct Incoming<'a> {
    /// What it wants.
    pub endpoint: Endpoint,
    /// Its id.
    pub id: RequestId,
    /// When it arrived, for durations.
    pub arrived: Instant,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, without the question mark.
    pub query: Option<&'a str>,
    /// Its body.
    pub body: &'a Bytes,
}

/// What every attempt on a request needs.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a Bytes,
    pub(crate) scan: &'a RequestScan,
}

/// Who may serve a request, as far as its key and its conversation say.
struct Preference {
    bound: Option<AccountId>,
    sticky: Option<AccountId>,
}

impl Relay {
    /// Relay for the runtime that this is called on.
    #[must_use]
    pub fn new(engine: &Engine) -> Self {
        let core = Arc::clone(engine.core());
        let upstream = Arc::new(Upstream::new(Arc::clone(&core.config)));
        Self { core, upstream }
    }

    /// A new id for a request that has just arrived.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId::new(self.core.clock.now(), random_u128())
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    /// Recognises the first of the presented texts that is an API key. Clients may present several:
    /// some carry a stale one in one of two headers.
    ///
    /// # Errors
    ///
    /// [`EngineError::MissingKey`], [`EngineError::UnknownKey`], or the store's.
    pub async fn authenticate(&self, presented: impl Iterator<Item = &str>) -> Result<Caller, EngineError> {
        let mut any = false;
        for text in presented {
            any = true;
            if let Some((presented, key)) = self.core.directory.find_key(text).await? {
                return Ok(Caller { presented, key });
            }
        }
        Err(if any { EngineError::UnknownKey } else { EngineError::MissingKey })
    }

    /// Relays a request: the answer of the first account that gives one.
    ///
    /// # Errors
    ///
    /// Every [`EngineError`] but those of [`authenticate`](Self::authenticate), before anything reached
    /// the client.
    pub async fn relay(&self, caller: Caller, incoming: &Incoming<'_>) -> Result<Response<RelayBody>, EngineError> {
        let scan = scan_request(incoming.body)?;
        if !scan.has_messages {
            return Err(EngineError::NoMessages);
        }
        let call = Call {
            endpoint: incoming.endpoint,
            headers: incoming.headers,
            query: incoming.query,
            body: incoming.body,
            scan: &scan,
        };
        let (flight, preference) = match incoming.endpoint {
            Endpoint::Messages => self.admit(caller, incoming, &scan).await?,
            Endpoint::CountTokens => self.wave_through(&caller, incoming, &scan).await?,
        };
        self.deliver(flight, &preference, &call).await
    }

    /// Admits a request that counts.
    async fn admit(
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
                    self.core.retries.deposit();
                    let mut flight = self.flight(incoming, &key, scan, now);
                    self.core.directory.refresh_roster(admission.version).await?;
                    if !current {
                        key = self.still_valid(&mut flight, presented, scan, now).await?;
                    }
                    self.activate(&key, now).await?;
                    flight.prefer(affinity, grant.binding.as_ref());
                    return Ok((flight, Preference::of(&key, grant.binding)));
                }
                Err(denial) if current => return Err(EngineError::Denied(denial)),
                // The limit that denied may have been raised: ask again with the present one.
                Err(_) => key = self.core.directory.look_up(presented).await?.ok_or(EngineError::UnknownKey)?,
            }
        }
    }

    /// Lets a request pass that is free at the provider and so here: no limits, no hold, no record.
    async fn wave_through(
        &self,
        caller: &Caller,
        incoming: &Incoming<'_>,
        scan: &RequestScan,
    ) -> Result<(Flight, Preference), EngineError> {
        let now = self.core.clock.now();
        let version = self.core.directory.stores.ledger.version().await?;
        let mut key = Arc::clone(&caller.key);
        if !self.core.directory.keys_are_current(version) {
            key = self.core.directory.look_up(caller.presented).await?.ok_or(EngineError::UnknownKey)?;
        }
        key.check(Platform::ClaudeConsole, scan.model.as_str(), now)?;
        self.core.directory.refresh_roster(version).await?;
        let flight = Flight::unmetered(Arc::clone(&self.core), incoming.arrived, record(incoming, &key, scan, now));
        Ok((flight, Preference::of(&key, None)))
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
        let output = scan.max_tokens.map_or(ESTIMATED_OUTPUT, TokenCount::get).min(ESTIMATED_OUTPUT);
        let usage =
            TokenUsage { input: TokenCount::new(input), output: TokenCount::new(output), ..TokenUsage::default() };
        let charge = Charge { usage, ..Charge::default() };
        self.core.prices.quote(scan.model.as_str(), &charge).map(|quote| quote.cost)
    }

    fn flight(&self, incoming: &Incoming<'_>, key: &ApiKey, scan: &RequestScan, now: Timestamp) -> Flight {
        Flight::begin(Arc::clone(&self.core), incoming.arrived, record(incoming, key, scan, now))
    }

    /// The key was changed since it was read: whether it still lets this request in.
    async fn still_valid(
        &self,
        flight: &mut Flight,
        presented: PresentedKey,
        scan: &RequestScan,
        now: Timestamp,
    ) -> Result<Arc<ApiKey>, EngineError> {
        let key = self.core.directory.look_up(presented).await?;
        let verdict = key.ok_or(EngineError::UnknownKey).and_then(|key| check(&key, scan, now).map(|()| key));
        if verdict.is_err() {
            flight.land(Outcome::Rejected, None, 401);
        }
        verdict
    }

    /// Starts the time of a key that begins with its first use.
    async fn activate(&self, key: &ApiKey, now: Timestamp) -> Result<(), EngineError> {
        let Expiry::AfterFirstUse(lifetime) = key.expiry else { return Ok(()) };
        let end = self.core.directory.stores.keys.activate(&key.id, now, now.plus(lifetime)).await?;
        match end {
            Some(at) if at <= now => Err(KeyRefusal::Expired { at }.into()),
            Some(_) | None => Ok(()),
        }
    }

    /// Tries accounts until one answers.
    async fn deliver(
        &self,
        mut flight: Flight,
        preference: &Preference,
        call: &Call<'_>,
    ) -> Result<Response<RelayBody>, EngineError> {
        let mut tried: Vec<AccountId> = Vec::new();
        let mut last_words = None;
        let roster = self.core.directory.roster();
        loop {
            let ranking = self.rank(&roster, preference, call, &tried);
            let Some(index) = ranking.first() else { break };
            let entry = &roster.entries[index];
            let Ok(access) = &entry.access else { break };
            if tried.is_empty() && matches!(ranking.verdicts[index], Verdict::Chosen { why: ChosenWhy::Priority, .. }) {
                self.core.next_turn();
            }
            tried.push(entry.account.id.clone());
            flight.will_bind(&entry.account.id);
            let failure = match attempt(&self.upstream, flight, entry, access, call).await? {
                Attempt::Answered(response) => {
                    self.learn(&entry.account.id, &entry.live, Lesson::Certain(relay_domain::HealthEvent::Succeeded));
                    return Ok(response);
                }
                Attempt::Failed(returned, failure) => {
                    flight = returned;
                    failure
                }
            };
            let Failure { judgement, status, passable } = failure;
            self.learn(&entry.account.id, &entry.live, judgement.lesson);
            if let (Retry::Never, Some(response)) = (judgement.retry, passable.as_ref()) {
                flight.land(Outcome::Rejected, Some(judgement.outcome), response.status().as_u16());
                return passable.ok_or(EngineError::NoMessages);
            }
            flight.attempt_failed(judgement.outcome, status);
            last_words = passable;
            let spent = self.core.config.max_attempts <= tried.len() || (judgement.retry == Retry::Once && 1 < tried.len());
            if spent || !self.core.retries.withdraw(self.core.clock.now()) {
                break;
            }
            if judgement.outcome == relay_domain::AttemptOutcome::Overloaded {
                jitter().await;
            }
        }
        self.give_up(flight, &roster, preference, call, last_words)
    }

    fn rank(&self, roster: &Roster, preference: &Preference, call: &Call<'_>, tried: &[AccountId]) -> Ranking {
        let healths = roster.healths();
        let ask = Ask {
            platform: Platform::ClaudeConsole,
            model: call.scan.model.as_str(),
            now: self.core.clock.now(),
            day_ends: None,
            tried,
            bound: preference.bound.as_ref(),
            sticky: preference.sticky.as_ref(),
        };
        rank(&roster.candidates(&healths), &ask, Policy::default(), self.core.turn())
    }

    /// Nobody is left: the provider's own last words, unless all accounts rest, which says more.
    fn give_up(
        &self,
        mut flight: Flight,
        roster: &Roster,
        preference: &Preference,
        call: &Call<'_>,
        last_words: Option<Response<RelayBody>>,
    ) -> Result<Response<RelayBody>, EngineError> {
        let ranking = self.rank(roster, preference, call, &[]);
        if let Some(response) = last_words.filter(|_| !ranking.order.is_empty()) {
            flight.land(Outcome::Rejected, None, response.status().as_u16());
            return Ok(response);
        }
        let shortage = if ranking.order.is_empty() { ranking.shortage() } else { Shortage::Unavailable };
        let error = EngineError::NoAccount { shortage, retry_at: ranking.earliest_recovery() };
        tracing::warn!(request.id = %flight.record.id, model = call.scan.model.as_str(), %error, "no account");
        for (entry, verdict) in roster.entries.iter().zip(&ranking.verdicts) {
            tracing::info!(request.id = %flight.record.id, account.id = %entry.account.id, %verdict, "verdict");
        }
        let status = if matches!(shortage, Shortage::RateLimited { .. }) { 429 } else { 529 };
        flight.land(Outcome::NoAccount, None, status);
        Err(error)
    }

    /// Lets this process know at once, and the store beside.
    fn learn(&self, id: &AccountId, live: &Arc<AccountLive>, lesson: Lesson) {
        let now = self.core.clock.now();
        let event = match lesson {
            Lesson::Nothing => return,
            Lesson::Certain(relay_domain::HealthEvent::Succeeded) if !live.is_marked() => return,
            Lesson::Certain(event) => event,
            Lesson::Suspicion if live.breaker.failed(now) => relay_domain::HealthEvent::BreakerOpened,
            Lesson::Suspicion => return,
        };
        live.learn(&event, now);
        let accounts = Arc::clone(&self.core.directory.stores.accounts);
        let id = id.clone();
        self.core.spawn(async move {
            if let Err(error) = accounts.apply_health(&id, &event, now).await {
                tracing::warn!(account.id = %id, %error, "health not kept");
            }
        });
    }

    /// Whether the store answers: what readiness means.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn ready(&self) -> Result<ConfigVersion, EngineError> {
        Ok(self.core.directory.stores.ledger.version().await?)
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
    let header = |name: &'static str| incoming.headers.get(name).and_then(|value| value.to_str().ok());
    let digest = match hint(header, scan) {
        SessionHint::Explicit(session) => affinity(key.id.as_str(), &[b"session", session.as_bytes()]),
        SessionHint::Fingerprint { system, first_user } => {
            let system = system.map_or(&[][..], |range| &incoming.body[range]);
            affinity(key.id.as_str(), &[b"beginning", system, &incoming.body[first_user]])
        }
        SessionHint::None => return None,
    };
    AffinityKey::try_from(format!("{:032x}", u128::from_be_bytes(digest))).ok()
}

fn record(incoming: &Incoming<'_>, key: &ApiKey, scan: &RequestScan, now: Timestamp) -> RequestRecord {
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

impl Flight {
    /// Notes the conversation and its present binding.
    fn prefer(&mut self, affinity: Option<AffinityKey>, binding: Option<&Binding>) {
        let Some(affinity) = affinity else { return };
        let core = self.core();
        let until = core.clock.now().plus(core.config.binding_lifetime);
        let renewal_due = core.clock.now().plus(core.config.binding_renewal);
        self.bound_to = binding.filter(|binding| renewal_due < binding.until).map(|binding| binding.account.clone());
        self.rebind = None;
        self.affinity = Some((affinity, until));
    }

    /// The account about to be tried: its success binds the conversation, unless it is bound to it and
    /// for long enough already.
    fn will_bind(&mut self, account: &AccountId) {
        let due = self.bound_to.as_ref() != Some(account);
        self.rebind = self.affinity.clone().filter(|_| due).map(|(affinity, until)| {
            let binding = Binding { account: account.clone(), until };
            Rebind { affinity, binding }
        });
    }
}

/// A short pause, different for every request, so that they do not all knock at the next door at once.
async fn jitter() {
    let [low, high] = relay_crypto::random_bytes::<2>();
    let pause = u64::from(u16::from_le_bytes([low, high])) % OVERLOAD_JITTER_MS;
    tokio::time::sleep(Duration::from_millis(pause)).await;
}
