//! The short rests that v1 gives an account after trouble, each under a name of its own that ends with it.
//! They are read with the account, and removed when an operator says that it is well.

use std::time::Duration;

use redis::{Pipeline, Value};
use relay_domain::{AccountHealth, Penalty, PenaltyReason, Timestamp};
use relay_store::StoreError;
use serde::Deserialize;

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many rests are read in one trip.
const AT_ONCE: usize = 200;

/// A rest as v1 writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RestForm {
    #[serde(default)]
    error_type: String,
    marked_at: String,
    ttl_seconds: u64,
}

/// The rests under `names`, in their order.
pub(super) async fn read(
    shared: &Shared,
    names: &[String],
) -> Result<Vec<Option<Penalty>>, StoreError> {
    let mut rests = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(2 * names.len());
        for name in names {
            pipeline.cmd("GET").arg(name);
            pipeline.cmd("TTL").arg(name);
        }
        let answers = shared.pool.send_leniently(&pipeline).await?;
        for pair in answers.chunks(2) {
            let [text, ttl] = pair else { return Err(fault::unexpected("GET")) };
            let ttl: i64 = connection::read(ttl.clone(), "TTL")?;
            // v1 passes over one that would never end.
            rests.push(if ttl < 0 { None } else { penalty(text) });
        }
    }
    if rests.len() == names.len() { Ok(rests) } else { Err(fault::unexpected("GET")) }
}

/// An account's health with v1's rest: of two that hold at once, the one that ends later counts.
pub(super) fn joined(health: AccountHealth, rest: Option<Penalty>) -> AccountHealth {
    let Some(rest) = rest else { return health };
    let ends_later =
        health.penalty.is_some_and(|own| own.until.is_none_or(|until| rest.until <= Some(until)));
    if ends_later { health } else { AccountHealth { penalty: Some(rest), ..health } }
}

fn penalty(text: &Value) -> Option<Penalty> {
    let Value::BulkString(json) = text else { return None };
    let form: RestForm = serde_json::from_slice(json).ok()?;
    let since = Timestamp::parse_rfc3339(&form.marked_at)?;
    let reason = match form.error_type.as_str() {
        "rate_limit" => PenaltyReason::RateLimited,
        "overload" | "service_unavailable" => PenaltyReason::Overloaded,
        "auth_error" => PenaltyReason::Unauthorized,
        "timeout" => PenaltyReason::Unreachable,
        _ => PenaltyReason::ServerError,
    };
    let until = Some(since.plus(Duration::from_secs(form.ttl_seconds)));
    Some(Penalty { reason, since, until, streak: 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-23T04:24:04.480Z";

    fn rest(error_type: &str, seconds: u64) -> Option<Penalty> {
        let json = format!(
            r#"{{"statusCode":529,"errorType":"{error_type}","markedAt":"{AT}","ttlSeconds":{seconds},"expiresAt":""}}"#
        );
        penalty(&Value::BulkString(json.into_bytes()))
    }

    #[test]
    fn rests_of_v1_have_a_reason_and_an_end() {
        let since = Timestamp::parse_rfc3339(AT).unwrap();
        for (error_type, reason) in [
            ("rate_limit", PenaltyReason::RateLimited),
            ("overload", PenaltyReason::Overloaded),
            ("service_unavailable", PenaltyReason::Overloaded),
            ("auth_error", PenaltyReason::Unauthorized),
            ("timeout", PenaltyReason::Unreachable),
            ("server_error", PenaltyReason::ServerError),
            ("", PenaltyReason::ServerError),
        ] {
            let until = Some(since.plus(Duration::from_mins(10)));
            let expected = Some(Penalty { reason, since, until, streak: 1 });
            assert_eq!(rest(error_type, 600), expected, "{error_type}");
        }
        for unreadable in [Value::Nil, Value::BulkString(b"{}".to_vec()), Value::Int(1)] {
            assert_eq!(penalty(&unreadable), None, "{unreadable:?}");
        }
    }

    #[test]
    fn of_two_rests_the_one_that_ends_later_counts() {
        let [short, long] = [60, 600].map(|seconds| rest("overload", seconds));
        let forever = rest("auth_error", 1).map(|rest| Penalty { until: None, ..rest });
        for (own, of_v1, expected) in [
            (None, None, None),
            (None, short, short),
            (short, None, short),
            (short, long, long),
            (long, short, long),
            (forever, long, forever),
        ] {
            let health = AccountHealth { penalty: own, ..AccountHealth::default() };
            assert_eq!(joined(health, of_v1).penalty, expected, "{own:?} {of_v1:?}");
        }
    }
}
