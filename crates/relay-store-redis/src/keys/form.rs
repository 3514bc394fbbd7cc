//! An API key as the fields of v1's hash.
//!
//! Reads what v1 and v2 wrote. Writes v1's form, and only the fields that Relay knows.

use std::time::Duration;

use relay_domain::{
    ApiKey, BudgetPolicy, Calendar, Expiry, ExpiryMode, GroupId, KeyDigest, KeyId, Lifetime,
    LifetimeUnit, Limits, NanoUsd, PeriodStarts, Permissions, Platform, RateWindow, Restriction,
    RetiringSecret, Signature, Timestamp, UnpricedPolicy, UserStanding, WaitQueue, WindowCaps,
};
use relay_store::StoreError;

use super::users::{self, Users};
use super::{bindings, service_rates};
use crate::guarded_write::changed;
use crate::hash::Hash;
use crate::javascript_date;

/// The fields on which indexes depend.
pub(crate) const INDEXED: [&str; 6] = ["name", "tags", "isActive", "isDeleted", "apiKey", RETIRING];
/// The fields that say whether a key's time has begun.
pub(super) const ACTIVATION: [&str; 2] = ["expirationMode", "isActivated"];
/// When a key was last used, which settlements write.
pub(super) const LAST_USED: &str = "lastUsedAt";
/// What stands in a list of permissions that allows nothing: an empty one allows everything.
const NOTHING: &str = "none";

/// Reads a key, with how its user stands among `users`, and with what its end leaves open in the operator's
/// calendar.
///
/// # Errors
///
/// [`StoreError::Corrupt`] if what it cannot be without is missing.
pub(crate) fn parse(
    id: &str,
    hash: &Hash,
    users: &Users,
    calendar: Calendar,
) -> Result<ApiKey, StoreError> {
    let corrupt =
        |why: &str| StoreError::Corrupt { what: format!("apikey:{id}"), why: why.to_owned() };
    let digest = KeyDigest::from_hex(hash.text("apiKey").unwrap_or_default())
        .map_err(|_| corrupt("apiKey is no digest"))?;
    let created_at = hash.moment("createdAt").unwrap_or_default();
    let deletion = || Signature {
        at: hash.moment("deletedAt").or_else(|| hash.moment("updatedAt")).unwrap_or(created_at),
        by: hash.text_or_empty("deletedBy"),
        by_type: hash.text_or_empty("deletedByType"),
    };
    let deleted = hash.is_true("isDeleted").then(deletion);
    let restored = hash.moment("restoredAt").map(|at| Signature {
        at,
        by: hash.text_or_empty("restoredBy"),
        by_type: hash.text_or_empty("restoredByType"),
    });
    let is_active = hash.is_true("isActive") || (deleted.is_some() && hash.is_true(ACTIVE_BEFORE));
    let restriction = |switch: &str, list: &str| Restriction {
        is_on: hash.is_true(switch),
        names: hash.list(list),
    };
    let limits = limits(hash);
    Ok(ApiKey {
        id: KeyId::try_from(id).map_err(|_| corrupt("its name holds no id"))?,
        digest,
        retiring: retiring(hash),
        name: hash.text("name").unwrap_or("Unnamed Key").to_owned(),
        description: hash.text_or_empty("description"),
        icon: hash.text_or_empty("icon"),
        is_active,
        deleted,
        restored,
        expiry: expiry(hash, calendar),
        permissions: permissions(hash.text("permissions").unwrap_or_default()),
        restricted_models: restriction("enableModelRestriction", "restrictedModels"),
        allowed_clients: restriction("enableClientRestriction", "allowedClients"),
        claude_binding: bindings::claude(hash),
        codex_binding: bindings::codex(hash),
        group: hash.text(GROUP).and_then(|id| GroupId::try_from(id).ok()),
        idle_window: if limits.window.is_some() { WindowCaps::default() } else { caps(hash) },
        limits,
        service_rates: service_rates::parse(hash),
        unpriced: match hash.text(UNPRICED) {
            Some("refuse") => Some(UnpricedPolicy::Refuse),
            Some("fallback") => Some(UnpricedPolicy::Fallback),
            Some(_) | None => None,
        },
        queue: queue(hash),
        tags: hash.list("tags"),
        user: users.user_of(hash),
        created_by: hash.text_or_empty("createdBy"),
        created_at,
        updated_at: hash.moment("updatedAt"),
        last_used_at: hash.moment(LAST_USED),
        revision: revision(hash),
    })
}

