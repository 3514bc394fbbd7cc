//! An account's health: Relay's own in a field of its own, and v1's fields in step with it.
//!
//! Relay's field also says what it wrote into v1's `status`. If that says something else by now, a v1 or
//! v2 was here since, and its word counts.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_domain::{AccountHealth, ModelName, Penalty, PenaltyReason, Timestamp};
use relay_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::keyspace::AccountFamily;

/// The fields from which the health is read. A change is decided on them.
pub(super) const DECISIVE: [&str; 2] = [OWN, "status"];
const OWN: &str = "relayHealth";
/// v1's and v2's word for an account whose credential is refused.
const UNAUTHORIZED: &str = "unauthorized";

/// v1's rests, where it stores only their beginning.
const RATE_LIMIT_MINUTES: u64 = 60;
const SHORT_REST: Duration = Duration::from_mins(10);
const QUOTA_REST: Duration = Duration::from_hours(24);

#[derive(Deserialize, Serialize)]
struct HealthForm {
    /// What was written into v1's `status` with this.
    status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    penalty: Option<PenaltyForm>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<ModelName, PenaltyForm>,
}

#[derive(Deserialize, Serialize)]
struct PenaltyForm {
    reason: PenaltyReason,
    since: Timestamp,
    until: Option<Timestamp>,
    streak: u32,
}

impl From<Penalty> for PenaltyForm {
    fn from(Penalty { reason, since, until, streak }: Penalty) -> Self {
        Self { reason, since, until, streak }
    }
}

impl From<PenaltyForm> for Penalty {
    fn from(PenaltyForm { reason, since, until, streak }: PenaltyForm) -> Self {
        Self { reason, since, until, streak }
    }
}

/// Reads an account's health, whoever wrote it last.
pub(super) fn parse(hash: &Hash) -> AccountHealth {
    match own(hash) {
        Some(own) => AccountHealth {
            penalty: own.penalty.map(Penalty::from),
            models: own.models.into_iter().map(|(model, form)| (model, form.into())).collect(),
        },
        None => AccountHealth { penalty: foreign(hash), models: BTreeMap::new() },
    }
}

/// Whether it is a v1 that says last that the account's credential is refused.
pub(super) fn is_refused_to_v1(hash: &Hash) -> bool {
    hash.text("status") == Some(UNAUTHORIZED) && own(hash).is_none()
}

/// What Relay wrote, if its word counts.
fn own(hash: &Hash) -> Option<HealthForm> {
    let own: HealthForm = serde_json::from_str(hash.text(OWN)?).ok()?;
    (hash.stored("status") == Some(&own.status)).then_some(own)
}

/// The fields of an account's health.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(super) fn fields(
    health: &AccountHealth,
    family: AccountFamily,
) -> Result<Vec<(&'static str, String)>, StoreError> {
    let status = status(health, family);
    let form = HealthForm {
        status: status.to_owned(),
        penalty: health.penalty.map(PenaltyForm::from),
        models: health.models.iter().map(|(name, p)| (name.clone(), (*p).into())).collect(),
    };
    let own = serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))?;
    let since = |reason| {
        let penalty = health.penalty.filter(|penalty| penalty.reason == reason);
        penalty.map_or_else(String::new, |penalty| penalty.since.to_string())
    };
    let mark = |reason, mark: &str| {
        let is_so = health.penalty.is_some_and(|penalty| penalty.reason == reason);
        if is_so { mark.to_owned() } else { String::new() }
    };
    let limited = health.penalty.filter(|p| p.reason == PenaltyReason::RateLimited);
    let until = limited.and_then(|p| p.until).map_or_else(String::new, |until| until.to_string());
    Ok(vec![
        (OWN, own),
        ("status", status.to_owned()),
        ("rateLimitedAt", since(PenaltyReason::RateLimited)),
        ("rateLimitStatus", mark(PenaltyReason::RateLimited, "limited")),
        ("rateLimitResetAt", until),
        ("overloadedAt", since(PenaltyReason::Overloaded)),
        ("overloadStatus", mark(PenaltyReason::Overloaded, "overloaded")),
        ("blockedAt", since(PenaltyReason::Blocked)),
        ("quotaStoppedAt", since(PenaltyReason::QuotaExceeded)),
    ])
}

/// v1's word for a state. One that v1 does not lift by itself is written only for what does not heal by
/// itself here either: an account must not stay out because a v1 came back during a short rest.
fn status(health: &AccountHealth, family: AccountFamily) -> &'static str {
    let Some(penalty) = health.penalty else { return "active" };
    let camel_case = family == AccountFamily::OpenaiResponses;
    match penalty.reason {
        PenaltyReason::RateLimited if camel_case => "rateLimited",
        PenaltyReason::RateLimited => "rate_limited",
        PenaltyReason::QuotaExceeded if camel_case => "quotaExceeded",
        PenaltyReason::QuotaExceeded => "quota_exceeded",
        PenaltyReason::Unauthorized if penalty.until.is_none() => UNAUTHORIZED,
        PenaltyReason::Blocked if !camel_case => "account_blocked",
        PenaltyReason::Unauthorized
        | PenaltyReason::Blocked
        | PenaltyReason::Overloaded
        | PenaltyReason::ServerError
        | PenaltyReason::Unreachable
        | PenaltyReason::ModelUnknown => "active",
    }
}

