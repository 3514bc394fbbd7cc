//! An API key as the fields of v1's hash.
//!
//! Reads what v1 and v2 wrote. Writes v1's form, and only the fields that Relay knows.

use std::time::Duration;

use relay_domain::key::Deletion;
use relay_domain::{
    AccountId, ApiKey, BudgetPolicy, Expiry, KeyDigest, KeyId, Limits, NanoUsd, PeriodStarts,
    Permissions, Platform, RateWindow, Timestamp,
};
use relay_store::StoreError;

use crate::hash::Hash;

/// The fields on which indexes depend.
pub(super) const INDEXED: [&str; 5] = ["name", "tags", "isActive", "isDeleted", "apiKey"];
/// The fields that say whether a key's time has begun.
pub(super) const ACTIVATION: [&str; 2] = ["expirationMode", "isActivated"];
/// What stands in a list of permissions that allows nothing: an empty one allows everything.
const NOTHING: &str = "none";
/// v1's name of a binding to one of its Codex accounts.
const RESPONSES: &str = "responses:";

/// Whether a key's time begins with its first use.
pub(super) enum Activation {
    /// It does not, or there is no such key.
    None,
    /// It has begun, and ends then, if it ends.
    Done(Option<Timestamp>),
    /// It has not begun.
    Due,
}

/// Reads a key.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if what it cannot be without is missing.
pub(super) fn parse(id: &str, hash: &Hash) -> Result<ApiKey, StoreError> {
    let corrupt =
        |why: &str| StoreError::Corrupt { what: format!("apikey:{id}"), why: why.to_owned() };
    let digest = KeyDigest::from_hex(hash.text("apiKey").unwrap_or_default())
        .map_err(|_| corrupt("apiKey is no digest"))?;
    let created_at = hash.moment("createdAt").unwrap_or_default();
    let deletion = || Deletion {
        at: hash.moment("deletedAt").or_else(|| hash.moment("updatedAt")).unwrap_or(created_at),
        by: hash.text_or_empty("deletedBy"),
    };
    let deleted = hash.is_true("isDeleted").then(deletion);
    let is_active = hash.is_true("isActive") || (deleted.is_some() && hash.is_true(ACTIVE_BEFORE));
    let restricted = hash.is_true("enableModelRestriction");
    let codex = hash.text("openaiAccountId").and_then(|bound| bound.strip_prefix(RESPONSES));
    let account = |id: Option<&str>| id.and_then(|id| AccountId::try_from(id).ok());
    Ok(ApiKey {
        id: KeyId::try_from(id).map_err(|_| corrupt("its name holds no id"))?,
        digest,
        name: hash.text("name").unwrap_or("Unnamed Key").to_owned(),
        description: hash.text_or_empty("description"),
        is_active,
        deleted,
        expiry: expiry(hash),
        permissions: permissions(hash.text("permissions").unwrap_or_default()),
        restricted_models: if restricted { hash.list("restrictedModels") } else { Vec::new() },
        bound_claude_account: account(hash.text("claudeConsoleAccountId")),
        bound_codex_account: account(codex.or_else(|| hash.text("codexAccountId"))),
        limits: limits(hash),
        tags: hash.list("tags"),
        created_by: hash.text_or_empty("createdBy"),
        created_at,
        updated_at: hash.moment("updatedAt"),
        last_used_at: hash.moment("lastUsedAt"),
    })
}

/// Reads a key of a list, in which one that cannot be read must not hide the others.
pub(super) fn parse_or_pass_over(id: &str, hash: &Hash) -> Option<ApiKey> {
    if hash.is_absent() {
        return None;
    }
    parse(id, hash).inspect_err(|error| tracing::error!(%error, "an API key is passed over")).ok()
}

/// The fields that are written once.
pub(super) fn fixed_fields(key: &ApiKey) -> Vec<(&'static str, String)> {
    vec![
        ("id", key.id.to_string()),
        ("apiKey", key.digest.to_hex()),
        ("createdAt", key.created_at.to_string()),
        ("lastUsedAt", moment_or_empty(key.last_used_at)),
    ]
}