/// Reads a key of a list, in which one that cannot be read must not hide the others.
pub(super) fn parse_or_pass_over(
    id: &str,
    hash: &Hash,
    users: &Users,
    calendar: Calendar,
) -> Option<ApiKey> {
    if hash.is_absent() {
        return None;
    }
    parse(id, hash, users, calendar)
        .inspect_err(|error| tracing::error!(%error, "an API key is passed over"))
        .ok()
}

/// The fields that are written once.
pub(super) fn fixed_fields(key: &ApiKey) -> Vec<(&'static str, String)> {
    vec![
        ("id", key.id.to_string()),
        ("createdAt", key.created_at.to_string()),
        (LAST_USED, moment_or_empty(key.last_used_at)),
    ]
}

/// The fields that an operator may change.
pub(super) fn fields(key: &ApiKey) -> Vec<(&'static str, String)> {
    let is_deleted = key.deleted.is_some();
    let mut fields = vec![
        ("apiKey", key.digest.to_hex()),
        (RETIRING, key.retiring.map_or_else(String::new, |old| old.digest.to_hex())),
        (RETIRING_UNTIL, moment_or_empty(key.retiring.map(|old| old.until))),
        ("name", key.name.clone()),
        ("description", key.description.clone()),
        ("icon", key.icon.clone()),
        // v1 looks at nothing else to keep a deleted key out.
        ("isActive", (key.is_active && !is_deleted).to_string()),
        (ACTIVE_BEFORE, (key.is_active && is_deleted).to_string()),
        ("isDeleted", is_deleted.to_string()),
        ("permissions", permissions_text(&key.permissions)),
        ("enableModelRestriction", key.restricted_models.is_on.to_string()),
        ("restrictedModels", list_text(&key.restricted_models.names)),
        ("enableClientRestriction", key.allowed_clients.is_on.to_string()),
        ("allowedClients", list_text(&key.allowed_clients.names)),
        (GROUP, key.group.as_ref().map_or_else(String::new, ToString::to_string)),
        ("serviceRates", service_rates::text(&key.service_rates, None)),
        (UNPRICED, key.unpriced.map_or("", unpriced_text).to_owned()),
        (QUEUE_LENGTH, key.queue.map_or_else(String::new, |q| q.max_waiting.to_string())),
        (
            QUEUE_DEADLINE,
            key.queue.map_or_else(String::new, |q| q.deadline.as_millis().to_string()),
        ),
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
        ("userId", key.user.id().to_owned()),
        ("userUsername", key.user.username.clone()),
        ("createdBy", key.created_by.clone()),
        ("updatedAt", moment_or_empty(key.updated_at)),
    ];
    fields.extend(signed(["deletedAt", "deletedBy", "deletedByType"], key.deleted.as_ref()));
    fields.extend(signed(["restoredAt", "restoredBy", "restoredByType"], key.restored.as_ref()));
    fields.extend(bindings::fields(key));
    fields.extend(window_fields(key));
    fields.extend(expiry_fields(key.expiry));
    fields
}

/// What else is written of a key of another store: its user may be known there alone.
pub(super) fn fields_of_import(key: &ApiKey) -> Vec<(&'static str, String)> {
    let is_active = key.user.standing() == Some(UserStanding::Active);
    is_active.then(|| (users::ACTIVE_ELSEWHERE, true.to_string())).into_iter().collect()
}

/// The fields that make `new` of `old`, which is how the key is stored in `hash`: only those that differ,
/// and what Relay does not know of a field's content stays in it.
pub(super) fn changes(hash: &Hash, old: &ApiKey, new: &ApiKey) -> Vec<(&'static str, String)> {
    let mut changes = changed(&fields(old), fields(new));
    for (field, text) in &mut changes {
        if *field == "serviceRates" {
            *text = service_rates::text(&new.service_rates, hash.text("serviceRates"));
        }
    }
    bindings::complete(&mut changes, hash, old, new);
    if old.user.id() != new.user.id() {
        // It was said of another user.
        changes.push((users::ACTIVE_ELSEWHERE, String::new()));
    }
    changes.push((REVISION, new.revision.to_string()));
    changes
}

