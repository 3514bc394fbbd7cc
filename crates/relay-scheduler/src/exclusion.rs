//! Why an account cannot serve a request: one predicate, whichever way the account was found.

use std::fmt;

use relay_domain::{AccountBinding, LimitKind, NanoUsd, PenaltyReason, Timestamp, names_model};

use crate::{Ask, Candidate, Readiness};

/// What keeps an account from serving a request, and until when if it ends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exclusion {
    /// It speaks for another platform than the request.
    OtherPlatform,
    /// The key is bound to another account.
    NotBound,
    /// The key is bound to a group of accounts, and it is not a member.
    NotInGroup,
    /// It serves only keys that are bound to it, and this key is not.
    Dedicated,
    /// An operator switched it off.
    NotActive,
    /// It is taken out of scheduling.
    NotSchedulable,
    /// Its subscription has ended.
    SubscriptionEnded {
        /// When.
        at: Timestamp,
    },
    /// Its map of models does not name the model.
    ModelNotServed,
    /// It would serve a model that the key may not use.
    ModelRestricted,
    /// Its proxy setting cannot be used, and it is never reached directly instead.
    ProxyUnusable,
    /// Its address is not one that a request could be sent to.
    AddressUnusable,
    /// Its credential cannot be opened.
    SecretUnreadable,
    /// It rests, from everything or from this model.
    Resting {
        /// Why.
        reason: PenaltyReason,
        /// Until when; `None`: until an operator says so.
        until: Option<Timestamp>,
    },
    /// The day's quota is used up.
    QuotaSpent {
        /// The quota.
        quota: NanoUsd,
        /// What the day has cost so far.
        spent: NanoUsd,
        /// When the next day begins, if the caller said.
        until: Option<Timestamp>,
    },
    /// A limit of its own that is no money is used up.
    LimitReached {
        /// Which.
        limit: LimitKind,
        /// When it starts anew, if that is known.
        until: Option<Timestamp>,
    },
    /// This request may come to more than is left of a limit of its own, whatever is given back of it.
    RoomTooSmall {
        /// Which.
        limit: LimitKind,
        /// When the limit starts anew; `None`: never, or that is less than the request may come to, too.
        until: Option<Timestamp>,
    },
    /// What is left of a limit of its own is held for requests in flight, and is given back as they end.
    RoomHeld {
        /// Which.
        limit: LimitKind,
    },
    /// This request has tried it already.
    AlreadyTried,
    /// Its rest has just ended, and one request at a time finds out whether it is well.
    OnTrial,
    /// It has as many requests in flight as it may.
    AtCapacity {
        /// How many that is.
        limit: u32,
    },
}

impl Exclusion {
    /// A stable code for metrics, dashboards and the admin API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherPlatform => "other_platform",
            Self::NotBound => "not_bound",
            Self::NotInGroup => "not_in_group",
            Self::Dedicated => "dedicated",
            Self::NotActive => "not_active",
            Self::NotSchedulable => "not_schedulable",
            Self::SubscriptionEnded { .. } => "subscription_ended",
            Self::ModelNotServed => "model_not_served",
            Self::ModelRestricted => "model_restricted",
            Self::ProxyUnusable => "proxy_unusable",
            Self::AddressUnusable => "address_unusable",
            Self::SecretUnreadable => "secret_unreadable",
            Self::Resting { .. } => "resting",
            Self::QuotaSpent { .. } => "quota_spent",
            Self::LimitReached { .. } => "limit_reached",
            Self::RoomTooSmall { .. } => "room_too_small",
            Self::RoomHeld { .. } => "room_held",
            Self::AlreadyTried => "already_tried",
            Self::OnTrial => "on_trial",
            Self::AtCapacity { .. } => "at_capacity",
        }
    }

    /// When it ends by itself, as far as that is known.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Resting { until, .. }
            | Self::QuotaSpent { until, .. }
            | Self::LimitReached { until, .. }
            | Self::RoomTooSmall { until, .. } => *until,
            Self::OtherPlatform
            | Self::NotBound
            | Self::NotInGroup
            | Self::Dedicated
            | Self::NotActive
            | Self::NotSchedulable
            | Self::SubscriptionEnded { .. }
            | Self::ModelNotServed
            | Self::ModelRestricted
            | Self::ProxyUnusable
            | Self::AddressUnusable
            | Self::SecretUnreadable
            | Self::AlreadyTried
            | Self::OnTrial
            | Self::RoomHeld { .. }
            | Self::AtCapacity { .. } => None,
        }
    }
}

