//! Revisions over HTTP: every answer that shows one thing names its revision in `ETag`, and a change that
//! names one in `If-Match` is made only if the thing still has it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    HeaderBuilder, ObjectBuilder, RefOr, Required, Response as Documented, Type,
};
use utoipa::{IntoParams, IntoResponses};

use super::error::{ApiError, documented_error};

/// The JSON of one thing, and its revision.
pub(super) struct Revised<T> {
    /// The revision. `None`: an answer of many things has none.
    pub(super) revision: Option<u64>,
    /// What is shown.
    pub(super) body: T,
}

impl<T> Revised<T> {
    /// `body` shows a thing of this revision.
    pub(super) fn new(revision: u64, body: T) -> Self {
        Self { revision: Some(revision), body }
    }
}

impl<T: Serialize> IntoResponse for Revised<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if let Some(revision) = self.revision {
            tag(response.headers_mut(), revision);
        }
        response
    }
}

/// Names a revision in the headers of an answer.
pub(super) fn tag(headers: &mut HeaderMap, revision: u64) {
    if let Ok(tag) = HeaderValue::try_from(format!("\"{revision}\"")) {
        headers.insert(ETAG, tag);
    }
}

/// The revision that a thing must have for the request to be carried out; `None`: any.
///
/// It documents itself: as one of the `params` of an operation, and what it may lead to as one of the
/// `responses`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct IfMatch(pub(super) Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut given = parts.headers.get_all(IF_MATCH).iter();
        match (given.next(), given.next()) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => value.to_str().ok().and_then(read).ok_or(MALFORMED),
            (Some(_), Some(_)) => Err(MALFORMED),
        }
    }
}

const MALFORMED: ApiError = ApiError::Invalid {
    field: "If-Match",
    why: "must be the ETag of an earlier answer, such as \"3\", or *",
};

fn read(value: &str) -> Option<IfMatch> {
    let value = value.trim();
    if value == "*" {
        return Some(IfMatch(None));
    }
    let digits = value.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten().map(|revision| IfMatch(Some(revision)))
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema =
            ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^(\*|"[0-9]+")$"#));
        let parameter = ParameterBuilder::new()
            .name("If-Match")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The `ETag` of an earlier answer: the change is made only if the thing still has that \
                 revision. Without it, or with `*`, the change is made in any case.",
            ))
            .schema(Some(schema.build()));
        vec![parameter.build()]
    }
}

impl IntoResponses for IfMatch {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let mut stale = documented_error(
            "It has another revision than `If-Match` says; `ETag` names the present one",
        );
        let header =
            HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        stale.headers.insert("ETag".to_owned(), header.build().into());
        BTreeMap::from([("412".to_owned(), stale.into())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_a_revision_in_quotes() {
        let cases = [
            ("*", Some(IfMatch(None))),
            (" * ", Some(IfMatch(None))),
            ("\"0\"", Some(IfMatch(Some(0)))),
            ("\"18446744073709551615\"", Some(IfMatch(Some(u64::MAX)))),
            ("\"18446744073709551616\"", None),
            ("3", None),
            ("\"3", None),
            ("\"+3\"", None),
            ("\"\"", None),
            ("", None),
            ("W/\"3\"", None),
            ("\"3\", \"4\"", None),
        ];
        for (value, expected) in cases {
            assert_eq!(read(value), expected, "{value}");
        }
    }
}
