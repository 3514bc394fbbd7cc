//! What one or several requests add to counters.

use std::ops::AddAssign;

use relay_domain::{NanoUsd, RequestRecord, TokenCount, TokenUsage};

use crate::call::Call;

/// What is added.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Amounts {
    pub(crate) requests: u64,
    pub(crate) tokens: TokenUsage,
    /// What the priced ones cost at the provider.
    pub(crate) cost: NanoUsd,
    /// What the others are presumed to cost.
    pub(crate) presumed: NanoUsd,
    /// What they count against the budgets of keys and groups.
    pub(crate) charged: NanoUsd,
    pub(crate) unpriced_requests: u64,
    /// What of the cost is for Claude models.
    pub(crate) claude_cost: NanoUsd,
    /// What of what is presumed is.
    pub(crate) claude_presumed: NanoUsd,
    /// What of the charge is for Claude models.
    pub(crate) claude_charged: NanoUsd,
    /// v1's millionths of a dollar: rounded for each request, then added.
    pub(super) cost_micros: i64,
    pub(super) charged_micros: i64,
}

impl Amounts {
    /// What a counted request adds.
    pub(crate) fn of(record: &RequestRecord) -> Self {
        let (cost, charged) = (record.cost.unwrap_or_default(), record.charged.unwrap_or_default());
        let presumed = record.presumed_cost.unwrap_or_default();
        let of_claude = |amount| if record.is_claude() { amount } else { NanoUsd::ZERO };
        Self {
            requests: 1,
            tokens: record.usage,
            cost,
            presumed,
            charged,
            unpriced_requests: u64::from(record.cost.is_none()),
            claude_cost: of_claude(cost),
            claude_presumed: of_claude(presumed),
            claude_charged: of_claude(charged),
            cost_micros: micros(cost),
            charged_micros: micros(charged),
        }
    }

    /// Appends the amounts, in the order of the FIELDS of `settle.lua`. `claude`: what of them counts on a
    /// budget of Claude models.
    pub(crate) fn write(&self, claude: NanoUsd, call: &mut Call<'_>) {
        let Self { requests, tokens, cost, presumed, charged, unpriced_requests, .. } = self;
        let cache_written = tokens.cache_write_5m + tokens.cache_write_1h;
        call.arg(*requests);
        for count in [
            tokens.input,
            tokens.output,
            cache_written,
            tokens.cache_read,
            tokens.cache_write_5m,
            tokens.cache_write_1h,
            tokens.total(),
            tokens.input + tokens.output,
        ] {
            call.arg(TokenCount::get(count));
        }
        call.arg(cost.as_nanos());
        call.arg(charged.as_nanos());
        call.arg(*unpriced_requests);
        call.arg(claude.as_nanos());
        call.arg(self.cost_micros);
        call.arg(self.charged_micros);
        call.arg(presumed.as_nanos());
    }
}

impl AddAssign<&Self> for Amounts {
    fn add_assign(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.tokens = self.tokens + other.tokens;
        self.cost = self.cost + other.cost;
        self.presumed = self.presumed + other.presumed;
        self.charged = self.charged + other.charged;
        self.unpriced_requests = self.unpriced_requests.saturating_add(other.unpriced_requests);
        self.claude_cost = self.claude_cost + other.claude_cost;
        self.claude_presumed = self.claude_presumed + other.claude_presumed;
        self.claude_charged = self.claude_charged + other.claude_charged;
        self.cost_micros = self.cost_micros.saturating_add(other.cost_micros);
        self.charged_micros = self.charged_micros.saturating_add(other.charged_micros);
    }
}

/// An amount in millionths of a dollar, rounded half up as JavaScript rounds.
pub(crate) fn micros(amount: NanoUsd) -> i64 {
    amount.as_nanos().saturating_add(500).div_euclid(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millionths_are_rounded_half_up() {
        for (nanos, expected) in [(0, 0), (499, 0), (500, 1), (1_499, 1), (6_780_000, 6_780)] {
            assert_eq!(micros(NanoUsd::from_nanos(nanos)), expected, "{nanos}");
        }
    }
}
