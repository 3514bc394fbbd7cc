//! v1's forms of a cost by kind.

use relay_domain::{CostBreakdown, NanoUsd, Platform, RequestRecord};

/// A cost as v1 shows it by kind.
pub(super) struct Breakdown {
    kinds: Option<CostBreakdown>,
    total: NanoUsd,
    is_claude: bool,
}

impl Breakdown {
    /// Of what a request cost at the provider.
    pub(super) fn of_cost(record: &RequestRecord) -> Self {
        Self::new(record, record.cost.unwrap_or_default(), record.cost_by_kind)
    }

    /// Of what counts against budgets: every kind has the share of it that it has of the cost.
    pub(super) fn of_charge(record: &RequestRecord) -> Self {
        let charged = record.charged.unwrap_or_default();
        let shares = record.cost_by_kind.and_then(|cost| cost.shares_of(charged));
        Self::new(record, charged, shares)
    }

    fn new(record: &RequestRecord, total: NanoUsd, kinds: Option<CostBreakdown>) -> Self {
        let nothing = (total == NanoUsd::ZERO).then_some(CostBreakdown::ZERO);
        let is_claude = record.platform == Platform::ClaudeConsole;
        Self { kinds: kinds.or(nothing), total, is_claude }
    }

    /// The kinds and their sum. What was charged at a fallback rate is known as a whole only.
    pub(super) fn with_total(&self) -> String {
        match self.kinds_text() {
            Some(kinds) => format!(r#"{{{kinds},"total":{}}}"#, self.total),
            None => format!(r#"{{"total":{}}}"#, self.total),
        }
    }

    /// The kinds alone, if they are known.
    pub(super) fn without_total(&self) -> Option<String> {
        self.kinds_text().map(|kinds| format!("{{{kinds}}}"))
    }

    /// v1 has no kind for web searches: they are in the total only.
    fn kinds_text(&self) -> Option<String> {
        let CostBreakdown { input, output, cache_read, cache_write_5m, cache_write_1h, .. } =
            self.kinds?;
        let written = cache_write_5m + cache_write_1h;
        // Beside the Claude path, v1 has the same under a second name.
        let again =
            if self.is_claude { String::new() } else { format!(r#""cacheWrite":{written},"#) };
        Some(format!(
            concat!(
                r#""input":{},"output":{},"cacheCreate":{},{}"cacheRead":{},"#,
                r#""ephemeral5m":{},"ephemeral1h":{}"#,
            ),
            input, output, written, again, cache_read, cache_write_5m, cache_write_1h,
        ))
    }
}
