//! The record of one request: what happened to it, in numbers. Never what it said.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    AccountId, CostBreakdown, GroupId, KeyId, ModelName, NanoUsd, Platform, RequestId, ServedTerms,
    Timestamp, TokenUsage, names_claude,
};

/// One request, from arrival to settlement.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestRecord {
    /// Its id.
    pub id: RequestId,
    /// Whose it was.
    pub key: KeyId,
    /// The group of the key.
    pub group: Option<GroupId>,
    /// The platform that it was for.
    pub platform: Platform,
    /// The model that the client asked for.
    pub model: ModelName,
    /// The model that the provider says it used.
    pub served_model: Option<ModelName>,
    /// The account that gave the answer, or the last one tried.
    pub account: Option<AccountId>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// The status that the client got; zero if it left before there was one.
    pub status: u16,
    /// When it arrived.
    pub started_at: Timestamp,
    /// Where its time went.
    pub times: RequestTimes,
    /// What the provider counted.
    pub usage: TokenUsage,
    /// How sure that is.
    pub usage_source: UsageSource,
    /// On which terms it was served.
    pub terms: ServedTerms,
    /// When it was settled, in whose hour, day and month it counts; `None` in records of before this was
    /// kept.
    pub settled_at: Option<Timestamp>,
    /// What it cost at the provider; `None`: the model has no price, which is not the same as free.
    pub cost: Option<NanoUsd>,
    /// What the budgets of its account count for it where the cost is not known: the price of another of its
    /// names, or the fallback. `None`: the cost is known, or nothing is.
    pub presumed_cost: Option<NanoUsd>,
    /// The cost by kind, which adds up to it; `None` where the cost is not known, or not by kind.
    pub cost_by_kind: Option<CostBreakdown>,
    /// What counts against the budgets of its key and its group: the cost times the rates that apply to
    /// the key, or what the key's policy charges for a model without a price. `None`: nothing is known.
    pub charged: Option<NanoUsd>,
    /// Every attempt, in order.
    pub attempts: Vec<AttemptRecord>,
    /// What Relay changed in the request's body.
    pub edits: Vec<Edit>,
    /// What was decided about the accounts when one was to be chosen, those that came first at the front;
    /// at most [`RequestRecord::MAX_DECISION`] of them.
    pub decision: Vec<VerdictRecord>,
}

impl RequestRecord {
    /// The most verdicts that a record keeps, so that it stays small however large the pool is.
    pub const MAX_DECISION: usize = 24;

    /// Whether it counts on budgets of Claude models: as v1 has it by the model that answered, and where no
    /// answer named one by the name that was sent, or else asked for.
    pub fn is_claude(&self) -> bool {
        let sent = self.edits.iter().rev().map(|Edit::Model { to }| to.as_str()).next();
        let served = self.served_model.as_ref().map(ModelName::as_str);
        names_claude(served.or(sent).unwrap_or(self.model.as_str()))
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client has the whole answer.
    Completed,
    /// The provider refused it, and the client got the refusal.
    Rejected,
    /// No account could serve it.
    NoAccount,
    /// The client left.
    ClientGone,
    /// The upstream failed after the answer had begun.
    UpstreamFailed,
    /// A hard budget had no room left, and the answer was cut off.
    BudgetExhausted,
    /// The process that served it died; settled from its last checkpoint.
    Orphaned,
}

/// How sure a usage is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's final word.
    Final,
    /// The provider's last word before the stream broke off. What output it had not counted by then is
    /// estimated by its length.
    Partial,
    /// The provider counted nothing: estimated by the length of request and answer.
    Estimated,
    /// Nothing was counted.
    None,
}

/// Where a request's time went, in microseconds after its arrival. `None`: it did not get there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct RequestTimes {
    /// How long it waited in a queue, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_us: Option<u64>,
    /// The body was read and the request admitted.
    pub admitted_us: Option<u64>,
    /// The winning attempt was sent.
    pub sent_us: Option<u64>,
    /// A connection for the winning attempt was there, new or kept alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_us: Option<u64>,
    /// The head of the winning answer came.
    pub head_us: Option<u64>,
    /// The first content went to the client.
    pub first_content_us: Option<u64>,
    /// The last byte went to the client.
    pub end_us: Option<u64>,
    /// The longest silence of the upstream within the answer, in microseconds.
    pub longest_stall_us: u64,
    /// Relay's own share of the time to the first content, in microseconds.
    pub added_us: Option<u64>,
}

/// What was decided about one account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VerdictRecord {
    /// The account.
    pub account: AccountId,
    /// What gave it its place, or what kept it out: a stable code.
    pub verdict: Cow<'static, str>,
    /// Until when it is kept out, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// One attempt on one account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AttemptRecord {
    /// The account.
    pub account: AccountId,
    /// What came of it.
    pub outcome: AttemptOutcome,
    /// The upstream's status, if there was one.
    pub status: Option<u16>,
    /// When it began, in microseconds after the request's arrival.
    pub started_us: u64,
    /// How long it took, in microseconds, up to the failure or the end of the answer.
    pub took_us: u64,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It gave the answer.
    Answered,
    /// It was the client's fault, and the client got the refusal.
    ClientFault,
    /// It could not be reached.
    Unreachable,
    /// It broke off before the answer.
    BrokeOff,
    /// It broke off within the answer.
    BrokeOffMidStream,
    /// No head came in time.
    TimedOut,
    /// 401.
    Unauthorized,
    /// 402 or 403.
    Blocked,
    /// It does not know the model.
    ModelUnknown,
    /// 429.
    RateLimited,
    /// 529, 503, or an overload event in the stream.
    Overloaded,
    /// Another 5xx, or an error event in the stream.
    ServerError,
    /// The client left meanwhile.
    ClientGone,
}

/// A change that Relay made to a request's body. The list of what is allowed is short on purpose.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Edit {
    /// The model's name was replaced by the account's.
    Model {
        /// The name that was sent on.
        to: String,
    },
}
