//! The short rests that v1 gives an account after trouble, each under a name of its own that ends with it.
//! They are read with the account, and removed when an operator says that it is well.

use std::time::Duration;

use redis::{Pipeline, Value};
use relay_domain::{AccountHealth, Penalty, PenaltyReason, Timestamp};
use relay_store::StoreError;

use crate::connection;
use crate::fault;
use crate::shared::Shared;

/// How many rests are read in one trip.
const AT_ONCE: usize = 200;
/// By how much the end that a rest tells may differ from that of its name, which is read a moment later.
const TOLERANCE: Duration = Duration::from_secs(2);

/// The rests under `names`, in their order.
pub(crate) async fn read(
    shared: &Shared,
    names: &[String],
) -> Result<Vec<Option<Penalty>>, StoreError> {
    let mut rests = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(2 * names.len() + 1);
        for name in names {
            pipeline.cmd("GET").arg(name);
            pipeline.cmd("PTTL").arg(name);
        }
        pipeline.cmd("TIME");
        let mut answers = shared.pool.send_leniently(&pipeline).await?;
        let now = answers.pop().ok_or_else(|| fault::unexpected("TIME"))?;
        let (seconds, micros): (u64, u64) = connection::read(now, "TIME")?;
        let now = Timestamp::from_millis(seconds * 1_000 + micros / 1_000);
        for pair in answers.chunks(2) {
            let [text, left] = pair else { return Err(fault::unexpected("GET")) };
            let left: i64 = connection::read(left.clone(), "PTTL")?;
            // v1 passes over one that would never end.
            let left = u64::try_from(left).ok().filter(|left| 0 < *left);
            rests.push(left.map(|left| penalty(text, now, Duration::from_millis(left))));
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

/// A rest that ends after `left`, as its name does: v1 asks for no more. What its text tells is the reason, when
/// it began and, as far as that agrees with the name, its end to the millisecond.
fn penalty(text: &Value, now: Timestamp, left: Duration) -> Penalty {
    let json: &[u8] = if let Value::BulkString(json) = text { json } else { &[] };
    let told: serde_json::Value = serde_json::from_slice(json).unwrap_or_default();
    let reason = match told.get("errorType").and_then(|told| told.as_str()).unwrap_or_default() {
        "rate_limit" => PenaltyReason::RateLimited,
        "overload" | "service_unavailable" => PenaltyReason::Overloaded,
        "auth_error" => PenaltyReason::Unauthorized,
        "timeout" => PenaltyReason::Unreachable,
        _ => PenaltyReason::ServerError,
    };
    let end = now.plus(left);
    let since = told.get("markedAt").and_then(|told| told.as_str());
    let since = since.and_then(Timestamp::parse_rfc3339);
    let length = told.get("ttlSeconds");
    let number =
        |told: &serde_json::Value| told.as_f64().or_else(|| told.as_str()?.trim().parse().ok());
    let length = length.and_then(number);
    let length = length.and_then(|length| Duration::try_from_secs_f64(length).ok());
    let told_end = since.zip(length).map(|(since, length)| since.plus(length));
    let agrees = |told: &Timestamp| end.since(*told) <= TOLERANCE && told.since(end) <= TOLERANCE;
    // To the second, so that it is the same whenever it is read.
    let second = Timestamp::from_millis((end.as_millis() + 500) / 1_000 * 1_000);
    let until = told_end.filter(agrees).unwrap_or(second);
    let since = since.filter(|since| *since <= until).unwrap_or(now);
    Penalty { reason, since, until: Some(until), streak: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-23T04:24:04.480Z";

    fn read(json: &str, now: Timestamp, left: u64) -> Penalty {
        penalty(&Value::BulkString(json.as_bytes().to_vec()), now, Duration::from_secs(left))
    }

    fn rest(error_type: &str, seconds: u64) -> Penalty {
        let json = format!(
            r#"{{"statusCode":529,"errorType":"{error_type}","markedAt":"{AT}","ttlSeconds":{seconds},"expiresAt":""}}"#
        );
        read(&json, Timestamp::parse_rfc3339(AT).unwrap(), seconds)
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
            let expected = Penalty { reason, since, until, streak: 1 };
            assert_eq!(rest(error_type, 600), expected, "{error_type}");
        }
    }

    #[test]
    fn a_rest_ends_with_its_name_whatever_it_tells() {
        let since = Timestamp::parse_rfc3339(AT).unwrap();
        let now = since.plus(Duration::from_secs(100));
        let told = |rest: &str| format!(r#"{{"errorType":"overload","markedAt":"{AT}",{rest}}}"#);
        let by_name = Timestamp::parse_rfc3339("2026-11-23T04:30:44Z").unwrap();
        let exact = |millis| since.plus(Duration::from_millis(millis));
        for (length, left, until) in [
            (r#""ttlSeconds":400"#, 300, exact(400_000)),
            (r#""ttlSeconds":400.5"#, 300, exact(400_500)),
            (r#""ttlSeconds":"400""#, 300, exact(400_000)),
            (r#""ttlSeconds":9e18"#, 300, by_name),
            (r#""ttlSeconds":1e300"#, 300, by_name),
            (r#""ttlSeconds":-1"#, 300, by_name),
            (r#""ttlSeconds":null"#, 300, by_name),
            (r#""ttlSeconds":{}"#, 300, by_name),
            (r#""ttlSeconds":30"#, 300, by_name),
        ] {
            let penalty = read(&told(length), now, left);
            let expected = (PenaltyReason::Overloaded, since, Some(until));
            assert_eq!((penalty.reason, penalty.since, penalty.until), expected, "{length}");
        }
        for text in ["", "{}", "[1]", "no JSON", r#"{"errorType":null,"markedAt":7}"#] {
            let penalty = read(text, now, 300);
            let expected = (PenaltyReason::ServerError, now, Some(by_name));
            assert_eq!((penalty.reason, penalty.since, penalty.until), expected, "{text:?}");
        }
    }

    #[test]
    fn of_two_rests_the_one_that_ends_later_counts() {
        let [short, long] = [60, 600].map(|seconds| Some(rest("overload", seconds)));
        let forever = Some(Penalty { until: None, ..rest("auth_error", 1) });
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
