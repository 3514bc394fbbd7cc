//! Answering while Relay starts, on the sockets that its workers take over: who asks whether it lives is
//! answered from the first moment on, however late the store is.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use relay_api::Starting;
use relay_engine::SystemClock;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one connection may take; each is for one request.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// As much of a request's body is read before its answer, so that a client that sends first reads it.
const BODY_BYTES: usize = 1024 * 1024;

/// Answers in the place of the workers.
pub(super) struct Waiting {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Waiting {
    /// Accepts on `listeners`, beside what goes on.
    ///
    /// # Errors
    ///
    /// Fails if one of them cannot be used.
    pub(super) fn begin(listeners: &[TcpListener]) -> Result<Self> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let starting = Starting::new(Arc::new(SystemClock));
        for listener in listeners {
            let listener = listener.try_clone().context("a socket cannot be shared")?;
            let listener = tokio::net::TcpListener::from_std(listener)
                .context("the listener cannot be used")?;
            let (starting, open, stop) = (starting.clone(), tasks.clone(), stop.clone());
            tasks.spawn(async move {
                let accepting = async {
                    loop {
                        match listener.accept().await {
                            Ok((stream, _)) => {
                                let answering = answer(stream, starting.clone());
                                let stop = stop.clone();
                                open.spawn(async move {
                                    stop.run_until_cancelled(timeout(PATIENCE, answering)).await;
                                });
                            }
                            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                        }
                    }
                };
                stop.run_until_cancelled(accepting).await;
            });
        }
        Ok(Self { stop, tasks })
    }

    /// Leaves the sockets to the workers. Who is connected by then gets the answer that is under way.
    pub(super) async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Answers the one request of a connection. One that breaks off has got what it could.
async fn answer(stream: TcpStream, starting: Starting) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let starting = starting.clone();
        async move {
            Limited::new(request.body_mut(), BODY_BYTES).collect().await.ok();
            Ok::<_, Infallible>(starting.answer(&request))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    http.serve_connection(TokioIo::new(stream), service).await.ok();
}
