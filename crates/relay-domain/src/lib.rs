//! The words Relay is written in: ids, money, tokens, time, keys, accounts, limits, usage.
//!
//! Nothing here does I/O, knows a runtime or reads a clock: time comes in as a value. Aggregates
//! carry no serde on purpose, so that a store's layout and the admin API's JSON can change apart.

pub mod account;
pub mod account_binding;
pub mod account_group;
pub mod admin_token;
pub mod audit;
pub mod calendar;
pub mod cost;
pub mod event;
pub mod expiry;
pub mod group;
pub mod health;
pub mod id;
pub mod key;
pub mod key_user;
pub mod limit_period;
pub mod limits;
pub mod money;
pub mod multiplier;
pub mod record;
pub mod served_terms;
pub mod service_rates;
pub mod time;
mod time_zone;
pub mod usage;

pub use account::{
    Account, AccountKind, ModelMap, OnDisconnect, Platform, Priority, Proxy, ProxyAuth,
    ProxyScheme, ProxySetting, SealedSecret,
};
pub use account_binding::AccountBinding;
pub use account_group::AccountGroup;
pub use admin_token::{AdminToken, TokenScope};
pub use audit::{Actor, ActorKind, AuditEntry};
pub use calendar::{Calendar, Period, PeriodKind};
pub use cost::{CostBreakdown, NonZeroParts};
pub use event::{Event, EventId, EventKind, RecordedEvent, UnpricedTreatment};
pub use expiry::{Expiry, ExpiryMode, Lifetime, LifetimeUnit};
pub use group::KeyGroup;
pub use health::{AccountHealth, HealthEvent, Penalty, PenaltyReason, Rest};
pub use id::{
    AccountGroupId, AccountId, AdminTokenId, AffinityKey, GroupId, InvalidId, KeyDigest, KeyId,
    ModelName, RequestId, names_claude,
};
pub use key::{
    ApiKey, KeyRefusal, Permissions, Restriction, RetiringSecret, Signature, UnpricedPolicy,
    WaitQueue, WindowCaps, names_model,
};
pub use key_user::{KeyUser, UserStanding};
pub use limit_period::{LimitPeriod, LimitPeriodKind};
pub use limits::{
    BudgetPolicy, LimitKind, LimitScope, LimitState, Limits, PeriodStarts, RateWindow,
};
pub use money::{MoneyError, NanoUsd, PicoUsdPerToken};
pub use multiplier::{InvalidMultiplier, Multiplier};
pub use record::{
    AttemptOutcome, AttemptRecord, Edit, Outcome, RequestRecord, RequestTimes, UsageSource,
    VerdictRecord,
};
pub use served_terms::{ServedTerms, ServiceTier};
pub use service_rates::{Service, ServiceRates};
pub use time::Timestamp;
pub use usage::{TokenCount, TokenUsage};
