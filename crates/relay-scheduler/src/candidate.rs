//! What a decision is made from: the facts about each account, and what is asked for.
//!
//! Everything is borrowed and nothing is read from anywhere: the caller owns accounts, counters and
//! the clock. There is no secret here, so a test or a simulation needs none.

use relay_domain::{
    AccountBinding, AccountGroupId, AccountHealth, AccountId, AccountKind, ModelMap, NanoUsd,
    Platform, Priority, Timestamp,
};

/// The facts about one account that decide whether and when it is tried.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its id: breaks ties, so that the order does not depend on how the accounts were listed.
    pub id: &'a AccountId,
    /// Which platform it speaks for.
    pub platform: Platform,
    /// Its tier: the smaller is tried first.
    pub priority: Priority,
    /// An operator's switch.
    pub is_active: bool,
    /// Whether the scheduler may choose it.
    pub schedulable: bool,
    /// Whether any key may use it, or only those bound to it.
    pub kind: AccountKind,
    /// The groups that it is a member of.
    pub groups: &'a [AccountGroupId],
    /// How it fares.
    pub health: &'a AccountHealth,
    /// Which models it serves.
    pub models: &'a ModelMap,
    /// Cost in a day after which it rests; `None`: without end.
    pub daily_quota: Option<NanoUsd>,
    /// Cost of the day so far.
    pub daily_spent: NanoUsd,
    /// Requests in flight on it now.
    pub in_flight: u32,
    /// Requests in flight at once; `None`: without end.
    pub max_concurrent: Option<u32>,
    /// When its subscription ends; it is not chosen afterwards.
    pub subscription_ends: Option<Timestamp>,
    /// Whether it can be reached with a credential at all.
    pub readiness: Readiness,
    /// Whether a request is already finding out if an account whose rest has just ended is well.
    pub trial_in_flight: bool,
}

/// Whether an account is set up so that a request could be sent at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Readiness {
    /// It is.
    #[default]
    Ready,
    /// A proxy is configured that cannot be used; the account is never reached directly instead.
    ProxyUnusable,
    /// Its address is not one that a request could be sent to.
    AddressUnusable,
    /// Its credential cannot be opened with the present encryption key.
    SecretUnreadable,
}

/// What is asked for: one request, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The platform that the request speaks.
    pub platform: Platform,
    /// The model, under the client's name.
    pub model: &'a str,
    /// The moment of the decision.
    pub now: Timestamp,
    /// When daily quotas start afresh, if the caller knows: the end of the operator's day.
    pub day_ends: Option<Timestamp>,
    /// Accounts that this request has tried already.
    pub tried: &'a [AccountId],
    /// The accounts that the key may use on this platform.
    pub binding: &'a AccountBinding,
    /// The models that the key may not use, whatever a client calls them.
    pub restricted_models: &'a [String],
    /// The account that served the conversation so far.
    pub sticky: Option<&'a AccountId>,
}

/// The order of accounts of the same priority.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Policy {
    /// Each in turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight first; each in turn among equals.
    LeastInFlight,
}
