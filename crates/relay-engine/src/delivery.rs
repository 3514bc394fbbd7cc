//! Handing a request to accounts until one answers.

mod placing;

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use relay_domain::{AccountId, AttemptOutcome, HealthEvent, LimitKind, NanoUsd, Outcome, Platform};
use relay_scheduler::{Ask, ChosenWhy, Exclusion, Policy, Ranking, Shortage, Verdict, rank};
use relay_store::Denial;

use crate::EngineError;
use crate::admission::Preference;
use crate::attempt::{Attempt, Failure, attempt};
use crate::classify::{Lesson, Retry, Trouble};
use crate::decision::decision;
use crate::flight::Flight;
use crate::journey::{Call, Incoming, Relay};
use crate::roster::{Roster, RosterEntry, Trial};
use crate::stream::RelayBody;
use crate::wait_room::{Hall, Obstacle};
use crate::waiting::{Seat, Wish};

/// The pause before another account is tried while the provider is overloaded: up to this.
const OVERLOAD_JITTER_MS: u64 = 150;

/// What has become of a request among the accounts so far.
#[derive(Default)]
struct Round {
    tried: Vec<AccountId>,
    /// Accounts whose own limits have no room for it, and why.
    full: Vec<(AccountId, Exclusion)>,
    /// What the last account said.
    last_words: Option<Response<RelayBody>>,
    /// Its place in the line for an account that is not busy.
    place: Option<Seat>,
}

impl Relay {
    /// Tries accounts until one answers.
    pub(crate) async fn deliver(
        &self,
        mut flight: Flight,
        mut preference: Preference,
        call: &Call<'_>,
        incoming: &Incoming<'_>,
    ) -> Result<Response<RelayBody>, EngineError> {
        let mut round = Round::default();
        let mut roster = self.core.directory.roster();
        loop {
            let ranking = self.rank(&roster, &preference, call, &round);
            if flight.record.decision.is_empty() {
                flight.record.decision = decision(&roster, &ranking);
            }
            let Some(index) = ranking.first() else {
                if ranking.shortage().is_momentary()
                    && let Some(by_now) =
                        self.wait_for_account(&mut flight, incoming, &mut round).await?
                {
                    preference.renew(by_now);
                    roster = self.core.directory.roster();
                    continue;
                }
                break;
            };
            let entry = &roster.entries[index];
            let Ok(access) = &entry.access else { break };
            self.hold_enough(&mut flight, entry, call).await?;
            if self.passes_others(&flight, entry, &mut round)
                || !self.take_place(&mut flight, entry, call, &mut round).await?
            {
                flight.record.decision.clear();
                continue;
            }
            if let Some(place) = round.place.take() {
                place.served();
            }
            let now = self.core.clock.now();
            if round.tried.is_empty() {
                if matches!(ranking.verdicts[index], BY_PRIORITY) {
                    self.core.next_turn();
                }
            } else if !self.core.retries.withdraw(now) {
                break;
            }
            round.tried.push(entry.account.id.clone());
            let trial = Trial::begin(&entry.live, now);
            let attempted = attempt(&self.upstream, flight, entry, access, call).await;
            drop(trial);
            self.core.learn(&entry.account.id, &entry.live, lesson(&attempted));
            let failure = match attempted? {
                Attempt::Answered { response, .. } => return Ok(response),
                Attempt::Failed(failed) => failed,
            };
            let (returned, Failure { judgement, status, passable }) = *failure;
            flight = returned;
            if judgement.retry == Retry::Never
                && let Some(response) = passable
            {
                flight.land(Outcome::Rejected, Some(judgement.outcome), response.status().as_u16());
                return Ok(response);
            }
            flight.attempt_failed(judgement.outcome, status);
            if flight.client_has_left() {
                // Nobody is there for whom another account should try.
                flight.land(Outcome::ClientGone, None, status.unwrap_or_default());
                return Ok(
                    passable.unwrap_or_else(|| Response::new(RelayBody::whole(Bytes::new())))
                );
            }
            round.last_words = passable;
            let spent = self.core.config.max_attempts <= round.tried.len()
                || (judgement.retry == Retry::Once && 1 < round.tried.len());
            if spent {
                break;
            }
            if judgement.outcome == AttemptOutcome::Overloaded {
                jitter().await;
            }
            self.look_again(&mut flight, &mut preference).await?;
            roster = self.core.directory.roster();
        }
        self.give_up(flight, &roster, &preference, call, round)
    }

