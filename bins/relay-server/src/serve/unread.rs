//! Answers over HTTP/2 that their client leaves unread. TCP goes on there, for the connection as a whole is read, so
//! it is seen here: an answer of which nothing has been asked for in so long is stopped, as if its client had left.
//!
//! What is left of the answer's stream ends with an error when the client reads on, or with the connection.

use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use relay_engine::CutOff;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::TaskTracker;

/// How long a client may leave what it was sent unread before it is cut off.
pub(super) const UNREAD_FOR: Duration = Duration::from_mins(1);
/// How much goes on at once: who reads slowly asks for more before long.
const PIECE: usize = 16 * 1024;
/// How often in that time an answer is looked at that waits for its provider.
const LOOKS: u32 = 4;

type BoxError = Box<dyn Error + Send + Sync>;

/// A body that is dropped if its client leaves it unread.
pub(super) struct Watched<B> {
    state: Arc<Mutex<State<B>>>,
    watch: Option<AbortHandle>,
}

struct State<B> {
    /// `None`: it was left unread.
    body: Option<B>,
    /// What of the last frame has not gone on yet.
    rest: Bytes,
    /// Since when nothing has been asked for. `None`: the client waits for the body.
    unread_since: Option<Instant>,
}

impl<B> Watched<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    /// Watches `body` on one of `tasks`, unless all of it is there: then nobody is at work on it.
    pub(super) fn new(body: B, unread_for: Duration, tasks: &TaskTracker) -> Self {
        let streams = body.size_hint().exact().is_none();
        // A client may have no room for the first byte.
        let unread_since = Some(Instant::now());
        let state = State { body: Some(body), rest: Bytes::new(), unread_since };
        let state = Arc::new(Mutex::new(state));
        let watching = Arc::downgrade(&state);
        let watch = streams.then(|| tasks.spawn(watch(watching, unread_for)).abort_handle());
        Self { state, watch }
    }
}

impl<B> Drop for Watched<B> {
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            watch.abort();
        }
    }
}

/// Drops the body when it has been left unread for too long.
async fn watch<B>(state: Weak<Mutex<State<B>>>, unread_for: Duration) {
    let mut look_at = Instant::now() + unread_for;
    loop {
        sleep_until(look_at).await;
        let Some(state) = state.upgrade() else { return };
        let now = Instant::now();
        let mut state = lock(&state);
        match state.unread_since.map(|since| since + unread_for) {
            None => look_at = now + unread_for / LOOKS,
            Some(ends) if now < ends => look_at = ends,
            Some(_) => {
                let unread = state.body.take();
                state.rest.clear();
                drop(state);
                drop(unread);
                tracing::info!("a client left its answer unread; it is stopped");
                return;
            }
        }
    }
}

impl<B> State<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Some(Err(CutOff.into()))) };
        if self.rest.is_empty() {
            let frame = match std::task::ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let piece = self.rest.split_to(self.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B> Body for Watched<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut state = lock(&self.state);
        let next = state.poll_next(cx);
        state.unread_since = next.is_ready().then(Instant::now);
        next
    }

    fn is_end_stream(&self) -> bool {
        let state = lock(&self.state);
        state.rest.is_empty() && state.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let state = lock(&self.state);
        let is_begun = !state.rest.is_empty();
        state.body.as_ref().filter(|_| !is_begun).map_or_else(SizeHint::default, Body::size_hint)
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt as _, Empty};
    use hyper::body::Incoming;
    use hyper::client::conn::http2 as client;
    use hyper::server::conn::http2 as server;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Frames as they are sent. Whoever sends them learns when it is dropped.
    struct Fed(Receiver<Bytes>);

    impl Body for Fed {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(cx).map(|data| data.map(|data| Ok(Frame::data(data))))
        }
    }

    /// The answer that a client with this `window` gets, and what feeds it.
    async fn answered(window: u32, unread_for: Duration) -> (Response<Incoming>, Sender<Bytes>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (feed, frames) = channel(1);
        let only = Mutex::new(Some(Fed(frames)));
        let tasks = TaskTracker::new();
        let beside = tasks.clone();
        let service = service_fn(move |_: Request<Incoming>| {
            let body = lock(&only).take().unwrap();
            let body = Watched::new(body, unread_for, &tasks);
            async move { Ok::<_, Infallible>(Response::new(body)) }
        });
        let serving = server::Builder::new(TokioExecutor::new());
        beside.spawn(async move { serving.serve_connection(TokioIo::new(far), service).await });
        let mut asking = client::Builder::new(TokioExecutor::new());
        let (mut sender, connection) =
            asking.initial_stream_window_size(window).handshake(TokioIo::new(near)).await.unwrap();
        beside.spawn(connection);
        let request = Request::get("http://relay/").body(Empty::<Bytes>::new()).unwrap();
        (sender.send_request(request).await.unwrap(), feed)
    }

    #[tokio::test]
    async fn an_answer_that_is_left_unread_is_dropped() {
        for window in [0, 100] {
            let (response, feed) = answered(window, Duration::from_millis(50)).await;
            assert_eq!(response.status(), 200);
            while feed.send(Bytes::from_static(&[b'x'; 90])).await.is_ok() {}
            if window > 0 {
                assert!(response.into_body().collect().await.is_err(), "it has no end");
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_waits_for_its_provider_and_gets_every_byte() {
        let unread_for = Duration::from_millis(50);
        let (response, feed) = answered(100, unread_for).await;
        let whole: Bytes = (0..=u8::MAX).cycle().take(3 * PIECE + 1).collect();
        let reading = response.into_body().collect();
        let large = whole.clone();
        let feeding = async move {
            for _ in 0..3 {
                // The provider is silent for longer than a client may be.
                assert!(tokio::time::timeout(2 * unread_for, feed.closed()).await.is_err());
                feed.send(large.clone()).await.unwrap();
            }
        };
        let (read, ()) = tokio::join!(reading, feeding);
        assert_eq!(read.unwrap().to_bytes(), [&whole[..], &whole, &whole].concat());
    }
}
