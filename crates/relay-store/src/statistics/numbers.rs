//! The numbers of a cell, in the order in which they are stored.

use relay_domain::{NanoUsd, RequestRecord, TokenCount, TokenUsage};

use crate::UsageTotals;

/// How many numbers a cell has.
pub(super) const NUMBERS: usize = 9;

/// The numbers of a cell: requests, those without a price, five kinds of tokens, cost, and what was charged
/// beyond it: nothing as a rule, so that it takes no room. Any may be negative, for a correction.
pub(super) type Numbers = [i64; NUMBERS];

/// By how much the numbers of a counted request are others once it is corrected.
pub(super) fn correction(before: &RequestRecord, after: &RequestRecord) -> Numbers {
    let (mut numbers, before) = (of_record(after), of_record(before));
    for (number, before) in numbers.iter_mut().zip(before) {
        *number = number.saturating_sub(before);
    }
    numbers
}

/// Adds up. Sums stop at the end of their range.
pub(super) fn add(sum: &mut Numbers, more: &Numbers) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(*more);
    }
}

/// What one counted request adds.
pub(super) fn of_record(record: &RequestRecord) -> Numbers {
    let tokens = &record.usage;
    let count = |tokens: TokenCount| i64::try_from(tokens.get()).unwrap_or(i64::MAX);
    let cost = record.cost.unwrap_or_default().as_nanos();
    [
        1,
        i64::from(record.cost.is_none()),
        count(tokens.input),
        count(tokens.output),
        count(tokens.cache_read),
        count(tokens.cache_write_5m),
        count(tokens.cache_write_1h),
        cost,
        record.charged.unwrap_or_default().as_nanos().saturating_sub(cost),
    ]
}

/// The numbers as they are answered.
pub(super) fn totals(numbers: &Numbers) -> UsageTotals {
    let &[requests, unpriced, input, output, cache_read, short, long, cost, beyond] = numbers;
    let whole = |number: i64| u64::try_from(number).unwrap_or(0);
    let count = |number| TokenCount::new(whole(number));
    UsageTotals {
        requests: whole(requests),
        unpriced_requests: whole(unpriced),
        tokens: TokenUsage {
            input: count(input),
            output: count(output),
            cache_read: count(cache_read),
            cache_write_5m: count(short),
            cache_write_1h: count(long),
        },
        cost: NanoUsd::from_nanos(cost),
        charged: NanoUsd::from_nanos(cost.saturating_add(beyond)),
    }
}
