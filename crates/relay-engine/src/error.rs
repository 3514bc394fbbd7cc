//! Why a request was not answered. Knows nothing of HTTP replies: the edge gives each its shape.

use std::time::Duration;

use relay_crypto::CryptoError;
use relay_domain::{GroupId, KeyRefusal, LimitKind, LimitScope, ModelName, NanoUsd, Timestamp};
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
    /// The group that the key names is not there, so that its limits cannot be kept.
    #[error(
        "this API key belongs to the group {0}, which is not there any more; the operator of this relay can put the key into another group or into none"
    )]
    GroupGone(GroupId),
    /// The model has no price, and a budget would have to be charged for it.
    #[error(
        "the model {0} has no known price, and this API key may only use models that have one; the operator of this relay can add a price"
    )]
    ModelUnpriced(ModelName),
    /// The request cannot be read.
    #[error(transparent)]
    Request(#[from] ScanError),
    /// The request has no messages.
    #[error("messages: field required; send at least one message")]
    NoMessages,
    /// A limit of the key or of its group is reached.
    #[error("{}", refusal_in_words(.denial, *.needed))]
    Denied {
        /// Which limit, and how it stands.
        denial: Denial,
        /// What the request would have had to hold of it, in the limit's unit; nothing where any room is
        /// enough.
        needed: u64,
    },
    /// As many requests of the key wait as may.
    #[error(
        "this request would have to wait for its turn, and {max_waiting} more of this API key are waiting, which is the most"
    )]
    QueueFull {
        /// How many may wait.
        max_waiting: u32,
    },
    /// The request waited for as long as it may.
    #[error("the request waited for its turn for {} seconds in vain; it was not sent to a provider", .waited.as_secs())]
    QueueTimeout {
        /// How long it may wait.
        waited: Duration,
    },
    /// The store forgot that the request was let in.
    #[error("the request lost its place; send it again")]
    HoldLost,
    /// Too much waits to be written down: nothing new is begun.
    #[error("too many finished requests wait to be recorded; try again shortly")]
    Backlogged,
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

/// What a client is told of a limit that leaves no room for more of a running answer.
pub(crate) fn in_words(denial: &Denial) -> String {
    refusal_in_words(denial, 0)
}

/// What a client is told of a limit that is reached: whose it is, how far it is used, what was needed, when it
/// gives way.
fn refusal_in_words(denial: &Denial, needed: u64) -> String {
    let whose = match denial.scope {
        LimitScope::Key(_) => "this API key",
        LimitScope::Group(_) => "the group of this API key",
        LimitScope::Account(_) => "the account that serves this request",
    };
    let what = match denial.limit {
        LimitKind::Concurrency => "requests at once",
        LimitKind::WindowRequests => "requests in its rate window",
        LimitKind::WindowTokens => "tokens in its rate window",
        LimitKind::WindowCost => "dollars in its rate window",
        LimitKind::DailyCost => "dollars a day",
        LimitKind::WeeklyCost => "dollars a week",
        LimitKind::MonthlyCost => "dollars a month",
        LimitKind::TotalCost => "dollars in all",
        LimitKind::WeeklyClaudeCost => "dollars a week for Claude models",
    };
    let text = |amount: u64| {
        if denial.limit.is_money() {
            NanoUsd::from_nanos(i64::try_from(amount).unwrap_or(i64::MAX)).to_string()
        } else {
            amount.to_string()
        }
    };
    let (used, allowed) = (text(denial.used), text(denial.allowed));
    let besides = match denial.limit {
        LimitKind::Concurrency | LimitKind::WindowRequests => "",
        LimitKind::WindowTokens
        | LimitKind::WindowCost
        | LimitKind::DailyCost
        | LimitKind::WeeklyCost
        | LimitKind::MonthlyCost
        | LimitKind::TotalCost
        | LimitKind::WeeklyClaudeCost => ", what running requests hold included",
    };
    let short = if denial.allowed <= denial.used {
        String::new()
    } else if needed == 0 {
        "; this request may need more than is left".to_owned()
    } else {
        format!("; this request may need up to {}, which is more than is left", text(needed))
    };
    let until = denial.resets_at;
    let until = until.map_or_else(String::new, |at| format!("; the limit starts anew at {at}"));
    format!("{whose} is limited to {allowed} {what}, and {used} are used{besides}{short}{until}")
}

#[cfg(test)]
mod tests {
    use relay_domain::KeyId;

    use super::*;

    #[test]
    fn a_denial_says_whose_limit_how_far_and_until_when() {
        let denial = Denial {
            scope: LimitScope::Key(KeyId::try_from("k").unwrap()),
            limit: LimitKind::DailyCost,
            used: 9_500_000_000,
            held: 500_000_000,
            allowed: 10_000_000_000,
            resets_at: Some(Timestamp::EPOCH),
        };
        assert_eq!(
            in_words(&denial),
            "this API key is limited to 10.00 dollars a day, and 9.50 are used, what running requests hold \
             included; this request may need more than is left; the limit starts anew at 1970-01-01T00:00:00.000Z"
        );
        let needed = 625_000_000;
        assert_eq!(
            EngineError::Denied { denial, needed }.to_string(),
            "this API key is limited to 10.00 dollars a day, and 9.50 are used, what running requests hold \
             included; this request may need up to 0.625, which is more than is left; the limit starts anew \
             at 1970-01-01T00:00:00.000Z"
        );
        let scope = LimitScope::Group(GroupId::try_from("g").unwrap());
        let limit = LimitKind::Concurrency;
        let busy = Denial { scope, limit, used: 3, held: 3, allowed: 3, resets_at: None };
        assert_eq!(
            EngineError::Denied { denial: busy, needed: 1 }.to_string(),
            "the group of this API key is limited to 3 requests at once, and 3 are used"
        );
    }
}
