//! Where Prometheus reads: a listener of its own, so that what is counted is never found on the address that
//! clients know.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use relay_metrics::{CONTENT_TYPE as TEXT, Exposition};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a reader may take for the head of a request; also how long an idle connection is kept.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection may last; a reader simply opens another one.
const LONGEST: Duration = Duration::from_mins(30);
/// Connections at once.
const MOST: usize = 16;
/// The pause after a failed accept: its usual cause, no free file descriptor, does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener that is bound, and what it tells.
pub(super) struct MetricsListener {
    pub(super) listener: TcpListener,
    pub(super) exposition: Exposition,
}

/// Binds the address that Prometheus reads from.
///
/// # Errors
///
/// Fails if the address cannot be used, saying what to do.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok::<_, std::io::Error>(listener)
    };
    bind().with_context(|| {
        format!("cannot listen on {address} for metrics; set RELAY_METRICS_LISTEN to another one")
    })
}

impl MetricsListener {
    /// Where it listens, for people.
    pub(super) fn address(&self) -> String {
        self.listener.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string())
    }

    /// Answers until `stop`, and then no more: a reader has nothing that must end well.
    pub(super) async fn serve(self, stop: CancellationToken) {
        let listener = match tokio::net::TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "metrics cannot be read");
                return;
            }
        };
        let (exposition, room) = (Arc::new(self.exposition), Arc::new(Semaphore::new(MOST)));
        let open = TaskTracker::new();
        while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let (exposition, stop) = (Arc::clone(&exposition), stop.clone());
            open.spawn(async move {
                let serving = tokio::time::timeout(LONGEST, connection(stream, exposition));
                stop.run_until_cancelled(serving).await;
                drop(place);
            });
        }
        open.close();
        open.wait().await;
    }
}

async fn connection(stream: TcpStream, exposition: Arc<Exposition>) {
    let service = service_fn(|request: Request<Incoming>| {
        let exposition = Arc::clone(&exposition);
        async move { Ok::<_, Infallible>(answer(&request, &exposition).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a reader of metrics broke off");
    }
}

async fn answer(request: &Request<Incoming>, exposition: &Exposition) -> Response<Full<Bytes>> {
    let plain = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    // hyper leaves out the body of an answer to HEAD.
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match exposition.text().await {
        Ok(text) => {
            let mut response = Response::new(Full::new(Bytes::from(text)));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
            response
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            plain(StatusCode::INTERNAL_SERVER_ERROR, "")
        }
    }
}
