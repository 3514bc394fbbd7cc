//! What a key was charged for Claude models this week, when its week is to begin at another moment.
//!
//! v1's sum of it has the week's beginning in its name, so the week that begins elsewhere has another one, without
//! what was counted in the first. It is brought up with the change of the key, in one step. No sum tells what of
//! an hour was for Claude models: the charges for all models since the new beginning are what it may be at most,
//! and so is what the first week has with the charges for all models of the time before that. The lesser of both
//! is taken: it is exact for a key that uses Claude models alone, and never too little.

use std::time::Duration;

use relay_domain::{ApiKey, LimitPeriodKind, Timestamp};

use super::form;
use crate::counters::CLAUDE_WEEK_S;
use crate::guarded_write::{GuardedWrite, Raise};
use crate::hash::Hash;
use crate::shared::Shared;

/// Brings the sum of the week that `new` is in up to what is known of it, if the weeks of `old`, read from
/// `hash`, begin at another moment.
pub(super) fn carry_over(
    write: &mut GuardedWrite,
    shared: &Shared,
    (old, hash): (&ApiKey, &Hash),
    new: &ApiKey,
) {
    let Shared { keyspace, calendar, .. } = shared;
    // A key that is changed is dated.
    let Some(now) = new.updated_at else { return };
    let week = |key: &ApiKey| calendar.limit_period(LimitPeriodKind::Week, key.limits.starts, now);
    let (before, after) = (week(old), week(new));
    if before == after {
        return;
    }
    let name = keyspace.key(new.id.as_str());
    for field in form::WEEK {
        write.if_still(&name, field, hash.stored(field));
    }
    let sum = |week: &str| keyspace.claude_charged(&new.id, Some(week));
    let all_since = |start: Timestamp| {
        let parts = calendar.hours_then_days(start, now.plus(Duration::from_millis(1)));
        parts.into_iter().map(|part| keyspace.charged(&new.id, part)).collect()
    };
    write.raise(Raise {
        sum: sum(&after.to_string()),
        known: sum(&before.to_string()),
        since: all_since(after.starts_at),
        known_since: all_since(before.starts_at),
        lifetime: CLAUDE_WEEK_S,
    });
}
