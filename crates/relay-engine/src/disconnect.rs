//! What becomes of an answer whose client has left.
//!
//! The policy `abort` stops the upstream: whatever was to come is dropped, and the drop settles what is known
//! by then. The policy `drain` reads the answer to its end in the client's place, within bounds, so that the
//! record says what the provider charges. Nothing about the answer changes by that: the same body is read
//! on, with its meter, its checkpoints and its patience, and what it yields is thrown away.
//!
//! Two things may be dropped when a client leaves, and each hands over what it was at: the future that still
//! waits for an answer ([`Lingering`]), if an upstream is at work on it, and the body that streams
//! ([`StreamHandle`]).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::core::Core;
use crate::late::Relaying;
use crate::stream::{RelayBody, StreamBody};

/// How much is read for clients that have left. What goes beyond is aborted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DrainBounds {
    /// For how long one answer is read on.
    pub time: Duration,
    /// How many bytes of one stream are read on. An answer that does not stream has the bound of all such.
    pub bytes: usize,
    /// How many answers the process reads on at once.
    pub answers: usize,
}

impl Default for DrainBounds {
    fn default() -> Self {
        Self { time: Duration::from_mins(5), bytes: 16 * 1024 * 1024, answers: 64 }
    }
}

/// What a request and whoever serves it tell each other: whether an upstream is at work on it whose answer is
/// to be read to its end, and whether its client has left.
#[derive(Clone, Debug, Default)]
pub struct Departure(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    may_drain: AtomicBool,
    has_left: AtomicBool,
}

impl Departure {
    /// From now on the answer is to be read to its end, because an upstream works on it and that is the
    /// policy; or not any more.
    pub(crate) fn may_drain(&self, may_drain: bool) {
        self.0.may_drain.store(may_drain, Ordering::Release);
    }

    /// Whether the client has left, and its answer is read in its place.
    pub(crate) fn has_left(&self) -> bool {
        self.0.has_left.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.0.has_left.store(true, Ordering::Release);
    }
}

/// The answers of a process that are read for clients that have left.
pub(crate) struct Drains {
    bounds: DrainBounds,
    places: Arc<Semaphore>,
    open: TaskTracker,
    cut: CancellationToken,
}

impl Drains {
    pub(crate) fn new(bounds: DrainBounds) -> Self {
        let places = bounds.answers.min(Semaphore::MAX_PERMITS);
        Self {
            bounds,
            places: Arc::new(Semaphore::new(places)),
            open: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Begins to read on in the place of a client that has just left. `None`: that is not the policy, or there
    /// are as many as there may be.
    fn begin(&self, departure: &Departure) -> Option<Drain> {
        let may_drain = departure.0.may_drain.load(Ordering::Acquire);
        if !may_drain || departure.has_left() || self.cut.is_cancelled() {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        departure.leave();
        Some(Drain {
            until: Instant::now() + self.bounds.time,
            bytes: self.bounds.bytes,
            cut: self.cut.clone(),
            _place: place,
            _open: self.open.token(),
        })
    }

    /// Returns once nothing is read on. If `cut` is cancelled before, what still is ends with what is known.
    pub(crate) async fn ended(&self, cut: &CancellationToken) {
        self.open.close();
        tokio::select! {
            () = self.open.wait() => {}
            () = cut.cancelled() => {
                self.cut.cancel();
                self.open.wait().await;
            }
        }
    }
}

/// One answer that is read on.
struct Drain {
    until: Instant,
    bytes: usize,
    cut: CancellationToken,
    _place: OwnedSemaphorePermit,
    _open: TaskTrackerToken,
}

impl Drain {
    /// Does `work` until the time is over. Dropping it settles what is known.
    async fn bounded(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = self.cut.cancelled() => {}
            () = sleep_until(self.until) => {}
            () = work => {}
        }
    }

    /// Reads a stream to its end, or until that is too much.
    async fn read(&self, mut stream: impl Body<Data = Bytes> + Unpin) {
        let mut left = self.bytes;
        while let Some(Ok(frame)) = stream.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

/// A stream that goes to its client. If it is dropped before its end, it may be read on in the place of the
/// client.
pub struct StreamHandle(Option<Box<StreamBody>>);

impl StreamHandle {
    pub(crate) fn new(stream: StreamBody) -> Self {
        Self(Some(Box::new(stream)))
    }

    pub(crate) fn stream(&mut self) -> Option<&mut StreamBody> {
        self.0.as_deref_mut()
    }

    /// The stream, for whoever reads it in the place of its client.
    fn into_inner(mut self) -> Option<Box<StreamBody>> {
        self.0.take()
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let Some(stream) = self.0.take() else { return };
        let flight = stream.flight();
        let Some(departure) = flight.departure().filter(|_| !flight.has_landed()) else { return };
        let core = Arc::clone(flight.core());
        let Some(drain) = core.drains.begin(departure) else { return };
        core.spawn(async move { drain.bounded(drain.read(stream)).await });
    }
}

/// A request under way. If it is dropped while an upstream is at work on it, the answer is waited for and
/// read in the place of the client, if that is the policy.
pub(crate) struct Lingering<E: Send + 'static> {
    core: Arc<Core>,
    departure: Departure,
    /// `None`: it is over.
    relaying: Option<Relaying<E>>,
}

impl<E: Send + 'static> Lingering<E> {
    pub(crate) fn new(core: Arc<Core>, departure: Departure, relaying: Relaying<E>) -> Self {
        Self { core, departure, relaying: Some(relaying) }
    }
}

impl<E: Send + 'static> Future for Lingering<E> {
    type Output = Result<Response<RelayBody>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(relaying) = &mut self.relaying else { return Poll::Pending };
        let result = std::task::ready!(relaying.as_mut().poll(cx));
        self.relaying = None;
        Poll::Ready(result)
    }
}

