//! What the trail of changes shows of a thing: every setting, and no secret. A secret that changes shows as
//! another short fingerprint of what is stored of it.

use relay_crypto::SetDigest;
use relay_domain::{
    Account, AccountGroup, AdminToken, ApiKey, BudgetPolicy, KeyDigest, KeyGroup, Limits, NanoUsd,
    OnDisconnect, Permissions, ProxySetting, SealedSecret, Signature, Timestamp, WindowCaps,
};
use serde_json::{Map, Value, json};

/// An API key.
pub(super) fn key(key: &ApiKey) -> Value {
    let caps = key.window_caps();
    json!({
        "name": key.name,
        "description": key.description,
        "icon": key.icon,
        "secret": fingerprint(&key.digest),
        "retiringSecretUntil": key.retiring.map(|retiring| moment(retiring.until)),
        "isActive": key.is_active,
        "deleted": key.deleted.as_ref().map(signature),
        "restored": key.restored.as_ref().map(signature),
        "expiresAt": key.expiry.at.map(moment),
        "expirationMode": key.expiry.mode,
        "activation": key.expiry.lifetime,
        "isActivated": key.expiry.is_activated,
        "permissions": match &key.permissions {
            Permissions::All => json!("all"),
            Permissions::Only(platforms) => json!(platforms),
        },
        "enableModelRestriction": key.restricted_models.is_on,
        "restrictedModels": key.restricted_models.names,
        "enableClientRestriction": key.allowed_clients.is_on,
        "allowedClients": key.allowed_clients.names,
        "claudeConsoleAccountId": key.claude_binding,
        "codexAccountId": key.codex_binding,
        "group": key.group,
        "limits": limits(&key.limits),
        "windowCaps": window_caps(caps),
        "serviceRates": key
            .service_rates
            .pairs()
            .map(|(service, rate)| (service.name().to_owned(), json!(rate)))
            .collect::<Map<_, _>>(),
        "unpriced": key.unpriced,
        "queue": key.queue.map(|queue| json!({
            "maxWaiting": queue.max_waiting,
            "deadlineMs": queue.deadline.as_millis().to_string(),
        })),
        "tags": key.tags,
        "userId": key.user.id(),
        "createdBy": key.created_by,
        "revision": key.revision,
    })
}

/// An account.
pub(super) fn account(account: &Account) -> Value {
    let proxy = match &account.proxy {
        ProxySetting::Direct => Value::Null,
        ProxySetting::Unusable => json!("unusable"),
        ProxySetting::Via(proxy) => json!({
            "protocol": proxy.scheme,
            "host": proxy.host,
            "port": proxy.port,
            "username": proxy.auth.as_ref().map(|auth| &auth.username),
            "password": proxy.auth.as_ref().map(|auth| sealed(&auth.password)),
        }),
    };
    json!({
        "platform": account.platform,
        "name": account.name,
        "description": account.description,
        "apiUrl": account.base_url,
        "apiKey": sealed(&account.secret),
        "priority": account.priority,
        "supportedModels": account.models.pairs(),
        "userAgent": account.user_agent,
        "proxy": proxy,
        "isActive": account.is_active,
        "schedulable": account.schedulable,
        "accountType": account.kind,
        "rateLimitDuration": account.rate_limit_minutes,
        "limits": limits(&account.limits),
        "rate": account.rate,
        "subscriptionExpiresAt": account.subscription_ends.map(moment),
        "onDisconnect": match account.on_disconnect {
            OnDisconnect::Abort => "abort",
            OnDisconnect::Drain => "drain",
        },
        "status": account.health.status(),
        "errorMessage": account.error_message,
        "revision": account.revision,
    })
}

/// A group of keys.
pub(super) fn group(group: &KeyGroup) -> Value {
    json!({
        "name": group.name,
        "description": group.description,
        "limits": limits(&group.limits),
        "revision": group.revision,
    })
}

/// A group of accounts.
pub(super) fn account_group(group: &AccountGroup) -> Value {
    json!({
        "name": group.name,
        "platform": group.platform,
        "description": group.description,
        "accountIds": group.members,
        "revision": group.revision,
    })
}

/// A token of automation.
pub(super) fn token(token: &AdminToken) -> Value {
    json!({
        "name": token.name,
        "scopes": token.scopes,
        "expiresAt": token.expires_at.map(moment),
        "revokedAt": token.revoked_at.map(moment),
    })
}

fn limits(limits: &Limits) -> Value {
    let window = limits.window.map(|window| {
        let seconds = window.length.as_secs();
        let caps =
            WindowCaps { requests: window.requests, tokens: window.tokens, cost: window.cost };
        json!({"seconds": seconds, "caps": window_caps(caps)})
    });
    json!({
        "concurrency": limits.concurrency,
        "window": window,
        "dailyCost": limits.daily_cost.map(dollars),
        "weeklyCost": limits.weekly_cost.map(dollars),
        "monthlyCost": limits.monthly_cost.map(dollars),
        "totalCost": limits.total_cost.map(dollars),
        "weeklyClaudeCost": limits.weekly_claude_cost.map(dollars),
        "dayMinute": limits.starts.day_minute,
        "weekDay": limits.starts.week_day,
        "weekHour": limits.starts.week_hour,
        "budgetPolicy": match limits.budget_policy {
            BudgetPolicy::Soft => "soft",
            BudgetPolicy::Hard => "hard",
        },
    })
}

fn window_caps(caps: WindowCaps) -> Value {
    json!({"requests": caps.requests, "tokens": caps.tokens, "cost": caps.cost.map(dollars)})
}

fn signature(signature: &Signature) -> Value {
    json!({"at": moment(signature.at), "by": signature.by, "byType": signature.by_type})
}

fn dollars(amount: NanoUsd) -> String {
    amount.to_string()
}

fn moment(moment: Timestamp) -> String {
    moment.to_string()
}

/// Says whether two secrets are the same one, and nothing else about them: 32 bits of their digest.
fn fingerprint(digest: &KeyDigest) -> String {
    format!("***{}", &digest.to_hex()[..8])
}

/// The same for what is stored of a sealed secret: it says that another one was stored, and nothing about it.
fn sealed(secret: &SealedSecret) -> String {
    let stored = secret.as_stored();
    if stored.is_empty() {
        return String::new();
    }
    fingerprint(&KeyDigest::new(SetDigest::default().add(stored.as_bytes())))
}