    /// Before another account is asked: the attempt that failed may have taken long, and its key may have been
    /// revoked or bound to others meanwhile. While the store is away, what was known holds.
    async fn look_again(
        &self,
        flight: &mut Flight,
        preference: &mut Preference,
    ) -> Result<(), EngineError> {
        let Some(payer) = flight.payer().cloned() else { return Ok(()) };
        match self.still_welcome(&payer, flight).await {
            Ok(by_now) => preference.renew(by_now),
            Err(EngineError::Store(_)) => {}
            Err(refusal) => {
                flight.land(Outcome::Rejected, None, 0);
                return Err(refusal);
            }
        }
        Ok(())
    }

    /// Whether the request would pass others that wait for `entry`'s account: then that is full for it too,
    /// until it has waited itself.
    fn passes_others(&self, flight: &Flight, entry: &RosterEntry, round: &mut Round) -> bool {
        let account = &entry.account.id;
        let may_wait = flight.payer().is_some_and(|payer| payer.key.queue.is_some());
        let Some(limit) = entry.account.limits.concurrency else { return false };
        let passes = may_wait
            && round.place.is_none()
            && flight.placed() != Some(account)
            && self.core.wait_room.is_awaited(account);
        if passes {
            round.full.push((account.clone(), Exclusion::AtCapacity { limit }));
        }
        passes
    }

    /// Waits until an account may be free, where the key's requests wait, and returns what the key may use by
    /// then. `None`: they do not wait.
    async fn wait_for_account(
        &self,
        flight: &mut Flight,
        incoming: &Incoming<'_>,
        round: &mut Round,
    ) -> Result<Option<Preference>, EngineError> {
        let Some(payer) = flight.payer().cloned() else { return Ok(None) };
        let Some(terms) = payer.key.queue else { return Ok(None) };
        let busy = round.full.drain(..).map(|(account, _)| account).collect();
        // Others may be content with another account.
        let wish = Wish { terms, hall: Hall::Accounts, obstacle: Obstacle::ItsOwn, busy };
        let waited = self.core.wait(flight, incoming, wish, &mut round.place).await;
        waited.inspect_err(|_| flight.land(Outcome::NoAccount, None, 429))?;
        // Its key or the accounts may have changed meanwhile.
        let ready = self.still_welcome(&payer, flight).await;
        Ok(Some(ready.inspect_err(|_| flight.land(Outcome::Rejected, None, 0))?))
    }

    fn rank(
        &self,
        roster: &Roster,
        preference: &Preference,
        call: &Call<'_>,
        round: &Round,
    ) -> Ranking {
        let healths = roster.healths();
        let ask = Ask {
            platform: Platform::ClaudeConsole,
            model: call.scan.model.as_str(),
            now: self.core.clock.now(),
            day_ends: None,
            tried: &round.tried,
            binding: &preference.binding,
            restricted_models: &preference.restricted_models,
            sticky: preference.sticky.as_ref(),
        };
        let candidates = roster.candidates(&healths);
        let mut ranking = rank(&candidates, &ask, Policy::default(), self.core.turn());
        for (account, exclusion) in &round.full {
            let of_account = |entry: &RosterEntry| entry.account.id == *account;
            if let Some(index) = roster.entries.iter().position(of_account)
                && matches!(ranking.verdicts[index], Verdict::Chosen { .. })
            {
                ranking.order.retain(|chosen| *chosen != index);
                ranking.verdicts[index] = Verdict::Excluded(*exclusion);
            }
        }
        ranking
    }

