//! Doing things once: a client that got no answer may ask again with the same `Idempotency-Key`, and gets
//! the answer that it missed, a new secret included.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, IF_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use relay_engine::operator::OperatorError;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{ObjectBuilder, RefOr, Required, Response as Documented, Type};
use utoipa::{IntoParams, IntoResponses};

use super::error::{ApiError, documented_error};
use super::extract::{body_of, is_json, object};
use super::revision::{Revised, tag};
use super::session::Session;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST: usize = 200;

/// The client's own name for a request, and a digest of what it asks for.
#[derive(Debug)]
pub(super) struct IdempotencyKey {
    key: String,
    fingerprint: String,
}

/// A JSON body that asks for something to be done, and the `Idempotency-Key` that came with it.
pub(super) struct Creation<B> {
    body: B,
    key: Option<IdempotencyKey>,
}

/// The same where the body may be left out: it is then the default.
pub(super) struct Optional<B>(pub(super) Creation<B>);

impl<B> Creation<B> {
    /// Makes what is asked for with `make`, unless the same was asked before: then the answer is given
    /// again. It goes on when whoever asked has left: they may ask for the answer later.
    pub(super) async fn once<T, F>(
        self,
        session: Session,
        make: impl FnOnce(Session, B) -> F,
    ) -> Result<Response, ApiError>
    where
        T: Serialize + 'static,
        F: Future<Output = Result<Revised<T>, ApiError>> + Send + 'static,
    {
        let making = make(session.clone(), self.body);
        Repeatable(self.key).answer(session, StatusCode::CREATED, making).await
    }

    /// The body, and what may have been asked before.
    pub(super) fn into_parts(self) -> (B, Repeatable) {
        (self.body, Repeatable(self.key))
    }
}

/// The `Idempotency-Key` of a request, if it came with one. As an argument of its own, of a request that has no
/// body.
pub(super) struct Repeatable(Option<IdempotencyKey>);

impl Repeatable {
    /// Does what is asked for, as [`Creation::once`] does, where nothing is made by it.
    pub(super) async fn once<T: Serialize + 'static>(
        self,
        session: Session,
        doing: impl Future<Output = Result<Revised<T>, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        self.answer(session, StatusCode::OK, doing).await
    }

    async fn answer<T: Serialize + 'static>(
        self,
        session: Session,
        status: StatusCode,
        doing: impl Future<Output = Result<Revised<T>, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let Some(IdempotencyKey { key, fingerprint }) = self.0 else {
            return Ok((status, doing.await?).into_response());
        };
        // A key holds no line break, so that two pairs never make one name.
        let actor = session.actor();
        let name = format!("{key}\n{} {}", actor.kind.as_str(), actor.name);
        let asking = session.clone();
        let work = async move {
            let doing = async { doing.await.and_then(|revised| print(&revised)) };
            session.operator().once(&name, &fingerprint, doing).await
        };
        // Whoever stops Relay waits for it.
        let answer = asking.engine().track(work).await.map_err(OperatorError::from)??;
        Ok(repeat(status, answer.expose_secret()))
    }
}

/// An answer as it is kept: its revision on a line of its own, then its JSON, which has no line breaks.
fn print<T: Serialize>(made: &Revised<T>) -> Result<SecretString, ApiError> {
    let revision = made.revision.map(|revision| revision.to_string()).unwrap_or_default();
    Ok(format!("{revision}\n{}", serde_json::to_string(&made.body)?).into())
}

fn repeat(status: StatusCode, kept: &str) -> Response {
    let (revision, json) = kept.split_once('\n').unwrap_or(("", kept));
    let kind = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let mut response = (status, kind, json.to_owned()).into_response();
    if let Ok(revision) = revision.parse() {
        tag(response.headers_mut(), revision);
    }
    response
}

impl<S: Send + Sync, B: DeserializeOwned> FromRequest<S> for Creation<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Self::read(request, state, None).await
    }
}

impl<S: Send + Sync, B: DeserializeOwned + Default> FromRequest<S> for Optional<B> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Creation::read(request, state, Some(B::default)).await.map(Self)
    }
}

