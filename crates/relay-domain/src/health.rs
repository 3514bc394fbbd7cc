//! How an account fares: penalties with a reason and an end, and how they heal.
//!
//! Everything heals by itself. Only a confirmed 401, or an operator, keeps an account out for good.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ModelName, Timestamp};

/// How long a model is kept from an account that said it does not know it.
const MODEL_UNKNOWN_REST: Duration = Duration::from_mins(10);
/// The longest time for which a provider's own reset is believed.
const LONGEST_LIMIT: Duration = Duration::from_hours(192);

/// How long an account rests after trouble that the provider puts no end to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rest {
    /// Longer with every relapse.
    Growing {
        /// The first rest; it doubles with every relapse.
        first: Duration,
        /// The longest one.
        longest: Duration,
    },
    /// Always so long; nothing at all if that is zero.
    Fixed(Duration),
}

impl Rest {
    /// After trouble that passes by itself: five seconds, up to five minutes.
    pub const BRIEF: Self =
        Self::Growing { first: Duration::from_secs(5), longest: Duration::from_mins(5) };
    /// After the provider refused the account: a minute, up to an hour.
    pub const LONG: Self =
        Self::Growing { first: Duration::from_mins(1), longest: Duration::from_hours(1) };

    /// The rest after so many relapses in a row.
    #[must_use]
    pub fn after(self, relapses: u32) -> Duration {
        match self {
            Self::Growing { first, longest } => {
                first.saturating_mul(2_u32.saturating_pow(relapses)).min(longest)
            }
            Self::Fixed(rest) => rest,
        }
    }
}

/// Why an account rests.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PenaltyReason {
    /// The provider limited it (429).
    RateLimited,
    /// The provider is overloaded (529, 503).
    Overloaded,
    /// The provider failed (other 5xx) or broke off, several times in a row.
    ServerError,
    /// It could not be reached: refused, no such host, TLS, proxy.
    Unreachable,
    /// The provider refused the credential (401).
    Unauthorized,
    /// The provider refused the account (402, 403).
    Blocked,
    /// The provider does not know the model (404, or 400 that says so).
    ModelUnknown,
    /// Its daily quota is used up.
    QuotaExceeded,
}

impl PenaltyReason {
    /// The status under which v1 and v2 store this.
    pub fn status(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError | Self::Unreachable | Self::ModelUnknown => "temp_error",
            Self::Unauthorized => "unauthorized",
            Self::Blocked => "blocked",
            Self::QuotaExceeded => "quota_exceeded",
        }
    }
}

/// A rest with a reason and an end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Penalty {
    /// Why.
    pub reason: PenaltyReason,
    /// When it began.
    pub since: Timestamp,
    /// When it ends by itself; `None`: when an operator ends it.
    pub until: Option<Timestamp>,
    /// How many times in a row, this one included. The next rest grows with it.
    pub streak: u32,
}

impl Penalty {
    /// Whether it still holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// How an account fares.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AccountHealth {
    /// What keeps the whole account out. One whose end has passed stays until the next answer, so
    /// that a relapse rests longer.
    pub penalty: Option<Penalty>,
    /// What keeps single models out.
    pub models: BTreeMap<ModelName, Penalty>,
}

/// What an attempt told about an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HealthEvent {
    /// It answered.
    Succeeded,
    /// 429. Without a reset time of the provider's, `rest` is the operator's, if there is one.
    RateLimited {
        /// When the provider says that the limit ends.
        until: Option<Timestamp>,
        /// How long the operator lets such an account rest.
        rest: Option<Duration>,
        /// The model that alone is limited, if the answer says so.
        model: Option<ModelName>,
    },
    /// 529 or 503; the rest that follows.
    Overloaded(Rest),
    /// Several failures in a short time: the breaker opens, for this rest.
    BreakerOpened(Rest),
    /// It could not be reached.
    Unreachable,
    /// 401.
    Unauthorized {
        /// After so long the account is tried again; a second 401 then confirms the first.
        recheck: Duration,
    },
    /// The provider refuses the account: 402, 403, or a 400 that says so. The rest that follows.
    Blocked(Rest),
    /// The provider does not know this model.
    ModelUnknown(ModelName),
    /// An operator says that it is well.
    Reset,
}

