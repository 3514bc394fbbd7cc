//! An account as the fields of v1's hash.
//!
//! Reads what v1 and v2 wrote. Writes v1's form, and only the fields that Relay knows.

use std::collections::BTreeMap;

use relay_domain::{
    Account, AccountId, AccountKind, ModelMap, NanoUsd, Priority, SealedSecret, Timestamp,
};
use relay_store::StoreError;
use serde::Deserialize;

use super::{health, proxy};
use crate::hash::Hash;
use crate::keyspace::AccountFamily;

/// v1's marks that it, not an operator, switched an account off.
const STOPPED_BY_ITSELF: [&str; 3] =
    ["rateLimitAutoStopped", "blockedAutoStopped", "quotaAutoStopped"];
/// v1's minutes of rest when none are stored.
const RATE_LIMIT_MINUTES: u64 = 60;

/// v1 wrote lists before it wrote maps.
#[derive(Deserialize)]
#[serde(untagged)]
enum ModelsForm {
    Map(BTreeMap<String, String>),
    List(Vec<String>),
}

/// Whether a hash is an account. v2 leaves hashes behind that have nothing but a state.
pub(super) fn is_account(hash: &Hash) -> bool {
    hash.text("id").is_some()
}

/// Reads an account.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if what it cannot be without is missing.
pub(super) fn parse(
    id: &AccountId,
    family: AccountFamily,
    hash: &Hash,
) -> Result<Account, StoreError> {
    let base_url = hash.text(url_field(family)).ok_or_else(|| StoreError::Corrupt {
        what: format!("{}:{id}", family.stem()),
        why: format!("{} is missing", url_field(family)),
    })?;
    let stopped_by_itself = STOPPED_BY_ITSELF.iter().any(|mark| hash.is_true(mark));
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
        is_active: stopped_by_itself || hash.is_true("isActive"),
        // v1: missing means yes.
        schedulable: stopped_by_itself || hash.text("schedulable") != Some("false"),
        kind: match hash.text("accountType") {
            None | Some("shared") => AccountKind::Shared,
            Some(_) => AccountKind::Dedicated,
        },
        rate_limit_minutes: small(hash.number("rateLimitDuration").unwrap_or(RATE_LIMIT_MINUTES)),
        daily_quota: hash.limit("dailyQuota"),
        max_concurrent: hash.number("maxConcurrentTasks").filter(|n| *n > 0).map(small),
        health: health::parse(hash),
        created_at: hash.moment("createdAt").unwrap_or_default(),
        updated_at: hash.moment("updatedAt"),
        last_used_at: hash.moment("lastUsedAt"),
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
    let quota =
        account.daily_quota.map_or_else(|| "0".to_owned(), |quota: NanoUsd| quota.to_string());
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
        ("maxConcurrentTasks", account.max_concurrent.unwrap_or(0).to_string()),
        ("updatedAt", moment_or_empty(account.updated_at)),
    ])
}

/// What Relay writes when it takes over an account that v1 switched off by itself: v1's marks go, and
/// the switches say what `account` says.
pub(super) fn switches(account: &Account, stored: &Hash) -> Vec<(&'static str, String)> {
    if !STOPPED_BY_ITSELF.iter().any(|mark| stored.is_true(mark)) {
        return Vec::new();
    }
    let marks = STOPPED_BY_ITSELF.map(|mark| (mark, String::new()));
    let switches = [
        ("isActive", account.is_active.to_string()),
        ("schedulable", account.schedulable.to_string()),
    ];
    marks.into_iter().chain(switches).collect()
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