/// The fields that an operator may change.
pub(super) fn fields(key: &ApiKey) -> Vec<(&'static str, String)> {
    let is_deleted = key.deleted.is_some();
    let responses = |id: &AccountId| format!("{RESPONSES}{id}");
    let mut fields = vec![
        ("name", key.name.clone()),
        ("description", key.description.clone()),
        // v1 looks at nothing else to keep a deleted key out.
        ("isActive", (key.is_active && !is_deleted).to_string()),
        (ACTIVE_BEFORE, (key.is_active && is_deleted).to_string()),
        ("isDeleted", is_deleted.to_string()),
        ("deletedAt", moment_or_empty(key.deleted.as_ref().map(|deletion| deletion.at))),
        (
            "deletedBy",
            key.deleted.as_ref().map_or_else(String::new, |deletion| deletion.by.clone()),
        ),
        ("permissions", permissions_text(&key.permissions)),
        ("enableModelRestriction", (!key.restricted_models.is_empty()).to_string()),
        ("restrictedModels", list_text(&key.restricted_models)),
        ("claudeConsoleAccountId", text_or_empty(key.bound_claude_account.as_ref())),
        ("openaiAccountId", key.bound_codex_account.as_ref().map_or_else(String::new, responses)),
        ("codexAccountId", text_or_empty(key.bound_codex_account.as_ref())),
        ("concurrencyLimit", key.limits.concurrency.unwrap_or(0).to_string()),
        ("dailyCostLimit", dollars(key.limits.daily_cost)),
        ("totalCostLimit", dollars(key.limits.total_cost)),
        ("weeklyOpusCostLimit", dollars(key.limits.weekly_claude_cost)),
        ("relayWeeklyCostLimit", dollars(key.limits.weekly_cost)),
        ("relayMonthlyCostLimit", dollars(key.limits.monthly_cost)),
        ("weeklyResetDay", key.limits.starts.week_day.to_string()),
        ("weeklyResetHour", key.limits.starts.week_hour.to_string()),
        ("relayBudgetPolicy", budget_policy_text(key.limits.budget_policy).to_owned()),
        ("tags", list_text(&key.tags)),
        ("createdBy", key.created_by.clone()),
        ("updatedAt", moment_or_empty(key.updated_at)),
    ];
    fields.extend(window_fields(key.limits.window.as_ref()));
    fields.extend(expiry_fields(key.expiry));
    fields
}

/// Whether a key's time begins with its first use.
pub(super) fn activation(hash: &Hash) -> Activation {
    if hash.text("expirationMode") != Some("activation") {
        Activation::None
    } else if hash.is_true("isActivated") {
        Activation::Done(end(hash))
    } else {
        Activation::Due
    }
}

