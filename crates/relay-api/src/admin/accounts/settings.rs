//! Settings of an account that a new one is given and that a change gives an old one.

use std::collections::BTreeMap;

use relay_domain::{AccountKind, ModelMap, Multiplier, OnDisconnect, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;
use crate::admin::error::ApiError;

/// The models that an account serves: from the client's names to its own, or a list of names that are
/// the same on both sides. Empty: all.
#[derive(Deserialize, ToSchema)]
#[serde(untagged, expecting = "must be an object of names to names, or a list of names")]
pub(super) enum SupportedModels {
    Map(BTreeMap<String, String>),
    List(Vec<String>),
}

impl From<SupportedModels> for ModelMap {
    fn from(models: SupportedModels) -> Self {
        Self::new(match models {
            SupportedModels::Map(map) => map,
            SupportedModels::List(list) => {
                list.into_iter().map(|name| (name.clone(), name)).collect()
            }
        })
    }
}

/// Whether any key may use an account.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AccountKindName {
    Shared,
    Dedicated,
}

impl From<AccountKindName> for AccountKind {
    fn from(name: AccountKindName) -> Self {
        match name {
            AccountKindName::Shared => Self::Shared,
            AccountKindName::Dedicated => Self::Dedicated,
        }
    }
}

/// What becomes of a request whose client leaves: `abort` stops the provider, `drain` reads the answer to its
/// end.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnDisconnectName {
    Abort,
    Drain,
}

impl From<OnDisconnectName> for OnDisconnect {
    fn from(name: OnDisconnectName) -> Self {
        match name {
            OnDisconnectName::Abort => Self::Abort,
            OnDisconnectName::Drain => Self::Drain,
        }
    }
}

impl From<OnDisconnect> for OnDisconnectName {
    fn from(choice: OnDisconnect) -> Self {
        match choice {
            OnDisconnect::Abort => Self::Abort,
            OnDisconnect::Drain => Self::Drain,
        }
    }
}

/// Reads the end of a subscription. An empty text means none.
pub(super) fn end_of_subscription(text: &str) -> Result<Option<Timestamp>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let why = "must be a date and time such as 2030-01-31T12:00:00Z";
    let end = Timestamp::parse_rfc3339(text);
    end.map(Some).ok_or(ApiError::Invalid { field: "subscriptionExpiresAt", why })
}

/// Reads by how much what an account costs is multiplied.
pub(super) fn multiplier(rate: &Number) -> Result<Multiplier, ApiError> {
    dollars::decimal(rate).parse().map_err(|_| ApiError::Invalid {
        field: "rateMultiplier",
        why: "must be a number from 0 to 4294, with up to six decimals",
    })
}
