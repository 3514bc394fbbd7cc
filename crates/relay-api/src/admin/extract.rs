//! What handlers take their arguments with. Whatever cannot be read is answered in one shape.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::PeerAddress;
use super::error::ApiError;
use super::wording::{read_object, read_query};

/// A body that is one JSON object.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(request.headers());
        let bytes = body_of(request, state).await?;
        object(is_json, &bytes).map(Self)
    }
}

/// The bytes of a body, as many as may be sent.
pub(super) async fn body_of<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::Unreadable {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            message: "the body must be at most 1 MiB".to_owned(),
        },
        status => unreadable(status, rejection.body_text()),
    })
}

/// Whether the headers call the body JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let of_applications = kind.strip_prefix("application/");
    of_applications.is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// Reads a body that has to be one JSON object; `is_json`: the headers call it JSON.
pub(super) fn object<T: DeserializeOwned>(is_json: bool, body: &[u8]) -> Result<T, ApiError> {
    if !is_json {
        return Err(ApiError::Unreadable {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            message: "the body must come with Content-Type: application/json".to_owned(),
        });
    }
    read_object(body).map_err(ApiError::bad_request)
}

/// The variable parts of the path.
pub(super) struct PathOf<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(path) = Path::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?;
        Ok(Self(path))
    }
}

/// The query.
pub(super) struct QueryOf<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) =
            Query::<Vec<(String, String)>>::from_request_parts(parts, state)
                .await
                .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?;
        read_query(pairs).map(Self).map_err(ApiError::bad_request)
    }
}

/// Where the request comes from, as far as attempts to log in are counted: a network of IPv6 is one
/// place, because who has one address of it has them all.
pub(super) struct Origin(pub(super) Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.to_canonical());
        Ok(Self(address.map(|address| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        })))
    }
}

/// Reads a text that must not be printed.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// Reads the same where it may be left out but not be `null`.
pub(super) fn given_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    secret(deserializer).map(Some)
}

/// Reads the same where it may be left out, or be `null`.
pub(super) fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretString::from))
}

/// A request that could not be read, as it is answered.
fn unreadable(status: StatusCode, message: String) -> ApiError {
    // A body that is JSON but not what was asked for is as malformed as one that is no JSON.
    let status =
        if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    ApiError::Unreadable { status, message }
}
