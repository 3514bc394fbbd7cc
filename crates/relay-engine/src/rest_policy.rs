//! How long accounts rest after what, as far as the operator may decide it.

use std::time::Duration;

use relay_domain::Rest;

/// How long accounts rest after what. What the provider itself puts an end to, and what could not be
/// reached, is not decided here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RestPolicy {
    /// After 529, and an overload event in a stream.
    pub overloaded: Rest,
    /// After 503.
    pub unavailable: Rest,
    /// After several failures close together: another 5xx, or a connection that broke off.
    pub failing: Rest,
    /// After several failures close together of which the last was 504, or no answer in time.
    pub timing_out: Rest,
    /// After 402 and 403.
    pub refused: Rest,
    /// How long after a first 401 an account is tried again.
    pub unauthorized_recheck: Duration,
    /// After a 400 that says that the account is disabled. `None`: such a 400 is the client's, as any other.
    pub disabled: Option<Duration>,
    /// The longest `retry-after` that is believed. `None`: the provider's word counts.
    pub longest_retry_after: Option<Duration>,
}

impl Default for RestPolicy {
    fn default() -> Self {
        Self {
            overloaded: Rest::BRIEF,
            unavailable: Rest::BRIEF,
            failing: Rest::BRIEF,
            timing_out: Rest::BRIEF,
            refused: Rest::LONG,
            unauthorized_recheck: Duration::from_secs(30),
            disabled: None,
            longest_retry_after: None,
        }
    }
}
