//! The headers that tell a client how far its key's own limits are used. The provider's account has limits
//! too; those are none of the client's business and never travel.

use http::{HeaderMap, HeaderName, HeaderValue};
use relay_domain::{LimitKind, LimitState, NanoUsd};

/// The names of one limit's headers: what there is, what is left, when it starts anew.
type Names = [HeaderName; 3];

macro_rules! names {
    ($family:literal) => {
        [
            HeaderName::from_static(concat!($family, "-limit")),
            HeaderName::from_static(concat!($family, "-remaining")),
            HeaderName::from_static(concat!($family, "-reset")),
        ]
    };
}

/// Writes the headers that tell a client how `limits` of its key stand.
pub fn write(limits: &[LimitState], headers: &mut HeaderMap) {
    for state in limits {
        let [limit, remaining, reset] = names(state.limit);
        let left = state.allowed.saturating_sub(state.used).saturating_sub(state.held);
        for (name, amount) in [(limit, state.allowed), (remaining, left)] {
            if let Ok(value) = HeaderValue::try_from(amount_text(state.limit, amount)) {
                headers.insert(name, value);
            }
        }
        let value = state.resets_at.and_then(|at| HeaderValue::try_from(at.to_string()).ok());
        if let Some(value) = value {
            headers.insert(reset, value);
        }
    }
}

/// Requests and tokens of the window go by the names that clients know; the rest by Relay's own.
fn names(limit: LimitKind) -> Names {
    match limit {
        LimitKind::WindowRequests => names!("anthropic-ratelimit-requests"),
        LimitKind::WindowTokens => names!("anthropic-ratelimit-tokens"),
        LimitKind::Concurrency => names!("x-relay-concurrency"),
        LimitKind::WindowCost => names!("x-relay-budget-window"),
        LimitKind::DailyCost => names!("x-relay-budget-daily"),
        LimitKind::WeeklyCost => names!("x-relay-budget-weekly"),
        LimitKind::MonthlyCost => names!("x-relay-budget-monthly"),
        LimitKind::TotalCost => names!("x-relay-budget-total"),
        LimitKind::WeeklyClaudeCost => names!("x-relay-budget-weekly-claude"),
    }
}

/// A number, or decimal dollars.
fn amount_text(limit: LimitKind, amount: u64) -> String {
    if limit.is_money() {
        NanoUsd::from_nanos(i64::try_from(amount).unwrap_or(i64::MAX)).to_string()
    } else {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use relay_domain::Timestamp;

    use super::*;

    #[test]
    fn a_keys_limits_are_told_by_the_names_that_clients_know() {
        let state = |limit, used, held, allowed| LimitState {
            limit,
            used,
            held,
            allowed,
            resets_at: limit.is_money().then_some(Timestamp::from_millis(1_000)),
        };
        let limits = [
            state(LimitKind::WindowRequests, 3, 0, 10),
            state(LimitKind::DailyCost, 1_500_000_000, 250_000_000, 2_000_000_000),
            state(LimitKind::Concurrency, 0, 7, 5),
        ];
        let mut headers = HeaderMap::new();
        write(&limits, &mut headers);
        let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("anthropic-ratelimit-requests-limit"), Some("10"));
        assert_eq!(header("anthropic-ratelimit-requests-remaining"), Some("7"));
        assert_eq!(header("anthropic-ratelimit-requests-reset"), None);
        assert_eq!(header("x-relay-budget-daily-limit"), Some("2.00"));
        assert_eq!(header("x-relay-budget-daily-remaining"), Some("0.25"));
        assert_eq!(header("x-relay-budget-daily-reset"), Some("1970-01-01T00:00:01.000Z"));
        assert_eq!(header("x-relay-concurrency-remaining"), Some("0"));
    }
}