    /// Nobody is left: the provider's own last words, unless all accounts rest, which says more.
    fn give_up(
        &self,
        mut flight: Flight,
        roster: &Roster,
        preference: &Preference,
        call: &Call<'_>,
        mut round: Round,
    ) -> Result<Response<RelayBody>, EngineError> {
        round.tried.clear();
        let ranking = self.rank(roster, preference, call, &round);
        if let Some(response) = round.last_words.filter(|_| !ranking.order.is_empty()) {
            flight.land(Outcome::Rejected, None, response.status().as_u16());
            return Ok(response);
        }
        let shortage =
            if ranking.order.is_empty() { ranking.shortage() } else { Shortage::Unavailable };
        let error = EngineError::NoAccount { shortage, retry_at: ranking.earliest_recovery() };
        tracing::warn!(request.id = %flight.record.id, model = call.scan.model.as_str(), %error, "no account");
        for (entry, verdict) in roster.entries.iter().zip(&ranking.verdicts) {
            tracing::info!(request.id = %flight.record.id, account.id = %entry.account.id, %verdict, "verdict");
        }
        flight.record.decision = decision(roster, &ranking);
        flight.land(Outcome::NoAccount, None, status_of(shortage));
        Err(error)
    }
}

/// The verdict on an account that is first by its priority and its turn.
const BY_PRIORITY: Verdict = Verdict::Chosen { why: ChosenWhy::Priority, position: 0 };

/// The verdict on an account whose own limit has no room for a request that weighs `needed` on it.
fn full(denial: &Denial, needed: u64) -> Exclusion {
    let Denial { limit, used, held, allowed, resets_at, .. } = *denial;
    let dollars = |amount| NanoUsd::from_nanos(i64::try_from(amount).unwrap_or(i64::MAX));
    let spent = used.saturating_sub(held);
    if limit == LimitKind::Concurrency {
        Exclusion::AtCapacity { limit: u32::try_from(allowed).unwrap_or(u32::MAX) }
    } else if spent < allowed && needed <= allowed - spent {
        Exclusion::RoomHeld { limit }
    } else if spent < allowed {
        Exclusion::RoomTooSmall { limit, until: resets_at.filter(|_| needed <= allowed) }
    } else if limit.is_money() {
        let (quota, spent) = (dollars(allowed), dollars(spent));
        Exclusion::QuotaSpent { quota, spent, until: resets_at }
    } else {
        Exclusion::LimitReached { limit, until: resets_at }
    }
}

/// What an attempt tells about its account.
fn lesson(attempted: &Result<Attempt, EngineError>) -> Lesson {
    match attempted {
        Ok(Attempt::Answered { proven: true, .. }) => Lesson::Certain(HealthEvent::Succeeded),
        Ok(Attempt::Failed(failed)) => failed.1.judgement.lesson.clone(),
        Err(EngineError::HeadTimeout(_)) => Lesson::Suspicion(Trouble::TimingOut),
        Ok(Attempt::Answered { proven: false, .. }) | Err(_) => Lesson::Nothing,
    }
}

/// The status that a client gets when there is nobody to try.
fn status_of(shortage: Shortage) -> u16 {
    match shortage {
        Shortage::RateLimited { .. } | Shortage::RoomTooSmall { .. } | Shortage::RoomHeld => 429,
        Shortage::ModelNotServed => 404,
        Shortage::ModelRestricted => 403,
        Shortage::NoAccounts
        | Shortage::NoMembers
        | Shortage::Overloaded { .. }
        | Shortage::Busy
        | Shortage::Unavailable => 529,
    }
}

/// A short pause, different for every request, so that they do not all knock at the next door at once.
async fn jitter() {
    let [low, high] = relay_crypto::random_bytes::<2>();
    let pause = u64::from(u16::from_le_bytes([low, high])) % OVERLOAD_JITTER_MS;
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

#[cfg(test)]
mod tests;
