//! An account as the fields of v1's hash.
//!
//! Reads what v1 and v2 wrote. Writes v1's form, and only the fields that Relay knows.

use std::collections::BTreeMap;

use relay_domain::{
    Account, AccountId, AccountKind, Limits, ModelMap, Multiplier, NanoUsd, OnDisconnect, Priority,
    SealedSecret, Timestamp,
};
use relay_store::{StoreError, StoredLimits};
use serde::Deserialize;

use super::{health, proxy};
use crate::hash::Hash;
use crate::keyspace::AccountFamily;

/// The fields in which something is sealed.
pub(super) const SECRET: [&str; 2] = ["apiKey", "proxy"];
/// v1's marks that it, not an operator, switched an account off.
const STOPPED_BY_ITSELF: [&str; 3] =
    ["rateLimitAutoStopped", "blockedAutoStopped", "quotaAutoStopped"];
/// When v1 found the credential refused. It takes such an account out of scheduling and has no other mark for
/// that; whether the account is active is an operator's word alone.
const REFUSED_AT: &str = "unauthorizedAt";
/// The refusal, by its moment, since which an operator has set the switches.
const SET_SINCE: &str = "relaySwitchesSetSince";
/// The field of the revision, on which changes are decided.
pub(super) const REVISION: &str = "relayRevision";
const LIMITS: &str = "relayLimits";
const RATE: &str = "relayRate";
const ON_DISCONNECT: &str = "relayOnDisconnect";
/// v1's minutes of rest when none are stored.
const RATE_LIMIT_MINUTES: u64 = 60;

/// v1 wrote lists before it wrote maps.
#[derive(Deserialize)]
#[serde(untagged)]
enum ModelsForm {
    Map(BTreeMap<String, String>),
    List(Vec<String>),
}

/// The field that makes a hash an account.
pub(crate) const ID: &str = "id";

/// Whether a hash is an account. v2 leaves hashes behind that have nothing but a state.
pub(crate) fn is_account(hash: &Hash) -> bool {
    hash.text(ID).is_some()
}

/// Reads an account.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if what it cannot be without is missing.
pub(crate) fn parse(
    id: &AccountId,
    family: AccountFamily,
    hash: &Hash,
) -> Result<Account, StoreError> {
    let base_url = hash.text(url_field(family)).ok_or_else(|| StoreError::Corrupt {
        what: format!("{}:{id}", family.stem()),
        why: format!("{} is missing", url_field(family)),
    })?;
    let is_stopped = is_stopped_by_itself(hash);
    let priority = hash.number("priority").unwrap_or(50).clamp(1, 100);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Account {
        id: id.clone(),
        platform: family.platform(),
        name: hash.text_or_empty("name"),
        description: hash.text_or_empty("description"),
        base_url: base_url.trim_end_matches('/').to_owned(),
        secret: SealedSecret::new(hash.text_or_empty("apiKey")),
        priority: u8::try_from(priority)
            .ok()
            .and_then(|priority| Priority::try_from(priority).ok())
            .unwrap_or(Priority::DEFAULT),
        models: models(hash),
        user_agent: hash.text("userAgent").map(str::to_owned),
        proxy: proxy::parse(hash.text("proxy").unwrap_or_default()),
        is_active: is_stopped || hash.is_true("isActive"),
        // v1: missing means yes.
        schedulable: is_stopped || is_taken_out(hash) || hash.text("schedulable") != Some("false"),
        kind: match hash.text("accountType") {
            None | Some("shared") => AccountKind::Shared,
            Some(_) => AccountKind::Dedicated,
        },
        rate_limit_minutes: small(hash.number("rateLimitDuration").unwrap_or(RATE_LIMIT_MINUTES)),
        limits: limits(hash),
        rate: hash.text(RATE).and_then(|text| text.parse().ok()).unwrap_or(Multiplier::ONE),
        subscription_ends: hash.moment("subscriptionExpiresAt"),
        on_disconnect: match hash.text(ON_DISCONNECT) {
            Some("drain") => OnDisconnect::Drain,
            Some(_) | None => OnDisconnect::Abort,
        },
        error_message: hash.text_or_empty("errorMessage"),
        health: health::parse(hash),
        created_at: hash.moment("createdAt").unwrap_or_default(),
        updated_at: hash.moment("updatedAt"),
        last_used_at: hash.moment("lastUsedAt"),
        revision: revision(hash),
    })
}

