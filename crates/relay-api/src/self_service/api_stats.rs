//! v1's statistics page: `POST /apiStats/api/get-key-id` and `user-stats`, by the key itself alone.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use relay_domain::{
    ApiKey, ExpiryMode, LimitKind, LimitState, Limits, NanoUsd, Permissions, RateWindow, Timestamp,
};
use relay_engine::{EngineError, KeyOwner, OwnUsage, Relay, RelayBody};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::{OwnRoute, whole};
use crate::admin::dollars;
use crate::messages::read;

/// An API key and a little more.
const MAX_BODY_BYTES: usize = 4_096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    api_key: Option<String>,
    #[serde(default)]
    api_id: Option<String>,
}

/// A failure in v1's shape.
struct Failure {
    status: StatusCode,
    error: &'static str,
    message: String,
}

pub(super) async fn answer<B>(
    relay: &Relay,
    route: OwnRoute,
    request: Request<B>,
) -> Response<RelayBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let (head, body) = request.into_parts();
    let body = match read(&head.headers, body, MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(relay.request_id()),
    };
    match data(relay, route, &body).await {
        Ok(data) => whole(&json!({"success": true, "data": data})),
        Err(Failure { status, error, message }) => {
            let mut response = whole(&json!({"error": error, "message": message}));
            *response.status_mut() = status;
            response
        }
    }
}

async fn data(relay: &Relay, route: OwnRoute, body: &[u8]) -> Result<Value, Failure> {
    let bad = |error, message: &str| Failure {
        status: StatusCode::BAD_REQUEST,
        error,
        message: message.to_owned(),
    };
    let asked: Asked = serde_json::from_slice(body)
        .map_err(|_| bad("Bad Request", "the body must be JSON with the field apiKey"))?;
    let Some(presented) = asked.api_key.filter(|key| !key.is_empty()) else {
        let message = if asked.api_id.is_some() {
            "usage is shown to who presents the key: send apiKey, not apiId"
        } else {
            "send the API key as apiKey"
        };
        return Err(bad("API Key is required", message));
    };
    let owner =
        relay.owner(std::iter::once(presented.as_str())).await.map_err(|error| failure(&error))?;
    match route {
        OwnRoute::Stats => stats(&owner).await.map_err(|error| failure(&error)),
        OwnRoute::KeyId
        | OwnRoute::KeyInfo
        | OwnRoute::Usage
        | OwnRoute::Me
        | OwnRoute::Organization
        | OwnRoute::Requests => Ok(json!({"id": owner.key().id.as_str()})),
    }
}

fn failure(error: &EngineError) -> Failure {
    let (status, name) = match error {
        EngineError::MissingKey | EngineError::UnknownKey => {
            (StatusCode::UNAUTHORIZED, "Invalid API key")
        }
        EngineError::Key(_) => (StatusCode::FORBIDDEN, "API key cannot be used"),
        EngineError::GroupGone(_)
        | EngineError::ModelUnpriced(_)
        | EngineError::Request(_)
        | EngineError::NoMessages
        | EngineError::Denied { .. }
        | EngineError::QueueFull { .. }
        | EngineError::QueueTimeout { .. }
        | EngineError::HoldLost
        | EngineError::Backlogged
        | EngineError::NoAccount { .. }
        | EngineError::HeadTimeout(_)
        | EngineError::AnswerUnusable(_)
        | EngineError::ProxyUnusable
        | EngineError::NotSendable(_)
        | EngineError::Keyring(_)
        | EngineError::Store(_) => {
            // Its cause may name hosts and files: it is for the operator.
            tracing::error!(error = error as &dyn std::error::Error, "usage not shown");
            let message = "the store is not available; try again shortly".to_owned();
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Failure { status, error: "Service Unavailable", message };
        }
    };
    Failure { status, error: name, message: error.to_string() }
}

