//! What handlers take their arguments with. Whatever cannot be read is answered in one shape.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::StatusCode;
use http::request::Parts;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::PeerAddress;
use super::error::ApiError;

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(body) = Json::from_request(request, state)
            .await
            .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?;
        Ok(Self(body))
    }
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
        let Query(query) = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unreadable(rejection.status(), rejection.body_text()))?;
        Ok(Self(query))
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

/// Reads the same where it may be left out, or be `null`.
pub(super) fn optional_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretString::from))
}

/// A request that could not be read, as it is answered.
pub(super) fn unreadable(status: StatusCode, message: String) -> ApiError {
    // A body that is JSON but not what was asked for is as malformed as one that is no JSON.
    let status =
        if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
    ApiError::Unreadable { status, message }
}
