//! What the owner of an API key learns about it with the key itself, at v1's paths and in v1's shapes.
//!
//! Nothing here can be asked by a key's id: v1 answered that to anybody. An owner sees what counts against
//! the budgets of the key, not what the operator paid, and no account.

mod api_stats;
mod requests;
mod usage;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use relay_engine::{KeyOwner, Relay, RelayBody};
use serde_json::{Value, json};

use crate::dialect::Refusal;
use crate::messages::presented_keys;

/// What an owner asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OwnRoute {
    /// `GET …/v1/key-info`
    KeyInfo,
    /// `GET …/v1/usage`
    Usage,
    /// `GET …/v1/me`
    Me,
    /// `GET …/v1/organizations/{org}/usage`
    Organization,
    /// `GET …/v1/requests`
    Requests,
    /// `POST /apiStats/api/get-key-id`
    KeyId,
    /// `POST /apiStats/api/user-stats`
    Stats,
}

impl OwnRoute {
    /// The route of a path below `…/v1/` that is got.
    pub(crate) fn below_mount(path: &str) -> Option<Self> {
        match path {
            "key-info" => Some(Self::KeyInfo),
            "usage" => Some(Self::Usage),
            "me" => Some(Self::Me),
            "requests" => Some(Self::Requests),
            _ => {
                let organization = path.strip_prefix("organizations/")?.strip_suffix("/usage")?;
                let is_one = !organization.is_empty() && !organization.contains('/');
                is_one.then_some(Self::Organization)
            }
        }
    }
}

/// Answers an owner.
pub(crate) async fn answer<B>(
    relay: &Relay,
    route: OwnRoute,
    request: Request<B>,
) -> Response<RelayBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    if matches!(route, OwnRoute::KeyId | OwnRoute::Stats) {
        return api_stats::answer(relay, route, request).await;
    }
    let (head, _) = request.into_parts();
    let refuse = |error| Refusal::of(&error, relay.now());
    let answered = async {
        let owner = relay.owner(presented_keys(&head.headers)).await.map_err(refuse)?;
        match route {
            OwnRoute::KeyInfo => usage::key_info(&owner).await.map_err(refuse),
            OwnRoute::Usage => usage::usage(&owner).await.map_err(refuse),
            OwnRoute::Requests => requests::list(&owner, &head.uri, relay.now()).await,
            OwnRoute::Organization => Ok(organization()),
            OwnRoute::Me | OwnRoute::KeyId | OwnRoute::Stats => Ok(me(&owner)),
        }
    };
    match answered.await {
        Ok(body) => whole(&body),
        Err(refusal) => refusal.into_response(relay.request_id()),
    }
}

fn me(owner: &KeyOwner) -> Value {
    let key = owner.key();
    json!({
        "id": format!("user_{}", key.id),
        "type": "user",
        "display_name": key.name,
        "created_at": owner.asked_at().to_string(),
    })
}

/// v1's balance is what its limit of tokens leaves, and Relay's keys have no such limit.
fn organization() -> Value {
    json!({"object": "usage", "data": [{"type": "credit_balance", "credit_balance": 0}]})
}

fn whole(body: &Value) -> Response<RelayBody> {
    let mut response = Response::new(RelayBody::whole(Bytes::from(body.to_string())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