/// What v1 or v2 say of an account. They store no end, or one that never comes: a rest gets v1's length,
/// and then one request tries. A refused credential waits for an operator, as with them.
fn foreign(hash: &Hash) -> Option<Penalty> {
    let since = |field: &str| {
        hash.moment(field).or_else(|| hash.moment("lastUsedAt")).unwrap_or(Timestamp::EPOCH)
    };
    let rest = |reason, since: Timestamp, length| {
        Some(Penalty { reason, since, until: Some(since.plus(length)), streak: 1 })
    };
    match hash.text("status").unwrap_or("active") {
        "rate_limited" | "rateLimited" => {
            let since = since("rateLimitedAt");
            let minutes = hash.number("rateLimitDuration").unwrap_or(RATE_LIMIT_MINUTES);
            let length = Duration::from_secs(minutes.saturating_mul(60));
            let until = hash.moment("rateLimitResetAt").unwrap_or_else(|| since.plus(length));
            let reason = PenaltyReason::RateLimited;
            Some(Penalty { reason, since, until: Some(until), streak: 1 })
        }
        // Both predecessors leave it so until an operator comes.
        UNAUTHORIZED => Some(Penalty {
            reason: PenaltyReason::Unauthorized,
            since: since("unauthorizedAt"),
            until: None,
            streak: 1,
        }),
        "blocked" | "account_blocked" => {
            rest(PenaltyReason::Blocked, since("blockedAt"), SHORT_REST)
        }
        "quota_exceeded" | "quotaExceeded" => {
            rest(PenaltyReason::QuotaExceeded, since("quotaStoppedAt"), QUOTA_REST)
        }
        "overloaded" => rest(PenaltyReason::Overloaded, since("overloadedAt"), SHORT_REST),
        _ if hash.text("overloadStatus") == Some("overloaded") => {
            rest(PenaltyReason::Overloaded, since("overloadedAt"), SHORT_REST)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-23T04:24:03.447Z";

    fn at(minutes: u64) -> Timestamp {
        Timestamp::parse_rfc3339(AT).unwrap().plus(Duration::from_mins(minutes))
    }

    #[test]
    fn states_of_both_predecessors_are_read_and_end() {
        use PenaltyReason::{Blocked, Overloaded, QuotaExceeded, RateLimited, Unauthorized};
        let cases = [
            ("active", [("status", "active"), ("", "")], None),
            ("created", [("status", "created"), ("", "")], None),
            ("no status", [("", ""), ("", "")], None),
            (
                "limited, v1",
                [("status", "rate_limited"), ("rateLimitedAt", AT)],
                Some((RateLimited, Some(at(60)))),
            ),
            (
                "limited, v2, which does not say since when",
                [("status", "rate_limited"), ("lastUsedAt", AT)],
                Some((RateLimited, Some(at(60)))),
            ),
            (
                "limited, with an end",
                [("status", "rateLimited"), ("rateLimitResetAt", AT)],
                Some((RateLimited, Some(at(0)))),
            ),
            (
                "unauthorized: an operator is to look",
                [("status", "unauthorized"), ("unauthorizedAt", AT)],
                Some((Unauthorized, None)),
            ),
            (
                "blocked",
                [("status", "account_blocked"), ("blockedAt", AT)],
                Some((Blocked, Some(at(10)))),
            ),
            (
                "out of quota",
                [("status", "quotaExceeded"), ("quotaStoppedAt", AT)],
                Some((QuotaExceeded, Some(at(24 * 60)))),
            ),
            (
                "overloaded, v1",
                [("overloadStatus", "overloaded"), ("overloadedAt", AT)],
                Some((Overloaded, Some(at(10)))),
            ),
            (
                "overloaded, v2",
                [("status", "overloaded"), ("overloadedAt", AT)],
                Some((Overloaded, Some(at(10)))),
            ),
            ("temporary, v2: forever there", [("status", "temp_error"), ("", "")], None),
        ];
        for (name, fields, expected) in cases {
            let penalty = parse(&Hash::from(fields)).penalty;
            let told = penalty.map(|penalty| (penalty.reason, penalty.until));
            assert_eq!(told, expected, "{name}");
        }
    }

    #[test]
    fn what_v1_said_last_counts() {
        let limited = Penalty {
            reason: PenaltyReason::RateLimited,
            since: at(0),
            until: Some(at(60)),
            streak: 2,
        };
        let health = AccountHealth { penalty: Some(limited), models: BTreeMap::new() };
        for family in AccountFamily::ALL {
            let written = fields(&health, family).unwrap();
            let own = written.iter().find(|(field, _)| *field == OWN).unwrap().1.clone();
            let status = written.iter().find(|(field, _)| *field == "status").unwrap().1.clone();
            let untouched = Hash::from([(OWN, own.as_str()), ("status", status.as_str())]);
            assert_eq!(parse(&untouched), health, "{family:?}");
            let healed = Hash::from([(OWN, own.as_str()), ("status", "active")]);
            assert_eq!(parse(&healed), AccountHealth::default(), "{family:?}");
        }
    }
}