/// The revision of a key as it is stored.
pub(super) fn revision(hash: &Hash) -> u64 {
    hash.number(REVISION).unwrap_or(0)
}

/// The field of the revision, on which changes are decided.
pub(super) const REVISION: &str = "relayRevision";
/// The group that a key belongs to.
pub(super) const GROUP: &str = "relayGroup";
/// When a key ends, in any text that JavaScript reads as a date.
const END: &str = "expiresAt";
const RETIRING: &str = "relayRetiringDigest";
const RETIRING_UNTIL: &str = "relayRetiringUntil";
const UNPRICED: &str = "relayUnpriced";
const QUEUE_LENGTH: &str = "relayQueueLength";
const QUEUE_DEADLINE: &str = "relayQueueDeadlineMs";

/// Says of a deleted key whether it was switched on, which v1's fields cannot say.
const ACTIVE_BEFORE: &str = "relayActiveBeforeDeletion";

/// The text of a key's end, if it is none that JavaScript reads. To v1 such a key never ends, if a first use
/// does not give it an end.
pub(crate) fn unreadable_end(hash: &Hash, calendar: Calendar) -> Option<&str> {
    let text = hash.text(END)?;
    let is_readable = javascript_date::parse(text, calendar).is_some();
    (!is_readable && expiry(hash, calendar).due().is_none()).then_some(text)
}

/// When a key ends.
pub(super) fn expiry(hash: &Hash, calendar: Calendar) -> Expiry {
    let mode = match hash.text("expirationMode") {
        Some("activation") => ExpiryMode::Activation,
        Some(_) | None => ExpiryMode::Fixed,
    };
    // v1 gives a key without a length thirty days when its time begins.
    let by_default = if mode == ExpiryMode::Activation { 30 } else { 0 };
    let count = hash.number("activationDays").unwrap_or(by_default);
    let unit = match hash.text("activationUnit") {
        Some("hours") => LifetimeUnit::Hours,
        Some(_) | None => LifetimeUnit::Days,
    };
    Expiry {
        mode,
        at: hash.text(END).and_then(|text| javascript_date::parse(text, calendar)),
        lifetime: Lifetime { count: u32::try_from(count).unwrap_or(u32::MAX), unit },
        is_activated: hash.is_true("isActivated"),
        activated_at: hash.moment("activatedAt"),
    }
}