/// Reads an account of a list, in which one that cannot be read must not hide the others.
pub(super) fn parse_or_pass_over(id: &str, family: AccountFamily, hash: &Hash) -> Option<Account> {
    if !is_account(hash) {
        return None;
    }
    let id = AccountId::try_from(id).ok()?;
    parse(&id, family, hash)
        .inspect_err(|error| tracing::error!(%error, "an account is passed over"))
        .ok()
}

/// The fields that are written once.
pub(super) fn fixed_fields(
    account: &Account,
    family: AccountFamily,
) -> Vec<(&'static str, String)> {
    let platform = match family {
        AccountFamily::ClaudeConsole => "claude-console",
        AccountFamily::OpenaiResponses => "openai-responses",
        AccountFamily::Codex => "codex",
    };
    vec![
        ("id", account.id.to_string()),
        ("platform", platform.to_owned()),
        ("createdAt", account.created_at.to_string()),
        ("lastUsedAt", moment_or_empty(account.last_used_at)),
    ]
}

/// The fields that an operator may change.
///
/// # Errors
///
/// [`StoreError::Refused`] if one cannot be written as JSON.
pub(super) fn fields(
    account: &Account,
    family: AccountFamily,
) -> Result<Vec<(&'static str, String)>, StoreError> {
    let models = serde_json::to_string(account.models.pairs())
        .map_err(|error| StoreError::Refused(Box::new(error)))?;
    let kind = match account.kind {
        AccountKind::Shared => "shared",
        AccountKind::Dedicated => "dedicated",
    };
    let quota = account.limits.daily_cost;
    let quota = quota.map_or_else(|| "0".to_owned(), |quota: NanoUsd| quota.to_string());
    let limits = serde_json::to_string(&StoredLimits::from(account.limits))
        .map_err(|error| StoreError::Refused(Box::new(error)))?;
    let day_minute = account.limits.starts.day_minute;
    let on_disconnect = match account.on_disconnect {
        OnDisconnect::Abort => "abort",
        OnDisconnect::Drain => "drain",
    };
    Ok(vec![
        ("name", account.name.clone()),
        ("description", account.description.clone()),
        (url_field(family), account.base_url.clone()),
        ("apiKey", account.secret.as_stored().to_owned()),
        ("priority", u8::from(account.priority).to_string()),
        ("supportedModels", models),
        ("userAgent", account.user_agent.clone().unwrap_or_default()),
        ("proxy", proxy::text(&account.proxy)?),
        ("isActive", account.is_active.to_string()),
        ("schedulable", account.schedulable.to_string()),
        ("accountType", kind.to_owned()),
        ("rateLimitDuration", account.rate_limit_minutes.to_string()),
        ("dailyQuota", quota),
        ("quotaResetTime", format!("{:02}:{:02}", day_minute / 60, day_minute % 60)),
        ("maxConcurrentTasks", account.limits.concurrency.unwrap_or(0).to_string()),
        (LIMITS, limits),
        (RATE, account.rate.to_string()),
        ("subscriptionExpiresAt", moment_or_empty(account.subscription_ends)),
        (ON_DISCONNECT, on_disconnect.to_owned()),
        ("errorMessage", account.error_message.clone()),
        ("updatedAt", moment_or_empty(account.updated_at)),
    ])
}

