//! The connections of one worker, HTTP/1.1 or HTTP/2, whichever the client speaks.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, rt};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use relay_api::Edge;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Lifecycle;

/// How long a client may take for the head of a request; also how long an idle connection is kept.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How often an HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 256;

/// The connections of one worker.
pub(super) struct Connections {
    edge: Arc<Edge>,
    http: Arc<auto::Builder<Spawner>>,
    open: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Connections {
    pub(super) fn new(edge: Edge, lifecycle: &Lifecycle) -> Self {
        let open = TaskTracker::new();
        let mut http = auto::Builder::new(Spawner(open.clone()));
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .keep_alive(true)
            .half_close(false)
            .pipeline_flush(false)
            .writev(true);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .max_concurrent_streams(STREAMS);
        let (stop, kill) = (lifecycle.stop_signal(), lifecycle.kill_signal());
        Self { edge: Arc::new(edge), http: Arc::new(http), open, stop, kill }
    }

    /// Serves a connection to its end, beside the others.
    pub(super) fn take(&self, stream: TcpStream, peer: IpAddr) {
        // Without it small frames may come late, which is better than not at all.
        stream.set_nodelay(true).ok();
        let (edge, http) = (Arc::clone(&self.edge), Arc::clone(&self.http));
        let (stop, kill) = (self.stop.clone(), self.kill.clone());
        self.open.spawn(async move {
            // Which HTTP a client speaks is told by its first bytes, and waiting for them has no bound of
            // its own.
            let waited = tokio::select! {
                biased;
                waited = timeout(HEAD_WITHIN, stream.readable()) => waited.is_ok(),
                () = stop.cancelled() => false,
            };
            if !waited {
                return;
            }
            let service = service_fn(move |request: Request<Incoming>| {
                let edge = Arc::clone(&edge);
                // Boxed, so that its room is given back when the answer begins: a stream stays small.
                Box::pin(async move { Ok::<_, Infallible>(edge.serve(request, peer).await) })
            });
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            let ended = tokio::select! {
                biased;
                ended = connection.as_mut() => Some(ended),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    // What is dropped here, in its runtime, still settles its requests.
                    kill.run_until_cancelled(connection).await
                }
            };
            if let Some(Err(error)) = ended {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }

    /// Returns once every connection has ended.
    pub(super) async fn drained(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// Runs what belongs to an HTTP/2 connection, so that the end waits for it.
#[derive(Clone)]
struct Spawner(TaskTracker);

impl<F> rt::Executor<F> for Spawner
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(work);
    }
}
