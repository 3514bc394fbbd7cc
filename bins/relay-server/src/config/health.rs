//! `[health]`: how long accounts rest after what.

use std::time::Duration;

use relay_domain::Rest;
use relay_engine::RestPolicy;
use serde::Deserialize;

use super::Objections;

/// A day. v1 allows overload as much.
const LONGEST_REST_SECONDS: u64 = 86_400;

/// How long accounts rest after what. What is not set follows the table in docs/failover.md; 0 is no rest.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HealthSection {
    pub(crate) overloaded_seconds: Option<u64>,
    pub(crate) unavailable_seconds: Option<u64>,
    pub(crate) failing_seconds: Option<u64>,
    pub(crate) timing_out_seconds: Option<u64>,
    pub(crate) refused_seconds: Option<u64>,
    /// After a 400 that says that the account is disabled; 0 as v1's: such a 400 is the client's.
    pub(crate) disabled_minutes: u64,
    pub(crate) longest_retry_after_seconds: Option<u64>,
}

impl HealthSection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        let seconds = [
            ("health.overloaded_seconds", self.overloaded_seconds),
            ("health.unavailable_seconds", self.unavailable_seconds),
            ("health.failing_seconds", self.failing_seconds),
            ("health.timing_out_seconds", self.timing_out_seconds),
            ("health.refused_seconds", self.refused_seconds),
            ("health.longest_retry_after_seconds", self.longest_retry_after_seconds),
        ];
        for (path, seconds) in seconds {
            if let Some(seconds) = seconds {
                objections.within(path, seconds, 0..=LONGEST_REST_SECONDS);
            }
        }
        objections.within("health.disabled_minutes", self.disabled_minutes, 0..=1_440);
    }

    /// The same as the engine takes it.
    pub(crate) fn policy(&self) -> RestPolicy {
        let usual = RestPolicy::default();
        let fixed = |seconds: Option<u64>, usual: Rest| {
            seconds.map_or(usual, |seconds| Rest::Fixed(Duration::from_secs(seconds)))
        };
        let disabled = Duration::from_secs(self.disabled_minutes * 60);
        RestPolicy {
            overloaded: fixed(self.overloaded_seconds, usual.overloaded),
            unavailable: fixed(self.unavailable_seconds, usual.unavailable),
            failing: fixed(self.failing_seconds, usual.failing),
            timing_out: fixed(self.timing_out_seconds, usual.timing_out),
            refused: fixed(self.refused_seconds, usual.refused),
            unauthorized_recheck: self
                .refused_seconds
                .map_or(usual.unauthorized_recheck, Duration::from_secs),
            disabled: Some(disabled).filter(|rest| !rest.is_zero()),
            longest_retry_after: self.longest_retry_after_seconds.map(Duration::from_secs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_as_the_engine_has_it() {
        assert_eq!(HealthSection::default().policy(), RestPolicy::default());
    }

    #[test]
    fn what_is_set_holds() {
        let seconds = |n| Rest::Fixed(Duration::from_secs(n));
        let section = HealthSection {
            overloaded_seconds: Some(1),
            unavailable_seconds: Some(2),
            failing_seconds: Some(3),
            timing_out_seconds: Some(4),
            refused_seconds: Some(0),
            disabled_minutes: 6,
            longest_retry_after_seconds: Some(7),
        };
        let expected = RestPolicy {
            overloaded: seconds(1),
            unavailable: seconds(2),
            failing: seconds(3),
            timing_out: seconds(4),
            refused: seconds(0),
            unauthorized_recheck: Duration::ZERO,
            disabled: Some(Duration::from_mins(6)),
            longest_retry_after: Some(Duration::from_secs(7)),
        };
        assert_eq!(section.policy(), expected);
    }
}
