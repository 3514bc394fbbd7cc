//! The numbers of a cell, in the order in which they are stored.

use relay_domain::{NanoUsd, RequestRecord, TokenCount, TokenUsage};

use crate::UsageTotals;

/// How many numbers a cell has.
pub(super) const NUMBERS: usize = 9;

/// The place among them of requests without a price.
pub(super) const UNPRICED: usize = 1;

/// The numbers of a cell: requests, those without a price, five kinds of tokens, cost, what was charged.
pub(super) type Numbers = [i64; NUMBERS];

/// Whether a number may be negative: money may, for a correction.
pub(super) fn is_signed(number: usize) -> bool {
    number >= 7
}

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
    [
        1,
        i64::from(record.cost.is_none()),
        count(tokens.input),
        count(tokens.output),
        count(tokens.cache_read),
        count(tokens.cache_write_5m),
        count(tokens.cache_write_1h),
        record.cost.unwrap_or_default().as_nanos(),
        record.charged.unwrap_or_default().as_nanos(),
    ]
}

/// The numbers as they are answered.
pub(super) fn totals(numbers: &Numbers) -> UsageTotals {
    let &[requests, unpriced, input, output, cache_read, short, long, cost, charged] = numbers;
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
        charged: NanoUsd::from_nanos(charged),
    }
}