impl fmt::Display for Exclusion {
    /// A sentence for an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherPlatform => f.write_str("it speaks for another platform"),
            Self::NotBound => f.write_str("the key is bound to another account"),
            Self::NotInGroup => {
                f.write_str("the key is bound to a group of accounts that it is not in")
            }
            Self::Dedicated => f.write_str("it is dedicated to keys that are bound to it"),
            Self::NotActive => f.write_str("it is switched off"),
            Self::NotSchedulable => f.write_str("it is taken out of scheduling"),
            Self::SubscriptionEnded { at } => write!(f, "its subscription ended at {at}"),
            Self::ModelNotServed => f.write_str("its model map does not name the model"),
            Self::ModelRestricted => {
                f.write_str("its model map makes of the model one that the key may not use")
            }
            Self::ProxyUnusable => {
                f.write_str("its proxy setting cannot be used, and it is never reached directly")
            }
            Self::AddressUnusable => f.write_str("its address is not one that can be called"),
            Self::SecretUnreadable => {
                f.write_str("its credential cannot be opened with the present encryption key")
            }
            Self::Resting { reason, until } => {
                let reason = explain(*reason);
                match until {
                    Some(until) => write!(f, "it rests until {until}: {reason}"),
                    None => write!(f, "it rests until an operator resets it: {reason}"),
                }
            }
            Self::QuotaSpent { quota, spent, until } => {
                write!(f, "its quota of the day is used up: {spent} of {quota} dollars")?;
                until.map_or(Ok(()), |until| write!(f, ", until {until}"))
            }
            Self::LimitReached { limit, until } => {
                write!(f, "its limit {} is used up", limit.name())?;
                until.map_or(Ok(()), |until| write!(f, ", until {until}"))
            }
            Self::RoomTooSmall { limit, until } => {
                write!(
                    f,
                    "this request may come to more than is left of its limit {}",
                    limit.name()
                )?;
                until.map_or(Ok(()), |until| write!(f, ", which starts anew at {until}"))
            }
            Self::RoomHeld { limit } => {
                write!(f, "requests in flight hold what is left of its limit {}", limit.name())
            }
            Self::AlreadyTried => f.write_str("this request has tried it already"),
            Self::OnTrial => f.write_str("its rest has just ended and one request is trying it"),
            Self::AtCapacity { limit } => {
                write!(f, "it has as many requests in flight as it may: {limit}")
            }
        }
    }
}

/// One of the questions that an account must pass, whichever way it was found.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Filter {
    /// It speaks the request's platform.
    Platform,
    /// The key may use it: it is the one that the key is bound to, a member of the group that the key is
    /// bound to, or shared.
    Binding,
    /// An operator has not switched it off.
    Active,
    /// It is in scheduling.
    Schedulable,
    /// Its subscription has not ended.
    Subscription,
    /// It serves the model, and as one that the key may use.
    Model,
    /// A request could be sent to it: address, proxy and credential are usable.
    Setup,
    /// It does not rest.
    Rest,
    /// Its quota of the day is not used up.
    Quota,
    /// This request has not tried it yet.
    Tried,
    /// Nobody else is finding out whether it is well.
    Trial,
    /// It has room for another request.
    Capacity,
}

impl Filter {
    /// Every filter, from what no request changes (set-up) to what the next second may change (load), so
    /// that the first reason is the one worth acting on.
    pub const ALL: [Self; 12] = [
        Self::Platform,
        Self::Binding,
        Self::Active,
        Self::Schedulable,
        Self::Subscription,
        Self::Model,
        Self::Setup,
        Self::Rest,
        Self::Quota,
        Self::Tried,
        Self::Trial,
        Self::Capacity,
    ];