async fn stats(owner: &KeyOwner) -> Result<Value, EngineError> {
    let (key, used) = (owner.key(), owner.usage().await?);
    // v1 counts the week of Claude models whether or not it is limited.
    let weekly_claude_cost = key.limits.weekly_claude_cost.or(Some(NanoUsd::from_nanos(i64::MAX)));
    let standing = owner.standing_of(&Limits { weekly_claude_cost, ..key.limits }).await?;
    let tokens = used.total.tokens;
    let cost = used.total.charged;
    Ok(json!({
        "id": key.id.as_str(),
        "name": key.name,
        "description": key.description,
        "isActive": true,
        "createdAt": key.created_at.to_string(),
        "expiresAt": key.expiry.end().map(|end| end.to_string()),
        "expirationMode": match key.expiry.mode {
            ExpiryMode::Fixed => "fixed",
            ExpiryMode::Activation => "activation",
        },
        "isActivated": key.expiry.is_activated,
        "activationDays": key.expiry.lifetime.count,
        "activatedAt": key.expiry.activated_at.map(|at| at.to_string()),
        "permissions": permissions(key),
        "usage": {
            "total": {
                "requests": used.total.requests,
                "tokens": tokens.total().get(),
                "allTokens": tokens.total().get(),
                "inputTokens": tokens.input.get(),
                "outputTokens": tokens.output.get(),
                "cacheCreateTokens": (tokens.cache_write_5m + tokens.cache_write_1h).get(),
                "cacheReadTokens": tokens.cache_read.get(),
                "cost": dollars::show(Some(cost)),
                "formattedCost": format!("${cost}"),
            },
        },
        "limits": limits(key, &used, &standing, owner.asked_at().as_millis()),
        "restrictions": {
            "enableModelRestriction": key.restricted_models.is_on,
            "restrictedModels": key.restricted_models.names,
            "enableClientRestriction": key.allowed_clients.is_on,
            "allowedClients": key.allowed_clients.names,
        },
    }))
}

fn permissions(key: &ApiKey) -> Vec<&'static str> {
    match &key.permissions {
        Permissions::All => Vec::new(),
        Permissions::Only(platforms) => platforms.iter().map(|one| one.as_str()).collect(),
    }
}

fn limits(key: &ApiKey, used: &OwnUsage, standing: &[LimitState], now_ms: u64) -> Value {
    let limits = &key.limits;
    let caps = key.window_caps();
    let of = |kind| standing.iter().find(|state| state.limit == kind);
    let count = |kind| of(kind).map_or(0, |state: &LimitState| state.used);
    let money = |kind, otherwise: NanoUsd| {
        let nanos = of(kind).and_then(|state| i64::try_from(state.used).ok());
        amount(Some(nanos.map_or(otherwise, NanoUsd::from_nanos)))
    };
    let window = limits.window.as_ref();
    let in_window = [LimitKind::WindowRequests, LimitKind::WindowTokens, LimitKind::WindowCost];
    let end = in_window.into_iter().filter_map(of).find_map(|state| state.resets_at);
    let end_ms = end.map(Timestamp::as_millis);
    let length_ms = |window: &RateWindow| u64::try_from(window.length.as_millis()).unwrap_or(0);
    json!({
        "tokenLimit": 0,
        "concurrencyLimit": limits.concurrency.unwrap_or(0),
        "rateLimitWindow": window.map_or(0, |window| window.length.as_secs() / 60),
        "rateLimitRequests": caps.requests.unwrap_or(0),
        "rateLimitCost": amount(caps.cost),
        "dailyCostLimit": amount(limits.daily_cost),
        "totalCostLimit": amount(limits.total_cost),
        "weeklyOpusCostLimit": amount(limits.weekly_claude_cost),
        "weeklyResetDay": limits.starts.week_day,
        "weeklyResetHour": limits.starts.week_hour,
        "currentWindowRequests": count(LimitKind::WindowRequests),
        "currentWindowTokens": count(LimitKind::WindowTokens),
        "currentWindowCost": money(LimitKind::WindowCost, NanoUsd::ZERO),
        "currentDailyCost": money(LimitKind::DailyCost, used.daily.charged),
        "currentTotalCost": money(LimitKind::TotalCost, used.total.charged),
        "weeklyOpusCost": money(LimitKind::WeeklyClaudeCost, NanoUsd::ZERO),
        "windowStartTime": end_ms.zip(window).map(|(end, open)| end.saturating_sub(length_ms(open))),
        "windowEndTime": end_ms,
        "windowRemainingSeconds": end_ms.map(|end| end.saturating_sub(now_ms).div_ceil(1_000)),
    })
}

fn amount(amount: Option<NanoUsd>) -> Number {
    dollars::show(amount)
}
