//! Why a request was not answered. Knows nothing of HTTP replies: the edge gives each its shape.

use std::time::Duration;

use relay_crypto::CryptoError;
use relay_domain::{KeyRefusal, LimitKind, Timestamp};
use relay_protocol::ScanError;
use relay_scheduler::Shortage;
use relay_store::{Denial, StoreError};

use crate::attempt::ReadError;

/// The longest wait that a client is told, in seconds: SDKs and Codex sleep for as long as they are told
/// to.
pub const LONGEST_RETRY_AFTER_S: u64 = 60;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No API key was presented.
    #[error("no API key was presented; send one in x-api-key or as Authorization: Bearer")]
    MissingKey,
    /// What was presented is no API key of Relay's.
    #[error("the API key is not valid; check it, or ask the operator of this relay for a new one")]
    UnknownKey,
    /// The key is known but may not be used for this.
    #[error(transparent)]
    Key(#[from] KeyRefusal),
    /// The key carries a limit that cannot be kept yet, so it is not let in at all.
    #[error("this API key has a limit ({}) that this version of Relay cannot keep; the operator can remove it", .0.code())]
    LimitNotKept(LimitKind),
    /// The request cannot be read.
    #[error(transparent)]
    Request(#[from] ScanError),
    /// The request has no messages.
    #[error("messages: field required; send at least one message")]
    NoMessages,
    /// A limit of the key is reached.
    #[error("this API key has reached a limit ({}): {} of {} used", .0.limit.code(), .0.used, .0.allowed)]
    Denied(Denial),
    /// No account can serve the request now.
    #[error("{shortage}")]
    NoAccount {
        /// What is short.
        shortage: Shortage,
        /// When it is worth trying again, if that is known.
        retry_at: Option<Timestamp>,
    },
    /// The upstream thought for too long.
    #[error("the provider did not begin to answer within {} seconds", .0.as_secs())]
    HeadTimeout(Duration),
    /// The upstream's answer could not be taken, and is not asked for again.
    #[error(transparent)]
    AnswerUnusable(#[from] ReadError),
    /// The account's proxy cannot be used; it is never passed by.
    #[error("the account's proxy cannot be used")]
    ProxyUnusable,
    /// The request could not be put into the upstream's form.
    #[error("the request cannot be sent on: its query or a header is malformed")]
    NotSendable(#[from] http::Error),
    /// The key that opens the accounts' credentials cannot be derived.
    #[error(transparent)]
    Keyring(#[from] CryptoError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
