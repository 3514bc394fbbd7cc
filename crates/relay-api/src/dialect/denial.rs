//! What a client reads of a limit that is reached: its kind of error, and its numbers under v1's names and
//! under Relay's own.

use relay_domain::{LimitKind, LimitScope, LimitState, NanoUsd, Timestamp};
use relay_protocol::anthropic::ErrorType;
use relay_store::Denial;

/// v1's statuses: 402 for what is spent, which clients do not try again, 429 for what passes.
pub(super) fn denial_type(limit: LimitKind) -> ErrorType {
    match limit {
        LimitKind::Concurrency
        | LimitKind::WindowRequests
        | LimitKind::WindowTokens
        | LimitKind::WindowCost => ErrorType::RateLimit,
        LimitKind::DailyCost
        | LimitKind::WeeklyCost
        | LimitKind::MonthlyCost
        | LimitKind::TotalCost
        | LimitKind::WeeklyClaudeCost => ErrorType::Billing,
    }
}

/// How the limit stands, if it is the key's own: whoever else uses a group is none of the client's business.
pub(super) fn own_limit(denial: &Denial) -> Option<LimitState> {
    let LimitScope::Key(_) = denial.scope else { return None };
    let Denial { limit, used, allowed, resets_at, .. } = *denial;
    Some(LimitState { limit, used, held: 0, allowed, resets_at })
}

/// The members beside the error: v1's, and `limit` with all that is known, `needed` included where there
/// would have been some room.
pub(super) fn denial_members(
    denial: &Denial,
    needed: u64,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let [current, limit] = match denial.limit {
        LimitKind::Concurrency => ["currentConcurrency", "concurrencyLimit"],
        LimitKind::WindowRequests => ["currentRequests", "requestLimit"],
        LimitKind::WindowTokens => ["currentTokens", "tokenLimit"],
        LimitKind::WindowCost
        | LimitKind::DailyCost
        | LimitKind::WeeklyCost
        | LimitKind::MonthlyCost
        | LimitKind::TotalCost
        | LimitKind::WeeklyClaudeCost => ["currentCost", "costLimit"],
    };
    let (used, allowed) = (amount(denial.limit, denial.used), amount(denial.limit, denial.allowed));
    let mut members = vec![(current, used.clone()), (limit, allowed.clone())];
    if let Some(at) = denial.resets_at {
        members.push(("resetAt", format!("\"{at}\"")));
        if matches!(
            denial.limit,
            LimitKind::WindowRequests | LimitKind::WindowTokens | LimitKind::WindowCost
        ) {
            let minutes = at.since(now).as_millis().div_ceil(60_000);
            members.push(("remainingMinutes", minutes.to_string()));
        }
    }
    let scope = match denial.scope {
        LimitScope::Key(_) => "key",
        LimitScope::Group(_) => "group",
        LimitScope::Account(_) => "account",
    };
    let kind = denial.limit.code();
    let kind = kind.strip_suffix("_limit_exceeded").unwrap_or(kind);
    // Money is a text here, so that no reader rounds it.
    let exact = |amount: String| {
        if denial.limit.is_money() { format!("\"{amount}\"") } else { amount }
    };
    let needed = if needed == 0 {
        String::new()
    } else {
        format!(r#","needed":{}"#, exact(amount(denial.limit, needed)))
    };
    let resets_at = denial.resets_at.map_or("null".to_owned(), |at| format!("\"{at}\""));
    members.push((
        "limit",
        format!(
            r#"{{"scope":"{scope}","kind":"{kind}","used":{},"allowed":{}{needed},"resetsAt":{resets_at}}}"#,
            exact(used),
            exact(allowed),
        ),
    ));
    members
}

/// A number as JSON writes it; dollars where the limit is money.
fn amount(limit: LimitKind, amount: u64) -> String {
    if limit.is_money() {
        NanoUsd::from_nanos(i64::try_from(amount).unwrap_or(i64::MAX)).to_string()
    } else {
        amount.to_string()
    }
}
