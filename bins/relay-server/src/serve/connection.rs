//! The connections of one worker, HTTP/1.1 or HTTP/2, whichever the client speaks.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, rt};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use relay_api::Edge;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Plan;
use super::unread::Watched;

/// How long a client may take for the head of a request; also how long an idle connection is kept.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How often an HTTP/2 connection is asked whether it lives, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// What every HTTP/2 connection begins with, and no request of HTTP/1.1 that is served here.
const HTTP2_BEGINS: [u8; 3] = *b"PRI";
/// How long to wait for the rest of a beginning that has come in pieces.
const PIECE_PAUSE: Duration = Duration::from_millis(10);

/// The connections of one worker.
pub(super) struct Connections {
    edge: Arc<Edge>,
    http1: http1::Builder,
    http2: http2::Builder<Spawner>,
    unread_for: Duration,
    open: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Connections {
    pub(super) fn new(plan: &Plan) -> Self {
        let open = TaskTracker::new();
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .keep_alive(true)
            .half_close(false)
            .pipeline_flush(false)
            .writev(true);
        let mut http2 = http2::Builder::new(Spawner(open.clone()));
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PONG_WITHIN)
            .max_concurrent_streams(STREAMS);
        let (stop, kill) = (plan.lifecycle.stop_signal(), plan.lifecycle.kill_signal());
        let (edge, unread_for) = (Arc::new(plan.edge()), plan.unread_for);
        Self { edge, http1, http2, unread_for, open, stop, kill }
    }

    /// Serves a connection to its end, beside the others.
    pub(super) fn take(&self, stream: TcpStream, peer: IpAddr) {
        // Without it small frames may come late, which is better than not at all.
        stream.set_nodelay(true).ok();
        let edge = Arc::clone(&self.edge);
        let (http1, http2) = (self.http1.clone(), self.http2.clone());
        let tasks = self.open.clone();
        let (stop, kill, unread_for) = (self.stop.clone(), self.kill.clone(), self.unread_for);
        self.open.spawn(async move {
            let spoken = tokio::select! {
                biased;
                spoken = timeout(HEAD_WITHIN, spoken_by(&stream)) => spoken.ok().and_then(Result::ok),
                () = stop.cancelled() => None,
            };
            // Boxed, so that its room is given back when the answer begins: a stream stays small.
            let answer = move |request: Request<Incoming>| {
                let edge = Arc::clone(&edge);
                Box::pin(async move { edge.serve(request, peer).await })
            };
            let stream = TokioIo::new(stream);
            match spoken {
                Some(Spoken::Http1) => {
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    serve(http1.serve_connection(stream, service), &stop, &kill).await;
                }
                Some(Spoken::Http2) => {
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        let tasks = tasks.clone();
                        let watched = move |body| Watched::new(body, unread_for, &tasks);
                        async move { Ok::<_, Infallible>(answer.await.map(watched)) }
                    });
                    serve(http2.serve_connection(stream, service), &stop, &kill).await;
                }
                None => {}
            }
        });
    }

    /// Returns once every connection has ended.
    pub(super) async fn drained(&self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// The HTTP that a client speaks.
enum Spoken {
    Http1,
    Http2,
}

/// Waits for a client's first bytes and tells by them what it speaks. They are left unread: a connection that is
/// handed a few bytes first has buffers twice as large ever after.
///
/// # Errors
///
/// Fails if the client leaves before.
async fn spoken_by(stream: &TcpStream) -> io::Result<Spoken> {
    let mut begin = [0; HTTP2_BEGINS.len()];
    loop {
        let length = stream.peek(&mut begin).await?;
        let begin = &begin[..length];
        if begin == HTTP2_BEGINS {
            return Ok(Spoken::Http2);
        }
        if begin.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !HTTP2_BEGINS.starts_with(begin) {
            return Ok(Spoken::Http1);
        }
        sleep(PIECE_PAUSE).await;
    }
}

/// Serves a connection to its end: once `stop` says so, it ends with what is under way; `kill` cuts it off.
async fn serve(
    connection: impl GracefulConnection<Error: std::fmt::Display>,
    stop: &CancellationToken,
    kill: &CancellationToken,
) {
    let mut connection = pin!(connection);
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_client_is_heard_out_before_it_is_told_what_it_speaks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for (piece, rest, is_http2) in [
            ("P", "OST /v1/messages HTTP/1.1", false),
            ("PR", "I * HTTP/2.0", true),
            ("PR", "OPFIND / HTTP/1.1", false),
            ("GET / HTTP/1.1", "", false),
        ] {
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            client.write_all(piece.as_bytes()).await.unwrap();
            server.readable().await.unwrap();
            let mut spoken = pin!(spoken_by(&server));
            let first = poll_fn(|cx| Poll::Ready(spoken.as_mut().poll(cx))).await;
            let spoken = match first {
                Poll::Ready(spoken) => spoken,
                Poll::Pending => {
                    client.write_all(rest.as_bytes()).await.unwrap();
                    spoken.await
                }
            };
            assert_eq!(matches!(spoken, Ok(Spoken::Http2)), is_http2, "{piece}{rest}");
        }
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        drop(client);
        assert!(spoken_by(&server).await.is_err(), "who leaves speaks nothing");
    }
}
