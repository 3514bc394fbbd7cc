//! Getting a text from a URL that the operator has configured, and from nowhere else.
//!
//! A client for each call: it is made a few times an hour, and a pooled connection would belong to the
//! runtime that happened to make it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, IF_NONE_MATCH, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::source::MAX_BYTES;

/// How long it may take in all, redirects included.
const PATIENCE: Duration = Duration::from_secs(30);
const MAX_REDIRECTS: usize = 3;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("relay/", env!("CARGO_PKG_VERSION")));

/// Why a URL gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answered, or the connection broke off.
    #[error("the URL cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("the URL did not answer within 30 seconds")]
    TimedOut,
    /// It answered something else.
    #[error("the URL answered {0}")]
    Status(StatusCode),
    /// It is larger than any price table.
    #[error("the URL's answer has more than 16 MiB")]
    TooLarge,
    /// It leads to another place than the operator has named.
    #[error("the URL redirects to another host, or too often")]
    LeadsElsewhere,
}

/// What a URL gave.
#[derive(Debug)]
pub(super) enum Fetched {
    /// It is as it was.
    Unchanged,
    /// A text.
    Text {
        bytes: Bytes,
        /// Under which name the server knows it.
        tag: Option<HeaderValue>,
    },
}

/// Gets what is at `url`, unless the server still knows it under `tag`.
pub(super) async fn fetch(url: &Uri, tag: Option<&HeaderValue>) -> Result<Fetched, FetchError> {
    let work = async {
        let response = follow(url, tag).await?;
        match response.status() {
            StatusCode::NOT_MODIFIED if tag.is_some() => Ok(Fetched::Unchanged),
            StatusCode::OK => {
                let tag = response.headers().get(ETAG).cloned();
                let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
                let bytes = body.map_err(|error| {
                    if error.is::<LengthLimitError>() {
                        FetchError::TooLarge
                    } else {
                        FetchError::Unreachable(error)
                    }
                })?;
                Ok(Fetched::Text { bytes: bytes.to_bytes(), tag })
            }
            status => Err(FetchError::Status(status)),
        }
    };
    tokio::time::timeout(PATIENCE, work).await.unwrap_or(Err(FetchError::TimedOut))
}

/// Asks, and follows redirects within the same scheme, host and port.
async fn follow(url: &Uri, tag: Option<&HeaderValue>) -> Result<Response<Incoming>, FetchError> {
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().build();
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build::<_, Empty<Bytes>>(connector);
    let mut here = url.clone();
    for _ in 0..=MAX_REDIRECTS {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = here.clone();
        request.headers_mut().insert(USER_AGENT, AGENT);
        if let Some(tag) = tag {
            request.headers_mut().insert(IF_NONE_MATCH, tag.clone());
        }
        let answer = client.request(request).await;
        let response = answer.map_err(|error| FetchError::Unreachable(Box::new(error)))?;
        if !is_redirect(response.status()) {
            return Ok(response);
        }
        here = target(&here, response.headers().get(LOCATION)).ok_or(FetchError::LeadsElsewhere)?;
    }
    Err(FetchError::LeadsElsewhere)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads, if that is the same scheme, host and port.
fn target(from: &Uri, location: Option<&HeaderValue>) -> Option<Uri> {
    let location = location?.to_str().ok()?;
    let to: Uri = location.parse().ok()?;
    if to.authority().is_some() {
        let place = |url: &Uri| (url.scheme().cloned(), url.authority().cloned());
        return (place(&to) == place(from)).then_some(to);
    }
    // Only a whole path: a relative one is rare, and guessing is not worth it. Two slashes are a host.
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let path = is_path.then(|| to.into_parts().path_and_query).flatten()?;
    let mut parts = from.clone().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_stays_where_it_is() {
        let from: Uri = "https://host:8443/a?t=1".parse().unwrap();
        let cases = [
            ("/b?c=1", Some("https://host:8443/b?c=1")),
            ("https://host:8443/b", Some("https://host:8443/b")),
            ("https://HOST:8443/b", Some("https://HOST:8443/b")),
            ("http://host:8443/b", None),
            ("https://host/b", None),
            ("https://169.254.169.254/latest", None),
            ("//other/b", None),
            ("b", None),
            ("", None),
        ];
        for (location, expected) in cases {
            let location = HeaderValue::from_static(location);
            let found = target(&from, Some(&location)).map(|url| url.to_string());
            assert_eq!(found.as_deref(), expected, "{location:?}");
        }
        assert_eq!(target(&from, None), None);
    }
}
