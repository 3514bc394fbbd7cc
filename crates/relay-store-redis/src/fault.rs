//! What can go wrong with Redis, and how the ports say it.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerError, Value};
use relay_store::StoreError;

/// A cause that the Redis library does not know.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// No answer came in time.
    #[error("Redis did not answer within {0:?}")]
    TimedOut(Duration),
    /// The answer has not the form of an answer to what was asked.
    #[error("Redis answered {what} in an unexpected form")]
    UnexpectedAnswer {
        /// What was asked.
        what: &'static str,
    },
    /// Other instances changed the same entry again and again.
    #[error("{what} was changed by others at every attempt")]
    Contended {
        /// The entry's name.
        what: String,
    },
    /// TLS was asked for where there is none.
    #[error("a socket of this machine has no TLS")]
    NoTls,
    /// The batch in which this settlement travelled failed.
    #[error("a batch of settlements failed")]
    Batch(#[source] Arc<StoreError>),
}

/// What a Redis says that is not the one to talk to, or is not yet: another connection may lead to another.
const ELSEWHERE: [&str; 3] = ["READONLY", "MASTERDOWN", "LOADING"];
/// What a Redis says that cannot do it now. A script that is forgotten right after it was taught is a
/// Redis that has changed in between.
const NOT_NOW: [&str; 7] =
    ["MISCONF", "NOREPLICAS", "OOM", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "NOSCRIPT"];

/// Sorts an error of Redis by what the caller can do about it.
pub(crate) fn of_redis(error: RedisError) -> StoreError {
    // What does not pass by itself is a refusal, kinds among it that the library may learn later.
    let passes = || {
        let (code, detail) = (error.code().unwrap_or_default(), error.detail());
        says(code, detail, &ELSEWHERE) || says(code, detail, &NOT_NOW)
    };
    if error.kind() == ErrorKind::Io || passes() {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Refused(Box::new(error))
    }
}

/// Whether an answer says that this Redis is not the one to talk to.
pub(crate) fn leads_elsewhere(answer: &Value) -> bool {
    let is_elsewhere = |error: &ServerError| says(error.code(), error.details(), &ELSEWHERE);
    matches!(answer, Value::ServerError(error) if is_elsewhere(error))
}

/// Whether an error has one of `codes`. Before Redis 7 the error of a command within a script is a part
/// of the script's own.
fn says(code: &str, detail: Option<&str>, codes: &[&str]) -> bool {
    let within = || detail.and_then(|detail| detail.split_once(": -"));
    let code = match within() {
        Some((_, inner)) if code == "ERR" => inner.split(' ').next().unwrap_or_default(),
        Some(_) | None => code,
    };
    codes.contains(&code)
}

/// Sorts an error of the pool in the same way.
pub(crate) fn of_pool(error: deadpool_redis::PoolError) -> StoreError {
    let deadpool_redis::PoolError::Backend(error) = error else {
        return StoreError::Unavailable(Box::new(error));
    };
    of_redis(error)
}

/// No answer came within `limit`.
pub(crate) fn timed_out(limit: Duration) -> StoreError {
    StoreError::Unavailable(Box::new(Fault::TimedOut(limit)))
}

/// The answer to `what` is not one.
pub(crate) fn unexpected(what: &'static str) -> StoreError {
    StoreError::Refused(Box::new(Fault::UnexpectedAnswer { what }))
}

/// `what` cannot be changed because others change it all the time.
pub(crate) fn contended(what: String) -> StoreError {
    StoreError::Unavailable(Box::new(Fault::Contended { what }))
}

/// The address is a socket, and TLS was asked for.
pub(crate) fn no_tls() -> StoreError {
    StoreError::Refused(Box::new(Fault::NoTls))
}

/// The failure of a batch, for one of those who were in it.
pub(crate) fn of_batch(error: &Arc<StoreError>) -> StoreError {
    let cause = Box::new(Fault::Batch(Arc::clone(error)));
    match **error {
        StoreError::Unavailable(_) => StoreError::Unavailable(cause),
        StoreError::Refused(_)
        | StoreError::Corrupt { .. }
        | StoreError::Duplicate { .. }
        | StoreError::Missing { .. } => StoreError::Refused(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_not_a_refusal() {
        let cases = [
            ("READONLY You can't write against a read only replica.", true, true),
            ("MASTERDOWN Link with MASTER is down", true, true),
            ("LOADING Redis is loading the dataset in memory", true, true),
            ("MISCONF Redis is configured to save RDB snapshots", true, false),
            ("NOREPLICAS Not enough good replicas to write.", true, false),
            ("OOM command not allowed when used memory > 'maxmemory'.", true, false),
            ("NOSCRIPT No matching script.", true, false),
            ("BUSY Redis is busy running a script.", true, false),
            ("ERR Error running script (call to f_0): @user_script:9: -READONLY no", true, true),
            ("ERR Error running script (call to f_0): @user_script:9: -OOM no", true, false),
            ("ERR unknown command", false, false),
            ("WRONGTYPE Operation against a key", false, false),
            ("NOPERM this user has no permissions", false, false),
        ];
        for (text, passes, elsewhere) in cases {
            let answer = redis::parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
            assert_eq!(leads_elsewhere(&answer), elsewhere, "{text}");
            let error = of_redis(answer.extract_error().unwrap_err());
            assert_eq!(matches!(error, StoreError::Unavailable(_)), passes, "{text}");
        }
    }
}
