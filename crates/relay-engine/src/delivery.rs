//! Handing a request to accounts until one answers.

use std::time::Duration;

use http::Response;
use relay_domain::{AccountId, AttemptOutcome, HealthEvent, Outcome, Platform};
use relay_scheduler::{Ask, ChosenWhy, Policy, Ranking, Shortage, Verdict, rank};

use crate::EngineError;
use crate::admission::Preference;
use crate::attempt::{Attempt, Failure, attempt};
use crate::classify::{Lesson, Retry, Trouble};
use crate::flight::Flight;
use crate::journey::{Call, Relay};
use crate::roster::{Roster, Trial};
use crate::stream::RelayBody;

/// The pause before another account is tried while the provider is overloaded: up to this.
const OVERLOAD_JITTER_MS: u64 = 150;

impl Relay {
    /// Tries accounts until one answers.
    pub(crate) async fn deliver(
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
            let now = self.core.clock.now();
            if tried.is_empty() {
                if matches!(ranking.verdicts[index], BY_PRIORITY) {
                    self.core.next_turn();
                }
            } else if !self.core.retries.withdraw(now) {
                break;
            }
            tried.push(entry.account.id.clone());
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
            last_words = passable;
            let spent = self.core.config.max_attempts <= tried.len()
                || (judgement.retry == Retry::Once && 1 < tried.len());
            if spent {
                break;
            }
            if judgement.outcome == AttemptOutcome::Overloaded {
                jitter().await;
            }
        }
        self.give_up(flight, &roster, preference, call, last_words)
    }

    fn rank(
        &self,
        roster: &Roster,
        preference: &Preference,
        call: &Call<'_>,
        tried: &[AccountId],
    ) -> Ranking {
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
        let shortage =
            if ranking.order.is_empty() { ranking.shortage() } else { Shortage::Unavailable };
        let error = EngineError::NoAccount { shortage, retry_at: ranking.earliest_recovery() };
        tracing::warn!(request.id = %flight.record.id, model = call.scan.model.as_str(), %error, "no account");
        for (entry, verdict) in roster.entries.iter().zip(&ranking.verdicts) {
            tracing::info!(request.id = %flight.record.id, account.id = %entry.account.id, %verdict, "verdict");
        }
        flight.land(Outcome::NoAccount, None, status_of(shortage));
        Err(error)
    }
}

/// The verdict on an account that is first by its priority and its turn.
const BY_PRIORITY: Verdict = Verdict::Chosen { why: ChosenWhy::Priority, position: 0 };

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
        Shortage::RateLimited { .. } => 429,
        Shortage::ModelNotServed => 404,
        Shortage::NoAccounts
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