    /// A stable code for dashboards and the admin API.
    pub fn code(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Binding => "binding",
            Self::Active => "active",
            Self::Schedulable => "schedulable",
            Self::Subscription => "subscription",
            Self::Model => "model",
            Self::Setup => "setup",
            Self::Rest => "rest",
            Self::Quota => "quota",
            Self::Tried => "tried",
            Self::Trial => "trial",
            Self::Capacity => "capacity",
        }
    }

    /// Why `candidate` does not pass; `None` if it does.
    #[must_use]
    pub fn exclusion(self, candidate: &Candidate<'_>, ask: &Ask<'_>) -> Option<Exclusion> {
        match self {
            Self::Platform => {
                (candidate.platform != ask.platform).then_some(Exclusion::OtherPlatform)
            }
            Self::Binding => {
                let admits = ask.binding.admits(candidate.id, candidate.kind, candidate.groups);
                (!admits).then_some(match ask.binding {
                    AccountBinding::Account(_) | AccountBinding::Unusable => Exclusion::NotBound,
                    AccountBinding::Group(_) => Exclusion::NotInGroup,
                    AccountBinding::Pool => Exclusion::Dedicated,
                })
            }
            Self::Active => (!candidate.is_active).then_some(Exclusion::NotActive),
            Self::Schedulable => (!candidate.schedulable).then_some(Exclusion::NotSchedulable),
            Self::Subscription => {
                let ended = candidate.subscription_ends.filter(|end| *end <= ask.now);
                ended.map(|at| Exclusion::SubscriptionEnded { at })
            }
            Self::Model => match candidate.models.upstream_name(ask.model) {
                None => Some(Exclusion::ModelNotServed),
                Some(name) => {
                    let is_restricted = names_model(ask.restricted_models, name);
                    is_restricted.then_some(Exclusion::ModelRestricted)
                }
            },
            Self::Setup => match candidate.readiness {
                Readiness::Ready => None,
                Readiness::ProxyUnusable => Some(Exclusion::ProxyUnusable),
                Readiness::AddressUnusable => Some(Exclusion::AddressUnusable),
                Readiness::SecretUnreadable => Some(Exclusion::SecretUnreadable),
            },
            Self::Rest => candidate
                .health
                .obstacle(ask.model, ask.now)
                .map(|penalty| Exclusion::Resting { reason: penalty.reason, until: penalty.until }),
            Self::Quota => {
                let spent = candidate.daily_spent;
                let quota = candidate.daily_quota.filter(|quota| *quota <= spent);
                quota.map(|quota| Exclusion::QuotaSpent { quota, spent, until: ask.day_ends })
            }
            Self::Tried => ask.tried.contains(candidate.id).then_some(Exclusion::AlreadyTried),
            Self::Trial => {
                let on_trial = candidate.trial_in_flight && candidate.health.on_trial(ask.now);
                on_trial.then_some(Exclusion::OnTrial)
            }
            Self::Capacity => {
                let limit = candidate.max_concurrent.filter(|limit| *limit <= candidate.in_flight);
                limit.map(|limit| Exclusion::AtCapacity { limit })
            }
        }
    }
}

/// Why `candidate` cannot serve `ask`: the first filter that it does not pass; `None` if it can. Every path
/// asks this and nothing else: the pool, a binding, a sticky session, a failover.
#[must_use]
pub fn exclusion(candidate: &Candidate<'_>, ask: &Ask<'_>) -> Option<Exclusion> {
    Filter::ALL.iter().find_map(|filter| filter.exclusion(candidate, ask))
}

fn explain(reason: PenaltyReason) -> &'static str {
    match reason {
        PenaltyReason::RateLimited => "the provider limits it (429)",
        PenaltyReason::Overloaded => "the provider is overloaded (529 or 503)",
        PenaltyReason::ServerError => "the provider failed several times in a row",
        PenaltyReason::Unreachable => "it could not be reached",
        PenaltyReason::Unauthorized => "the provider refused its credential (401)",
        PenaltyReason::Blocked => "the provider refused the account (402 or 403)",
        PenaltyReason::ModelUnknown => "the provider does not know the model",
        PenaltyReason::QuotaExceeded => "its quota of the day is used up",
    }
}

#[cfg(test)]
mod tests;
