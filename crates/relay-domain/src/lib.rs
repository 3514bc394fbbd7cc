//! The words Relay is written in: ids, money, tokens, time, keys, accounts, limits, usage.
//!
//! Nothing here does I/O, knows a runtime or reads a clock: time comes in as a value. Aggregates
//! carry no serde on purpose, so that a store's layout and the admin API's JSON can change apart.

pub mod account;
pub mod calendar;
pub mod health;
pub mod id;
pub mod key;
pub mod limit_period;
pub mod limits;
pub mod money;
pub mod record;
pub mod time;
pub mod usage;

pub use account::{
    Account, AccountKind, ModelMap, Platform, Priority, Proxy, ProxyAuth, ProxyScheme,
    ProxySetting, SealedSecret,
};
pub use calendar::{Calendar, Period, PeriodKind};
pub use health::{AccountHealth, HealthEvent, Penalty, PenaltyReason};
pub use id::{AccountId, AffinityKey, GroupId, InvalidId, KeyDigest, KeyId, ModelName, RequestId};
pub use key::{ApiKey, Expiry, KeyRefusal, Permissions};
pub use limit_period::{LimitPeriod, LimitPeriodKind};
pub use limits::{
    BudgetPolicy, LimitKind, LimitScope, LimitState, Limits, PeriodStarts, RateWindow,
};
pub use money::{MoneyError, NanoUsd, PicoUsdPerToken};
pub use record::{
    AttemptOutcome, AttemptRecord, Edit, Outcome, RequestRecord, RequestTimes, UsageSource,
};
pub use time::Timestamp;
pub use usage::{TokenCount, TokenUsage};