impl<E: Send + 'static> Drop for Lingering<E> {
    fn drop(&mut self) {
        let Some(relaying) = self.relaying.take() else { return };
        let Some(drain) = self.core.drains.begin(&self.departure) else { return };
        self.core.spawn(async move {
            let answered = async {
                if let Ok(response) = relaying.await
                    && let RelayBody::Stream(stream) = response.into_body()
                    && let Some(stream) = stream.into_inner()
                {
                    drain.read(stream).await;
                }
            };
            drain.bounded(answered).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body::Frame;

    use super::*;

    /// A body of so many letters, one a frame.
    struct Letters(usize);

    impl Body for Letters {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let left = self.0.checked_sub(1);
            self.0 = left.unwrap_or_default();
            Poll::Ready(left.map(|_| Ok(Frame::data(Bytes::from_static(b".")))))
        }
    }

    fn drains(answers: usize) -> Drains {
        let bounds = DrainBounds { time: Duration::from_mins(5), bytes: 10, answers };
        Drains::new(bounds)
    }

    fn departure() -> Departure {
        let departure = Departure::default();
        departure.may_drain(true);
        departure
    }

    #[test]
    fn who_would_be_one_too_many_is_aborted() {
        let drains = drains(2);
        assert!(drains.begin(&Departure::default()).is_none(), "it is not the policy");
        let departures: [Departure; 3] = std::array::from_fn(|_| departure());
        let mut begun: Vec<_> = departures.iter().map(|left| drains.begin(left)).collect();
        assert_eq!(begun.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
        assert!(!departures[2].has_left(), "it is not said of one that is aborted");
        assert!(drains.begin(&departures[0]).is_none(), "nobody leaves twice");
        begun.clear();
        assert!(drains.begin(&departures[2]).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn reading_on_ends_with_the_bytes_the_time_or_the_process() {
        let drains = drains(9);
        let drain = drains.begin(&departure()).unwrap();
        for (length, left) in [(10, 0), (15, 4)] {
            let mut body = Letters(length);
            drain.bounded(drain.read(&mut body)).await;
            assert_eq!(body.0, left, "of {length}");
        }
        let began = Instant::now();
        drain.bounded(std::future::pending()).await;
        assert_eq!(began.elapsed(), Duration::from_mins(5));
        drop(drain);

        let drain = drains.begin(&departure()).unwrap();
        let cut = CancellationToken::new();
        cut.cancel();
        tokio::join!(drains.ended(&cut), async move {
            drain.bounded(std::future::pending()).await;
            drop(drain);
        });
        assert_eq!(began.elapsed(), Duration::from_mins(5), "at once");
        assert!(drains.begin(&departure()).is_none(), "nothing is begun at the end");
    }
}