/// The fields of a key's end.
pub(super) fn expiry_fields(expiry: Expiry) -> [(&'static str, String); 6] {
    let mode = match expiry.mode {
        ExpiryMode::Fixed => "fixed",
        ExpiryMode::Activation => "activation",
    };
    let unit = match expiry.lifetime.unit {
        LifetimeUnit::Hours => "hours",
        LifetimeUnit::Days => "days",
    };
    [
        ("expirationMode", mode.to_owned()),
        ("isActivated", expiry.is_activated.to_string()),
        ("activatedAt", moment_or_empty(expiry.activated_at)),
        ("activationDays", expiry.lifetime.count.to_string()),
        ("activationUnit", unit.to_owned()),
        (END, moment_or_empty(expiry.at)),
    ]
}

fn signed(
    [at, by, by_type]: [&'static str; 3],
    signature: Option<&Signature>,
) -> [(&'static str, String); 3] {
    let text = |part: fn(&Signature) -> String| signature.map_or_else(String::new, part);
    [
        (at, text(|signature| signature.at.to_string())),
        (by, text(|signature| signature.by.clone())),
        (by_type, text(|signature| signature.by_type.clone())),
    ]
}

fn retiring(hash: &Hash) -> Option<RetiringSecret> {
    let digest = KeyDigest::from_hex(hash.text(RETIRING)?).ok()?;
    Some(RetiringSecret { digest, until: hash.moment(RETIRING_UNTIL)? })
}

fn queue(hash: &Hash) -> Option<WaitQueue> {
    let max_waiting = u32::try_from(hash.number(QUEUE_LENGTH)?).unwrap_or(u32::MAX);
    let deadline = Duration::from_millis(hash.number(QUEUE_DEADLINE)?);
    Some(WaitQueue { max_waiting, deadline })
}

fn unpriced_text(policy: UnpricedPolicy) -> &'static str {
    match policy {
        UnpricedPolicy::Refuse => "refuse",
        UnpricedPolicy::Fallback => "fallback",
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
    let WindowCaps { requests, tokens, cost } = caps(hash);
    let window = positive("rateLimitWindow").map(|minutes| RateWindow {
        length: Duration::from_secs(minutes.saturating_mul(60)),
        requests,
        tokens,
        cost,
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

/// The fields that say when a key's week begins.
pub(super) const WEEK: [&str; 2] = ["weeklyResetDay", "weeklyResetHour"];

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

/// What a window allows, whether there is one or not.
fn caps(hash: &Hash) -> WindowCaps {
    let positive = |field: &str| hash.number(field).filter(|number| *number > 0);
    WindowCaps {
        requests: positive("rateLimitRequests"),
        tokens: positive("tokenLimit"),
        cost: hash.limit("rateLimitCost"),
    }
}

fn window_fields(key: &ApiKey) -> [(&'static str, String); 4] {
    // v1 knows whole minutes: part of one is given as one.
    let minutes = key.limits.window.map_or(0, |window| window.length.as_secs().div_ceil(60));
    let caps = key.window_caps();
    [
        ("rateLimitWindow", minutes.to_string()),
        ("rateLimitRequests", caps.requests.unwrap_or(0).to_string()),
        ("tokenLimit", caps.tokens.unwrap_or(0).to_string()),
        ("rateLimitCost", dollars(caps.cost)),
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
        let due = |hours| (None, Some(Duration::from_hours(hours)));
        let fixed = |end| (end, None);
        let waits = [("expirationMode", "activation"), ("isActivated", "false")];
        let cases = [
            ("nothing", Hash::from([]), fixed(None)),
            ("empty", Hash::from([("expiresAt", "")]), fixed(None)),
            ("a moment", Hash::from([("expiresAt", "2028-01-01T00:00:00.000Z")]), fixed(Some(end))),
            ("a day", Hash::from([("expiresAt", "2028-01-01")]), fixed(Some(end))),
            ("minutes", Hash::from([("expiresAt", "2028-01-01T08:00")]), fixed(Some(end))),
            ("no zone", Hash::from([("expiresAt", "2028-01-01T08:00:00")]), fixed(Some(end))),
            ("a space", Hash::from([("expiresAt", "2028-01-01 08:00:00")]), fixed(Some(end))),
            ("slashes", Hash::from([("expiresAt", "1/1/2028 8:00 am")]), fixed(Some(end))),
            ("a name", Hash::from([("expiresAt", "Jan 1, 2028 00:00 UTC")]), fixed(Some(end))),
            ("a zone", Hash::from([("expiresAt", "2028-01-01T08:00:00+08:00")]), fixed(Some(end))),
            ("no moment", Hash::from([("expiresAt", "soon")]), fixed(None)),
            ("no such day", Hash::from([("expiresAt", "2027-12-32")]), fixed(None)),
            ("long ago", Hash::from([("expiresAt", "1/1/1960")]), fixed(Some(Timestamp::EPOCH))),
            (
                "begun, and no moment",
                Hash::from([waits[0], ("isActivated", "true"), ("expiresAt", "soon")]),
                fixed(None),
            ),
            (
                "hours",
                Hash::from([
                    waits[0],
                    waits[1],
                    ("activationDays", "30"),
                    ("activationUnit", "hours"),
                ]),
                due(30),
            ),
            ("days", Hash::from([waits[0], waits[1], ("activationDays", "2")]), due(48)),
            ("no length", Hash::from(waits), due(720)),
            (
                "begun",
                Hash::from([waits[0], ("isActivated", "true"), ("expiresAt", "2028-01-01")]),
                fixed(Some(end)),
            ),
        ];
        for (name, hash, expected) in cases {
            let expiry = expiry(&hash, Calendar::with_offset_minutes(480).unwrap());
            assert_eq!((expiry.end(), expiry.due()), expected, "{name}");
        }
    }
}
