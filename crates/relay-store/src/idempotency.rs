//! Where answers are kept that are given again to whoever asks again.

use std::time::Duration;

use async_trait::async_trait;
use relay_domain::Timestamp;

use crate::StoreError;

/// How long an answer is kept.
pub const ANSWER_KEPT: Duration = Duration::from_hours(24);
/// How long a claim stands without an answer: longer than any request that is still being worked on.
pub const CLAIM_KEPT: Duration = Duration::from_mins(2);

/// What is known of a request that carries a key of its client's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claim {
    /// Nothing: it is now the caller's to work on.
    Ours,
    /// Somebody is working on it.
    InProgress,
    /// The same key was used for another request.
    OtherRequest,
    /// It was answered.
    Answered(String),
}

/// Answers by the key under which a client asks for something once.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdempotencyRepository: Send + Sync {
    /// Claims a request. `name` is made of who asks and the client's key, `fingerprint` of what is asked.
    /// Of several who claim at once, one has it.
    async fn claim(
        &self,
        name: &str,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// Keeps the answer to a claimed request for [`ANSWER_KEPT`]. It may hold a secret: whoever gives it
    /// here has sealed it.
    async fn answer(
        &self,
        name: &str,
        fingerprint: &str,
        answer: &str,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Gives a claim back: the request failed and may be tried again.
    async fn release(&self, name: &str) -> Result<(), StoreError>;
}
