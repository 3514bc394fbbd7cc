//! What is kept of a running request, so that whoever finds it orphaned can settle it.
//!
//! One string in three lines, because a checkpoint replaces the last of them and a settlement deletes
//! all at once: the id of the key whose concurrency slot the request has (or nothing); what was admitted;
//! what is known of the usage (or nothing).

use relay_domain::{
    AccountId, GroupId, KeyId, ModelName, NanoUsd, Platform, RequestId, Timestamp, TokenUsage,
};
use relay_store::{AdmitRequest, Orphan, Progress, Settlement, StoreError};
use serde::{Deserialize, Serialize};

/// How long a hold is kept that nobody settles or reaps: a week, longer than any outage that is to be
/// survived, in milliseconds.
pub(super) const LIFETIME_MS: u64 = 7 * 24 * 3_600_000;

/// What was admitted.
#[derive(Deserialize, Serialize)]
struct Admitted<'a> {
    key: KeyId,
    platform: Platform,
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    stream: bool,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
}

/// What is known of the usage.
#[derive(Deserialize, Serialize)]
struct Known {
    account: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_model: Option<ModelName>,
    usage: TokenUsage,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    charged: Option<NanoUsd>,
}

/// The hold of a request that is let in.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(super) fn write(request: &AdmitRequest) -> Result<String, StoreError> {
    let admitted = Admitted {
        key: request.key.clone(),
        platform: request.platform,
        model: request.model.as_str().into(),
        stream: request.stream,
        at: request.now,
        group: request.group.as_ref().map(|(id, _)| id.clone()),
    };
    let slot = request.limits.concurrency.map_or("", |_| request.key.as_str());
    let json =
        serde_json::to_string(&admitted).map_err(|error| StoreError::Refused(Box::new(error)))?;
    Ok(format!("{slot}\n{json}\n"))
}

/// The last line of a hold after a checkpoint; empty keeps the one before.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(super) fn write_progress(progress: Option<&Progress>) -> Result<String, StoreError> {
    let Some(Progress { account, served_model, usage, cost, charged }) = progress.cloned() else {
        return Ok(String::new());
    };
    serde_json::to_string(&Known { account, served_model, usage, cost, charged })
        .map_err(|error| StoreError::Refused(Box::new(error)))
}

/// The settlement at `now` of a request that nobody will settle any more.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if `hold` is not what [`write`](self::write()) wrote.
pub(super) fn orphan(
    request: RequestId,
    hold: &str,
    now: Timestamp,
) -> Result<Settlement, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: format!("the hold of {request}"), why };
    let mut lines = hold.splitn(3, '\n').skip(1);
    let (admitted, known) = (lines.next().unwrap_or(""), lines.next().unwrap_or(""));
    let admitted: Admitted<'_> =
        serde_json::from_str(admitted).map_err(|error| corrupt(error.to_string()))?;
    let model = ModelName::try_from(admitted.model.as_ref());
    let known: Option<Known> = match known {
        "" => None,
        known => Some(serde_json::from_str(known).map_err(|error| corrupt(error.to_string()))?),
    };
    let progress = known.map(|Known { account, served_model, usage, cost, charged }| Progress {
        account,
        served_model,
        usage,
        cost,
        charged,
    });
    let orphan = Orphan {
        request,
        key: admitted.key,
        group: admitted.group,
        platform: admitted.platform,
        model: model.map_err(|error| corrupt(error.to_string()))?,
        stream: admitted.stream,
        started_at: admitted.at,
        progress,
    };
    Ok(Settlement::orphaned(orphan, now))
}