/// The fields of a key whose time begins at `now` and ends at `end`.
pub(super) fn activated(now: Timestamp, end: Timestamp) -> [(&'static str, String); 3] {
    [
        ("isActivated", "true".to_owned()),
        ("activatedAt", now.to_string()),
        ("expiresAt", end.to_string()),
    ]
}

/// Says of a deleted key whether it was switched on, which v1's fields cannot say.
const ACTIVE_BEFORE: &str = "relayActiveBeforeDeletion";

/// When a key ends. A key whose end cannot be read has ended: it was not meant to last for ever.
fn end(hash: &Hash) -> Option<Timestamp> {
    hash.text("expiresAt")?;
    Some(hash.moment("expiresAt").unwrap_or(Timestamp::EPOCH))
}

fn expiry(hash: &Hash) -> Expiry {
    match activation(hash) {
        Activation::None => end(hash).map_or(Expiry::Never, Expiry::At),
        Activation::Done(end) => end.map_or(Expiry::Never, Expiry::At),
        Activation::Due => {
            let hours = if hash.text("activationUnit") == Some("hours") { 1 } else { 24 };
            let count = hash.number("activationDays").unwrap_or(30);
            Expiry::AfterFirstUse(Duration::from_secs(count.saturating_mul(hours * 3_600)))
        }
    }
}

/// The fields of a key's end.
pub(super) fn expiry_fields(expiry: Expiry) -> Vec<(&'static str, String)> {
    let fields = |mode: &str, is_activated: bool, end: Option<Timestamp>| {
        vec![
            ("expirationMode", mode.to_owned()),
            ("isActivated", is_activated.to_string()),
            ("expiresAt", moment_or_empty(end)),
        ]
    };
    match expiry {
        Expiry::Never => fields("fixed", true, None),
        Expiry::At(end) => fields("fixed", true, Some(end)),
        Expiry::AfterFirstUse(length) => {
            // v1 knows whole hours: part of one is given as one.
            let hours = length.as_secs().div_ceil(3_600);
            let (count, unit) =
                if hours.is_multiple_of(24) { (hours / 24, "days") } else { (hours, "hours") };
            let mut fields = fields("activation", false, None);
            fields.push(("activationDays", count.to_string()));
            fields.push(("activationUnit", unit.to_owned()));
            fields.push(("activatedAt", String::new()));
            fields
        }
    }
}

/// v1 writes a JSON array, v2 a word; `codex` is v2's word for `openai`.
fn permissions(text: &str) -> Permissions {
    let names: Vec<String> = if text.starts_with('[') {
        serde_json::from_str(text).unwrap_or_default()
    } else {
        text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Permissions::All;
    }
    let mut platforms: Vec<Platform> = Vec::new();
    for name in &names {
        let platform = match name.as_str() {
            "claude" => Platform::ClaudeConsole,
            "openai" | "codex" => Platform::Codex,
            _ => continue,
        };
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Permissions::Only(platforms)
}

fn permissions_text(permissions: &Permissions) -> String {
    let name = |platform: &Platform| match platform {
        Platform::ClaudeConsole => "claude".to_owned(),
        Platform::Codex => "openai".to_owned(),
    };
    match permissions {
        Permissions::All => list_text(&[]),
        Permissions::Only(platforms) if platforms.is_empty() => list_text(&[NOTHING.to_owned()]),
        Permissions::Only(platforms) => list_text(&platforms.iter().map(name).collect::<Vec<_>>()),
    }
}

fn limits(hash: &Hash) -> Limits {
    let positive = |field: &str| hash.number(field).filter(|number| *number > 0);
    let window = positive("rateLimitWindow").map(|minutes| RateWindow {
        length: Duration::from_secs(minutes.saturating_mul(60)),
        requests: positive("rateLimitRequests"),
        tokens: positive("tokenLimit"),
        cost: hash.limit("rateLimitCost"),
    });
    Limits {
        concurrency: positive("concurrencyLimit").map(|n| u32::try_from(n).unwrap_or(u32::MAX)),
        window,
        daily_cost: hash.limit("dailyCostLimit"),
        weekly_cost: hash.limit("relayWeeklyCostLimit"),
        monthly_cost: hash.limit("relayMonthlyCostLimit"),
        total_cost: hash.limit("totalCostLimit"),
        weekly_claude_cost: hash.limit("weeklyOpusCostLimit"),
        starts: starts(hash),
        budget_policy: match hash.text("relayBudgetPolicy") {
            Some("hard") => BudgetPolicy::Hard,
            Some(_) | None => BudgetPolicy::Soft,
        },
    }
}

/// When a key's week begins. v1 reads what is not one of its numbers as Monday and midnight.
fn starts(hash: &Hash) -> PeriodStarts {
    let within = |field: &str, range: std::ops::RangeInclusive<u64>| {
        let number = hash.number(field).filter(|number| range.contains(number));
        number.and_then(|number| u8::try_from(number).ok())
    };
    PeriodStarts {
        day_minute: 0,
        week_day: within("weeklyResetDay", 1..=7).unwrap_or(1),
        week_hour: within("weeklyResetHour", 0..=23).unwrap_or(0),
    }
}

/// A window that is off leaves what it would limit as it is stored.
fn window_fields(window: Option<&RateWindow>) -> Vec<(&'static str, String)> {
    let Some(window) = window else { return vec![("rateLimitWindow", "0".to_owned())] };
    vec![
        // v1 knows whole minutes: part of one is given as one.
        ("rateLimitWindow", window.length.as_secs().div_ceil(60).to_string()),
        ("rateLimitRequests", window.requests.unwrap_or(0).to_string()),
        ("tokenLimit", window.tokens.unwrap_or(0).to_string()),
        ("rateLimitCost", dollars(window.cost)),
    ]
}

fn budget_policy_text(policy: BudgetPolicy) -> &'static str {
    match policy {
        BudgetPolicy::Soft => "soft",
        BudgetPolicy::Hard => "hard",
    }
}

fn dollars(amount: Option<NanoUsd>) -> String {
    amount.map_or_else(|| "0".to_owned(), |amount| amount.to_string())
}

fn moment_or_empty(moment: Option<Timestamp>) -> String {
    moment.map_or_else(String::new, |moment| moment.to_string())
}

fn text_or_empty(id: Option<&AccountId>) -> String {
    id.map_or_else(String::new, ToString::to_string)
}

fn list_text(items: &[String]) -> String {
    // A list of texts is always JSON.
    serde_json::to_string(items).unwrap_or_else(|_| "[]".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_of_both_predecessors_are_read() {
        use Platform::{ClaudeConsole, Codex};
        let cases = [
            ("", Permissions::All),
            ("[]", Permissions::All),
            ("all", Permissions::All),
            ("claude", Permissions::Only(vec![ClaudeConsole])),
            ("codex", Permissions::Only(vec![Codex])),
            (r#"["claude","openai"]"#, Permissions::Only(vec![ClaudeConsole, Codex])),
            (r#"["openai","codex"]"#, Permissions::Only(vec![Codex])),
            ("claude, gemini", Permissions::Only(vec![ClaudeConsole])),
            (r#"["gemini"]"#, Permissions::Only(vec![])),
            (r#"["none"]"#, Permissions::Only(vec![])),
        ];
        for (text, expected) in cases {
            assert_eq!(permissions(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ends_of_both_predecessors_are_read() {
        let end = Timestamp::parse_rfc3339("2028-01-01T00:00:00Z").unwrap();
        let hours = |hours| Expiry::AfterFirstUse(Duration::from_hours(hours));
        let due = [("expirationMode", "activation"), ("isActivated", "false")];
        let cases = [
            ("nothing", Hash::from([]), Expiry::Never),
            ("empty", Hash::from([("expiresAt", "")]), Expiry::Never),
            ("a moment", Hash::from([("expiresAt", "2028-01-01T00:00:00.000Z")]), Expiry::At(end)),
            ("a day", Hash::from([("expiresAt", "2028-01-01")]), Expiry::At(end)),
            ("minutes", Hash::from([("expiresAt", "2028-01-01T00:00")]), Expiry::At(end)),
            ("no zone", Hash::from([("expiresAt", "2028-01-01T00:00:00")]), Expiry::At(end)),
            ("a space", Hash::from([("expiresAt", "2028-01-01 00:00:00")]), Expiry::At(end)),
            ("a zone", Hash::from([("expiresAt", "2028-01-01T08:00:00+08:00")]), Expiry::At(end)),
            ("no moment", Hash::from([("expiresAt", "soon")]), Expiry::At(Timestamp::EPOCH)),
            (
                "no such day",
                Hash::from([("expiresAt", "2028-02-31")]),
                Expiry::At(Timestamp::EPOCH),
            ),
            (
                "begun, and no moment",
                Hash::from([due[0], ("isActivated", "true"), ("expiresAt", "soon")]),
                Expiry::At(Timestamp::EPOCH),
            ),
            (
                "hours",
                Hash::from([due[0], due[1], ("activationDays", "30"), ("activationUnit", "hours")]),
                hours(30),
            ),
            ("days", Hash::from([due[0], due[1], ("activationDays", "2")]), hours(48)),
            ("no length", Hash::from(due), hours(720)),
            (
                "begun",
                Hash::from([due[0], ("isActivated", "true"), ("expiresAt", "2028-01-01")]),
                Expiry::At(end),
            ),
        ];
        for (name, hash, expected) in cases {
            assert_eq!(expiry(&hash), expected, "{name}");
        }
    }
}
