//! Sends one event to one webhook, once. It follows no redirect and goes through no proxy.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use relay_crypto::sign_webhook;
use relay_domain::Timestamp;
use secrecy::SecretString;

use super::Letter;
use super::address_guard::{AddressGuard, RefusedAddress};
use super::webhook_url::WebhookUrl;
use crate::sieved_resolver::SievedResolver;

/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
const SIGNATURE: HeaderName = HeaderName::from_static("x-relay-signature");
const EVENT_ID: HeaderName = HeaderName::from_static("x-relay-event-id");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("relay/", env!("CARGO_PKG_VERSION")));

/// Why a webhook was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// Its address is one that is told nothing.
    #[error(transparent)]
    Refused(RefusedAddress),
    /// The URL or what goes there cannot be sent.
    #[error("the URL cannot be used")]
    Unusable(#[source] http::Error),
    /// Nobody answered, or the connection broke off.
    #[error("the receiver cannot be reached")]
    Unreachable(#[source] hyper_util::client::legacy::Error),
    /// It took too long.
    #[error("the receiver did not answer within 10 seconds")]
    TimedOut,
    /// It answered that it has not taken it.
    #[error("the receiver answered {0}")]
    Status(StatusCode),
}

impl PostError {
    /// Whether it may go better another time.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unusable(_) => false,
            Self::Unreachable(_) | Self::TimedOut => true,
            Self::Status(status) => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
            }
        }
    }

    /// What the receiver answered.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Status(status) => Some(status.as_u16()),
            Self::Refused(_) | Self::Unusable(_) | Self::Unreachable(_) | Self::TimedOut => None,
        }
    }
}

/// Sends events to webhooks.
///
/// A client for each: events are rare, and a pooled connection would belong to the runtime that happened to
/// make it.
pub(super) struct Post {
    secret: SecretString,
    guard: AddressGuard,
}

impl Post {
    pub(super) fn new(secret: SecretString, allow_private: bool) -> Self {
        Self { secret, guard: AddressGuard::new(allow_private) }
    }

    /// Tells `letter` to whoever is at `url`, and waits until they have taken it.
    pub(super) async fn send(
        &self,
        url: &WebhookUrl,
        letter: &Letter,
        now: Timestamp,
    ) -> Result<StatusCode, PostError> {
        // No name is looked up for it, so that the resolver does not see it.
        if let Some(address) = url.address() {
            self.guard.check(address).map_err(PostError::Refused)?;
        }
        let signature = sign_webhook(&self.secret, now.as_millis() / 1_000, &letter.body);
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.uri())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header(SIGNATURE, signature)
            .header(EVENT_ID, letter.id.to_string())
            .body(Full::<Bytes>::new(letter.body.clone()))
            .map_err(PostError::Unusable)?;
        let mut tcp = HttpConnector::new_with_resolver(SievedResolver::new(self.guard));
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build::<_, Full<Bytes>>(connector);
        let answer = tokio::time::timeout(PATIENCE, client.request(request)).await;
        let response = answer.map_err(|_| PostError::TimedOut)?.map_err(|error| {
            refusal(&error).map_or(PostError::Unreachable(error), PostError::Refused)
        })?;
        let status = response.status();
        if status.is_success() { Ok(status) } else { Err(PostError::Status(status)) }
    }
}

/// The resolver's refusal among what led to `error`.
fn refusal(error: &(dyn Error + 'static)) -> Option<RefusedAddress> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(why) = inner.and_then(|inner| inner.downcast_ref::<RefusedAddress>()) {
            return Some(*why);
        }
        next = error.source();
    }
    None
}
