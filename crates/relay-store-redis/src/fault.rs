//! What can go wrong with Redis, and how the ports say it.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};
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
    /// The batch in which this settlement travelled failed.
    #[error("a batch of settlements failed")]
    Batch(#[source] Arc<StoreError>),
}

/// Sorts an error of Redis by what the caller can do about it.
pub(crate) fn of_redis(error: RedisError) -> StoreError {
    // What does not pass by itself is a refusal, kinds among it that the library may learn later.
    let away = matches!(
        error.kind(),
        ErrorKind::Io
            | ErrorKind::Server(
                ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown,
            )
    );
    if away {
        StoreError::Unavailable(Box::new(error))
    } else {
        StoreError::Refused(Box::new(error))
    }
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

/// The failure of a batch, for one of those who were in it.
pub(crate) fn of_batch(error: &Arc<StoreError>) -> StoreError {
    let cause = Box::new(Fault::Batch(Arc::clone(error)));
    match **error {
        StoreError::Unavailable(_) => StoreError::Unavailable(cause),
        StoreError::Refused(_) | StoreError::Corrupt { .. } | StoreError::Duplicate { .. } => {
            StoreError::Refused(cause)
        }
    }
}