impl<B: DeserializeOwned> Creation<B> {
    /// Reads the body, or takes what stands for none.
    async fn read<S: Send + Sync>(
        request: Request,
        state: &S,
        none: Option<fn() -> B>,
    ) -> Result<Self, ApiError> {
        let key = key_of(request.headers())?;
        let is_json = is_json(request.headers());
        let (head, body) = request.into_parts();
        let operation = operation_of(&head);
        let bytes = body_of(Request::from_parts(head, body), state).await?;
        let body = match none {
            Some(none) if matches!(bytes.trim_ascii(), b"" | b"null") => none(),
            Some(_) | None => object(is_json, &bytes)?,
        };
        let fingerprint =
            |key| IdempotencyKey { key, fingerprint: fingerprint(&operation, &bytes) };
        Ok(Self { body, key: key.map(fingerprint) })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Repeatable {
    type Rejection = ApiError;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let key = key_of(&head.headers)?;
        let fingerprint = || fingerprint(&operation_of(head), &[]);
        Ok(Self(key.map(|key| IdempotencyKey { key, fingerprint: fingerprint() })))
    }
}

/// What is asked for besides the body.
fn operation_of(head: &Parts) -> String {
    let revision = head.headers.get(IF_MATCH).map_or(&b""[..], HeaderValue::as_bytes);
    format!("{} {} {}\n", head.method, head.uri, String::from_utf8_lossy(revision))
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut given = headers.get_all(HEADER).iter();
    let Some(key) = given.next() else { return Ok(None) };
    let is_visible = |key: &[u8]| key.iter().all(u8::is_ascii_graphic);
    let fits = (1..=LONGEST).contains(&key.len()) && is_visible(key.as_bytes());
    match key.to_str() {
        Ok(key) if fits && given.next().is_none() => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(ApiError::Invalid {
            field: "Idempotency-Key",
            why: "must be 1 to 200 visible ASCII characters",
        }),
    }
}

/// The body may hold a secret, so that no more than its digest is kept.
fn fingerprint(operation: &str, body: &[u8]) -> String {
    let digest = Sha256::new().chain_update(operation).chain_update(body).finalize();
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(LONGEST))
            .pattern(Some("^[!-~]+$"));
        let parameter = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "A name of the client's own for this request. Whoever asks again with it and the same \
                 body within 24 hours gets the first answer again, and nothing is made twice.",
            ))
            .schema(Some(schema.build()));
        vec![parameter.build()]
    }
}

impl IntoResponses for IdempotencyKey {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        let answers = [
            ("409", "A request with this `Idempotency-Key` is being worked on"),
            ("422", "This `Idempotency-Key` came with another request before"),
        ];
        answers.map(|(status, why)| (status.to_owned(), documented_error(why).into())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_visible() {
        let long = "k".repeat(200);
        let cases = [
            ("k", true),
            ("order-17:a/b", true),
            (&*long, true),
            (&*format!("{long}k"), false),
            ("", false),
            ("two words", false),
            ("ü", false),
        ];
        for (key, fits) in cases {
            let value = HeaderValue::from_bytes(key.as_bytes()).unwrap();
            let headers = HeaderMap::from_iter([(HEADER, value)]);
            match key_of(&headers) {
                Ok(read) => assert!(fits && read.as_deref() == Some(key), "{key}"),
                Err(error) => {
                    assert!(!fits, "{key}");
                    assert!(error.to_string().starts_with("Idempotency-Key must"), "{error}");
                }
            }
        }
        let mut twice = HeaderMap::new();
        for key in ["a", "b"] {
            twice.append(HEADER, HeaderValue::from_static(key));
        }
        assert!(key_of(&twice).is_err());
        assert!(matches!(key_of(&HeaderMap::new()), Ok(None)));
    }

    #[test]
    fn a_fingerprint_tells_requests_apart() {
        let of = |operation, body: &str| fingerprint(operation, body.as_bytes());
        assert_eq!(of("POST /a\n", "{}"), of("POST /a\n", "{}"));
        assert_ne!(of("POST /a\n", "{}"), of("POST /b\n", "{}"));
        assert_ne!(of("POST /a\n", "{}"), of("POST /a\n", "{ }"));
        assert_eq!(of("POST /a\n", "{}").len(), 64);
    }

    #[test]
    fn what_is_kept_is_the_answer() {
        let made = Revised::new(7, serde_json::json!({"text": "two\nlines"}));
        let kept = print(&made).unwrap();
        let response = repeat(StatusCode::CREATED, kept.expose_secret());
        assert_eq!(
            (response.status(), &response.headers()["etag"]),
            (StatusCode::CREATED, &HeaderValue::from_static("\"7\""))
        );
        let many = Revised { revision: None, body: [1, 2] };
        let response = repeat(StatusCode::OK, print(&many).unwrap().expose_secret());
        assert!(!response.headers().contains_key("etag"));
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    }
}
