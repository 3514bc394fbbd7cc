//! Why nobody can serve a request: what to tell a client when there is no account left.

use std::fmt;

use relay_domain::{PenaltyReason, Timestamp};

use crate::Exclusion;

/// What is short. Of several reasons, the one that passes first is given: that is what a client
/// waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shortage {
    /// There is no account of the platform that the key may use.
    NoAccounts,
    /// The group of accounts that the key is bound to has no account of the platform, or is gone.
    NoMembers,
    /// No account in service serves the model.
    ModelNotServed,
    /// Accounts serve it as a model that the key may not use.
    ModelRestricted,
    /// Limits of the provider, or quotas of the operator, are used up: a 429.
    RateLimited {
        /// When the first of these accounts is well again, as far as that is known.
        until: Option<Timestamp>,
    },
    /// The provider is overloaded, fails or cannot be reached: a 529.
    Overloaded {
        /// When the first of these accounts is well again, as far as that is known.
        until: Option<Timestamp>,
    },
    /// The request may come to more than is left of the accounts' own limits: a 429.
    RoomTooSmall {
        /// When the first of these limits starts anew and has room for it, as far as that is known.
        until: Option<Timestamp>,
    },
    /// Requests in flight hold what is left of the accounts' own limits: a 429 that is soon over.
    RoomHeld,
    /// All that could serve it are busy: soon over.
    Busy,
    /// Accounts are switched off, misconfigured, refused by the provider, or were tried in vain.
    Unavailable,
}

impl Shortage {
    /// Whether it is over as soon as a request in flight ends.
    pub fn is_momentary(&self) -> bool {
        matches!(self, Self::Busy | Self::RoomHeld)
    }

    /// The shortage that `exclusions` amount to.
    pub(crate) fn of<'a>(exclusions: impl Iterator<Item = &'a Exclusion>) -> Self {
        let mut nobody = Self::NoAccounts;
        let weighed = exclusions.filter_map(|exclusion| {
            if *exclusion == Exclusion::NotInGroup {
                nobody = Self::NoMembers;
            }
            weigh(exclusion)
        });
        let soonest = weighed.min_by_key(|(wait, until, shortage)| {
            // A client can mend what is too large, and not wait for it.
            let is_lasting = !matches!(shortage, Self::RoomTooSmall { .. });
            // An end that is not known comes after every end that is.
            (*wait, until.is_none(), *until, is_lasting)
        });
        soonest.map_or(nobody, |(_, _, shortage)| shortage)
    }
}

impl fmt::Display for Shortage {
    /// A sentence for the client.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, until) = match self {
            Self::NoAccounts => ("there is no account for this key and platform", None),
            Self::NoMembers => {
                ("the group of accounts that this API key is bound to has no account", None)
            }
            Self::ModelNotServed => ("no account serves this model", None),
            Self::ModelRestricted => {
                ("this API key may not use the model that this name stands for", None)
            }
            Self::RateLimited { until } => ("every account has reached a limit", *until),
            Self::Overloaded { until } => ("the provider is overloaded", *until),
            Self::RoomTooSmall { until } => (
                "no account has as much left of its own budget as this request may come to (one with a smaller \
                 max_tokens may fit)",
                *until,
            ),
            Self::RoomHeld => (
                "requests in flight hold what the accounts have left of their own budgets, and give it back as \
                 they end",
                None,
            ),
            Self::Busy => ("every account is busy", None),
            Self::Unavailable => ("no account is available", None),
        };
        f.write_str(text)?;
        until.map_or(Ok(()), |until| write!(f, " until {until}"))
    }
}

/// How long a client would wait, the shortest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Wait {
    /// Until a request in flight ends.
    Moments,
    /// Until a rest ends.
    Rest,
    /// Until somebody mends something.
    Repair,
    /// For another model.
    OtherModel,
    /// Until an operator wants the account in use.
    SwitchedOn,
}

/// What an exclusion contributes; `None` if the account was never meant for this key and platform.
fn weigh(exclusion: &Exclusion) -> Option<(Wait, Option<Timestamp>, Shortage)> {
    let until = exclusion.until();
    let (wait, shortage) = match exclusion {
        Exclusion::OtherPlatform
        | Exclusion::NotBound
        | Exclusion::NotInGroup
        | Exclusion::Dedicated => return None,
        Exclusion::AtCapacity { .. } | Exclusion::OnTrial => (Wait::Moments, Shortage::Busy),
        Exclusion::RoomHeld { .. } => (Wait::Moments, Shortage::RoomHeld),
        Exclusion::RoomTooSmall { .. } => (Wait::Rest, Shortage::RoomTooSmall { until }),
        Exclusion::QuotaSpent { .. } | Exclusion::LimitReached { .. } => {
            (Wait::Rest, Shortage::RateLimited { until })
        }
        Exclusion::Resting { reason, .. } => match reason {
            PenaltyReason::RateLimited | PenaltyReason::QuotaExceeded => {
                (Wait::Rest, Shortage::RateLimited { until })
            }
            PenaltyReason::Overloaded | PenaltyReason::ServerError | PenaltyReason::Unreachable => {
                (Wait::Rest, Shortage::Overloaded { until })
            }
            PenaltyReason::Unauthorized | PenaltyReason::Blocked => {
                (Wait::Repair, Shortage::Unavailable)
            }
            PenaltyReason::ModelUnknown => (Wait::OtherModel, Shortage::ModelNotServed),
        },
        Exclusion::ProxyUnusable
        | Exclusion::AddressUnusable
        | Exclusion::SecretUnreadable
        | Exclusion::AlreadyTried => (Wait::Repair, Shortage::Unavailable),
        Exclusion::ModelNotServed => (Wait::OtherModel, Shortage::ModelNotServed),
        Exclusion::ModelRestricted => (Wait::OtherModel, Shortage::ModelRestricted),
        Exclusion::NotActive | Exclusion::NotSchedulable | Exclusion::SubscriptionEnded { .. } => {
            (Wait::SwitchedOn, Shortage::Unavailable)
        }
    };
    Some((wait, until, shortage))
}

#[cfg(test)]
mod tests;