impl AccountHealth {
    /// The status under which v1 and v2 know this state.
    pub fn status(&self) -> &'static str {
        self.penalty.map_or("active", |penalty| penalty.reason.status())
    }

    /// What keeps the account from serving `model` at `now`, if anything does.
    pub fn obstacle(&self, model: &str, now: Timestamp) -> Option<Penalty> {
        let of_account = self.penalty.filter(|penalty| penalty.holds(now));
        let of_model = || {
            self.models.iter().find(|(name, _)| name.as_str() == model).map(|(_, penalty)| *penalty)
        };
        of_account.or_else(|| of_model().filter(|penalty| penalty.holds(now)))
    }

    /// Whether the last penalty has run out and no answer has come since: one request may try.
    pub fn on_trial(&self, now: Timestamp) -> bool {
        self.penalty.is_some_and(|penalty| !penalty.holds(now))
    }

    /// The state after `event`. Total: late and repeated events have answers.
    #[must_use]
    pub fn on(mut self, event: HealthEvent, now: Timestamp) -> Self {
        self.models.retain(|_, penalty| penalty.holds(now));
        match event {
            HealthEvent::Reset => return Self::default(),
            HealthEvent::Succeeded => {
                // A late success does not shorten a rest that the provider asked for meanwhile.
                if self.on_trial(now) {
                    self.penalty = None;
                }
            }
            HealthEvent::RateLimited { until, rest, model } => {
                if let Some(until) = until.or_else(|| rest.map(|rest| now.plus(rest))) {
                    let until = until.min(now.plus(LONGEST_LIMIT));
                    self.rest(PenaltyReason::RateLimited, Some(until), model, now);
                }
            }
            HealthEvent::Overloaded(rest) => self.relapse(PenaltyReason::Overloaded, rest, now),
            HealthEvent::BreakerOpened(rest) => {
                self.relapse(PenaltyReason::ServerError, rest, now);
            }
            HealthEvent::Unreachable => self.relapse(PenaltyReason::Unreachable, Rest::BRIEF, now),
            HealthEvent::Blocked(rest) => self.relapse(PenaltyReason::Blocked, rest, now),
            HealthEvent::Unauthorized { recheck } => {
                let confirmed = self
                    .penalty
                    .is_some_and(|p| p.reason == PenaltyReason::Unauthorized && !p.holds(now));
                let until = (!confirmed).then(|| now.plus(recheck));
                self.rest(PenaltyReason::Unauthorized, until, None, now);
            }
            HealthEvent::ModelUnknown(model) => {
                let until = Some(now.plus(MODEL_UNKNOWN_REST));
                self.rest(PenaltyReason::ModelUnknown, until, Some(model), now);
            }
        }
        self
    }

    /// Rests anew, for as long as `rest` says after so many relapses.
    fn relapse(&mut self, reason: PenaltyReason, rest: Rest, now: Timestamp) {
        // Requests that were in flight together fail together: that is one relapse, not many.
        if self.penalty.is_some_and(|penalty| penalty.reason == reason && penalty.holds(now)) {
            return;
        }
        let relapses = self
            .penalty
            .filter(|penalty| penalty.reason == reason)
            .map_or(0, |penalty| penalty.streak);
        let rest = rest.after(relapses);
        if !rest.is_zero() {
            self.rest(reason, Some(now.plus(rest)), None, now);
        }
    }

    /// Takes a penalty. Of two that hold at once, the one that ends later stays.
    fn rest(
        &mut self,
        reason: PenaltyReason,
        until: Option<Timestamp>,
        model: Option<ModelName>,
        now: Timestamp,
    ) {
        let old = match &model {
            Some(model) => self.models.get(model).copied(),
            None => self.penalty,
        };
        let ends_later = |old: &Penalty| {
            old.until.is_none() || until.is_some_and(|until| old.until >= Some(until))
        };
        if old.is_some_and(|old| old.holds(now) && ends_later(&old)) {
            return;
        }
        let streak =
            old.filter(|old| old.reason == reason).map_or(0, |old| old.streak).saturating_add(1);
        let penalty = Penalty { reason, since: now, until, streak };
        match model {
            Some(model) => {
                self.models.insert(model, penalty);
            }
            None => self.penalty = Some(penalty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000)
    }

    fn after(events: &[(u64, HealthEvent)]) -> AccountHealth {
        events.iter().fold(AccountHealth::default(), |health, (second, event)| {
            health.on(event.clone(), at(*second))
        })
    }

    fn limited(until: u64) -> HealthEvent {
        HealthEvent::RateLimited { until: Some(at(until)), rest: None, model: None }
    }

    const UNAUTHORIZED: HealthEvent =
        HealthEvent::Unauthorized { recheck: Duration::from_secs(30) };

    #[test]
    fn rests_end_as_they_should() {
        use HealthEvent::{Reset, Succeeded};
        let overloaded = || HealthEvent::Overloaded(Rest::BRIEF);
        let breaker_opened = || HealthEvent::BreakerOpened(Rest::BRIEF);
        let fixed = |seconds| HealthEvent::Overloaded(Rest::Fixed(Duration::from_secs(seconds)));
        let cases = [
            ("never ill", vec![(0, Succeeded)], None),
            ("limited until the provider's word", vec![(0, limited(60))], Some(at(60))),
            (
                "two limits in flight: the longer wins",
                vec![(0, limited(60)), (1, limited(30))],
                Some(at(60)),
            ),
            ("overload rests shortly", vec![(0, overloaded())], Some(at(5))),
            (
                "failing together is one relapse",
                vec![(0, overloaded()), (1, overloaded())],
                Some(at(5)),
            ),
            ("a relapse rests longer", vec![(0, overloaded()), (6, overloaded())], Some(at(16))),
            (
                "an answer in between forgives",
                vec![(0, overloaded()), (6, Succeeded), (7, overloaded())],
                Some(at(12)),
            ),
            ("a late success heals nothing", vec![(0, limited(60)), (1, Succeeded)], Some(at(60))),
            (
                "a breaker's rest yields to a longer one",
                vec![(0, breaker_opened()), (1, limited(60))],
                Some(at(60)),
            ),
            ("a fixed rest stays as it is", vec![(0, fixed(60)), (61, fixed(60))], Some(at(121))),
            ("no rest is none", vec![(0, fixed(0))], None),
            ("an operator heals at once", vec![(0, limited(60)), (1, Reset)], None),
            ("a first 401 is checked again", vec![(0, UNAUTHORIZED)], Some(at(30))),
            (
                "two 401 in flight confirm nothing",
                vec![(0, UNAUTHORIZED), (1, UNAUTHORIZED)],
                Some(at(31)),
            ),
        ];
        for (name, events, until) in cases {
            assert_eq!(after(&events).penalty.and_then(|penalty| penalty.until), until, "{name}");
        }
    }

    #[test]
    fn a_confirmed_401_waits_for_an_operator() {
        let health = after(&[(0, UNAUTHORIZED), (30, UNAUTHORIZED)]);
        assert_eq!(health.penalty.map(|penalty| penalty.until), Some(None));
        assert_eq!(health.status(), "unauthorized");
        assert!(health.obstacle("m", at(1_000_000)).is_some());
    }

    #[test]
    fn a_model_rests_alone() {
        let model = ModelName::try_from("m").unwrap();
        let health = after(&[(0, HealthEvent::ModelUnknown(model))]);
        assert!(health.obstacle("m", at(599)).is_some());
        assert!(health.obstacle("m", at(600)).is_none());
        assert!(health.obstacle("other", at(1)).is_none());
        assert_eq!(health.status(), "active");
    }

    #[test]
    fn a_429_that_names_no_end_penalises_nobody() {
        let event = HealthEvent::RateLimited { until: None, rest: None, model: None };
        assert_eq!(after(&[(0, event)]), AccountHealth::default());
    }
}