/// What Relay writes when it takes over an account that v1 switched off by itself: v1's marks go, and
/// the switches say what `account` says.
pub(super) fn switches(account: &Account, stored: &Hash) -> Vec<(&'static str, String)> {
    if !is_stopped_by_itself(stored) && !is_taken_out(stored) {
        return Vec::new();
    }
    let marks = STOPPED_BY_ITSELF.into_iter().chain([REFUSED_AT]).map(|mark| (mark, String::new()));
    marks.chain(both_switches(account)).collect()
}

/// What Relay writes when an operator sets a switch of an account that v1 switched off by itself: from then on
/// the switches are the operator's. What v1 says of the account's health stays.
pub(super) fn chosen_switches(
    old: &Account,
    new: &Account,
    stored: &Hash,
) -> Vec<(&'static str, String)> {
    let (is_stopped, is_out) = (is_stopped_by_itself(stored), is_taken_out(stored));
    let is_set = old.is_active != new.is_active || old.schedulable != new.schedulable;
    if !is_set || !(is_stopped || is_out) {
        return Vec::new();
    }
    let marks = STOPPED_BY_ITSELF.into_iter().filter(|_| is_stopped);
    let marks = marks.map(|mark| (mark, String::new()));
    let since = is_out.then(|| (SET_SINCE, stored.text_or_empty(REFUSED_AT)));
    marks.chain(since).chain(both_switches(new)).collect()
}

fn both_switches(account: &Account) -> [(&'static str, String); 2] {
    [("isActive", account.is_active.to_string()), ("schedulable", account.schedulable.to_string())]
}

/// Whether v1 has switched it off, in every way.
fn is_stopped_by_itself(stored: &Hash) -> bool {
    STOPPED_BY_ITSELF.iter().any(|mark| stored.is_true(mark))
}

/// Whether v1 has taken it out of scheduling because its credential is refused, and no operator has set its
/// switches since.
fn is_taken_out(stored: &Hash) -> bool {
    let refused_at = stored.text(REFUSED_AT);
    refused_at.is_some() && refused_at != stored.text(SET_SINCE) && health::is_refused_to_v1(stored)
}

/// The revision of an account as it is stored.
pub(super) fn revision(hash: &Hash) -> u64 {
    hash.number(REVISION).unwrap_or(0)
}

/// What v1 has fields for is read from them, for a v1 may have changed it since.
fn limits(hash: &Hash) -> Limits {
    let own = hash.text(LIMITS).and_then(|json| serde_json::from_str::<StoredLimits>(json).ok());
    let mut limits = Limits::from(own.unwrap_or_default());
    limits.daily_cost = hash.limit("dailyQuota");
    let at_once = hash.number("maxConcurrentTasks").filter(|limit| *limit > 0);
    limits.concurrency = at_once.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));
    limits.starts.day_minute = hash.text("quotaResetTime").and_then(minute_of_day).unwrap_or(0);
    limits
}

/// The minute that `HH:mm` names.
fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let below = |text: &str, bound: u16| text.parse::<u16>().ok().filter(|part| *part < bound);
    Some(below(hour, 24)? * 60 + below(minute, 60)?)
}

fn url_field(family: AccountFamily) -> &'static str {
    match family {
        AccountFamily::ClaudeConsole | AccountFamily::Codex => "apiUrl",
        AccountFamily::OpenaiResponses => "baseApi",
    }
}

fn models(hash: &Hash) -> ModelMap {
    let form = hash.text("supportedModels").and_then(|text| serde_json::from_str(text).ok());
    match form {
        Some(ModelsForm::Map(map)) => ModelMap::new(map),
        Some(ModelsForm::List(names)) => {
            ModelMap::new(names.into_iter().map(|name| (name.clone(), name)).collect())
        }
        None => ModelMap::default(),
    }
}

fn moment_or_empty(moment: Option<Timestamp>) -> String {
    moment.map_or_else(String::new, |moment| moment.to_string())
}
