//! What an admin request is answered when it fails. One place decides every status and every message.

use std::collections::BTreeMap;
use std::error::Error;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use relay_domain::TokenScope;
use relay_engine::operator::OperatorError;
use relay_engine::prices::SourceError;
use relay_store::StoreError;
use serde::Serialize;
use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Response as Documented, ResponseBuilder,
};
use utoipa::{IntoResponses, ToSchema};

use super::revision::tag;

/// What a client is told of a fault of Relay's own.
const INTERNAL: &str = "Internal error; the log says more";

/// Why an admin request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// No session, for whatever reason.
    #[error("Invalid or expired token")]
    NoSession,
    /// The token may not do this.
    #[error("This token lacks the scope {0}")]
    Forbidden(TokenScope),
    /// The name or the password is wrong.
    #[error("Invalid username or password")]
    LoginRefused,
    /// Too many failed attempts to log in.
    #[error("Too many failed attempts; try again in {retry_after_s} seconds")]
    Throttled {
        /// When it is worth trying again, in seconds.
        retry_after_s: u64,
    },
    /// There is no such thing.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// There is no such path.
    #[error("Route {method}:{path} not found")]
    NoRoute {
        /// How it was asked for.
        method: Method,
        /// What was asked for.
        path: String,
    },
    /// The path is there, the method is not.
    #[error("{0} is not allowed here")]
    MethodNotAllowed(Method),
    /// The request's path, query or body cannot be read.
    #[error("{message}")]
    Unreadable {
        /// What the reader says it amounts to.
        status: StatusCode,
        /// What is wrong with it.
        message: String,
    },
    /// A field has a value that cannot be.
    #[error("{field} {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What is wrong with it, as the end of a sentence.
        why: &'static str,
    },
    /// A key would be changed that the preview has not shown.
    #[error(
        "the API Key is not among the revisions: the preview has not shown it; it was not changed"
    )]
    NotPreviewed,
    /// The price source cannot be taken.
    #[error("The prices in force stay: {}", .0.in_full())]
    Prices(#[from] SourceError),
    /// What was asked for was not done.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// What was done cannot be told.
    #[error("the answer cannot be written as JSON")]
    Unprintable(#[from] serde_json::Error),
}

impl ApiError {
    /// Something in the request is wrong, as `message` says.
    pub(crate) fn bad_request(message: String) -> Self {
        Self::Unreadable { status: StatusCode::BAD_REQUEST, message }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Operator(OperatorError::Store(error))
    }
}

/// The body of every failed admin request.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody {
    /// The status in words.
    error: &'static str,
    /// What is wrong and what to do about it.
    message: String,
    status_code: u16,
}

impl ApiError {
    /// The status, and the message if the error's own is not for the client.
    fn outward(&self) -> (StatusCode, Option<&'static str>) {
        match self {
            Self::NoSession | Self::LoginRefused => (StatusCode::UNAUTHORIZED, None),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, None),
            Self::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, None),
            Self::NotFound(_) | Self::NoRoute { .. } => (StatusCode::NOT_FOUND, None),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, None),
            Self::Unreadable { status, .. } => (*status, None),
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, None),
            Self::NotPreviewed => (StatusCode::PRECONDITION_FAILED, None),
            Self::Prices(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            Self::Unprintable(_) => (StatusCode::INTERNAL_SERVER_ERROR, Some(INTERNAL)),
            Self::Operator(error) => match error {
                OperatorError::Invalid { .. } | OperatorError::NotDeleted => {
                    (StatusCode::BAD_REQUEST, None)
                }
                // Logging in has an error of its own: here somebody who is in changes the password.
                OperatorError::WrongPassword => {
                    (StatusCode::BAD_REQUEST, Some("Current password is incorrect"))
                }
                OperatorError::Store(StoreError::Unavailable(_)) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    Some("The store cannot be reached; try again later"),
                ),
                OperatorError::NotFound(_) => (StatusCode::NOT_FOUND, None),
                OperatorError::Stale { .. } => (StatusCode::PRECONDITION_FAILED, None),
                OperatorError::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, None),
                OperatorError::NoLogin
                | OperatorError::AlreadyDeleted
                | OperatorError::KeysInGroup { .. }
                | OperatorError::KeysBound { .. }
                | OperatorError::InProgress
                | OperatorError::Store(StoreError::Duplicate { .. } | StoreError::Missing { .. }) => {
                    (StatusCode::CONFLICT, None)
                }
                OperatorError::Store(StoreError::Refused(_) | StoreError::Corrupt { .. })
                | OperatorError::Crypto(_)
                | OperatorError::Interrupted(_) => {
                    (StatusCode::INTERNAL_SERVER_ERROR, Some(INTERNAL))
                }
            },
        }
    }

    /// What the client is told. A fault of Relay's own is logged here.
    pub(super) fn body(&self) -> ErrorBody {
        let (status, message) = self.outward();
        if status.is_server_error() {
            tracing::error!(error = self as &dyn Error, "admin request failed");
        }
        ErrorBody {
            error: status.canonical_reason().unwrap_or("Error"),
            message: message.map_or_else(|| self.to_string(), str::to_owned),
            status_code: status.as_u16(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, _) = self.outward();
        let mut response = (status, Json(self.body())).into_response();
        if let Self::Throttled { retry_after_s } = self {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        if let Self::Operator(OperatorError::Stale { current }) = self {
            tag(response.headers_mut(), current);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponses for ApiError {
    /// What every endpoint that asks for a session may answer.
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let answers = [
            ("400", "Something in the request is wrong; the message names it"),
            ("401", "No session: the token is missing, wrong, expired or revoked"),
            ("403", "The token lacks the scope that this takes; the message names it"),
            ("503", "The store cannot be reached"),
        ];
        answers.map(|(status, why)| (status.to_owned(), documented_error(why).into())).into()
    }
}

/// Documents what any operation that takes a body may answer to one.
pub(crate) fn document_bodies(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        let operations = operations.into_iter().flatten();
        for operation in operations.filter(|operation| operation.request_body.is_some()) {
            let answers = &mut operation.responses.responses;
            // Of the server, and so without a body.
            let too_slow = ResponseBuilder::new().description("The body did not come in time");
            answers.entry("408".to_owned()).or_insert_with(|| too_slow.build().into());
            for (status, why) in
                [("413", "The body is longer than 1 MiB"), ("415", "The body is not JSON")]
            {
                let answer = || documented_error(why).into();
                answers.entry(status.to_owned()).or_insert_with(answer);
            }
        }
    }
}

/// A failed request as the document describes it.
pub(super) fn documented_error(description: &str) -> Documented {
    let schema = Ref::from_schema_name(ErrorBody::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content("application/json", content).build()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_not_for_the_client_stays_in_the_log() {
        let cause = || Box::<dyn Error + Send + Sync>::from("redis://:hunter2@10.0.0.1 refused");
        let corrupt = StoreError::Corrupt { what: "apikey:hunter2".into(), why: String::new() };
        let cases = [
            ("away", ApiError::from(StoreError::Unavailable(cause())), 503),
            ("full", ApiError::from(StoreError::Refused(cause())), 500),
            ("corrupt", ApiError::from(corrupt), 500),
        ];
        for (name, error, status) in cases {
            let response = error.into_response();
            assert_eq!(response.status(), status, "{name}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(!body.contains("hunter2"), "{name}: {body}");
            assert!(body.contains(&format!(r#""statusCode":{status}"#)), "{name}: {body}");
        }
    }
}
