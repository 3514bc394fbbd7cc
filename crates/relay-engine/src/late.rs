//! An answer to a client that waits in a queue: the head goes out before there is anything to say, so that
//! signs of life can follow it.
//!
//! Once the head is out, the status is 200 whatever comes. A refusal then ends the stream as a failure
//! within it does: with the protocol's error event and an abort.

use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame};
use relay_protocol::anthropic::ping_event;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::stream::{ABORT_GRACE, CutOff, RelayBody};

/// What becomes of a request: an answer, or what refuses it, of the caller's own kind.
pub type Relaying<E> = Pin<Box<dyn Future<Output = Result<Response<RelayBody>, E>> + Send>>;

/// Tells whether a request that wants a stream waits in a queue.
#[derive(Clone, Debug, Default)]
pub struct WaitSign(Arc<AtomicBool>);

impl WaitSign {
    /// Whether it waits.
    pub fn is_up(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// It waits, until the result is dropped.
    pub(crate) fn put_up(&self) -> WaitSignUp<'_> {
        self.0.store(true, Ordering::Release);
        WaitSignUp(self)
    }
}

/// The sign is up as long as this lives.
pub(crate) struct WaitSignUp<'a>(&'a WaitSign);

impl Drop for WaitSignUp<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Waits for what becomes of a request, or until it has waited in a queue for `keep_alive`: then it is
/// handed back, to go on behind a head.
///
/// # Errors
///
/// The request itself, still under way.
pub async fn before_keep_alive<E>(
    mut relaying: Relaying<E>,
    sign: &WaitSign,
    keep_alive: Duration,
) -> Result<Result<Response<RelayBody>, E>, Relaying<E>> {
    loop {
        match tokio::time::timeout(keep_alive, &mut relaying).await {
            Ok(result) => return Ok(result),
            Err(_elapsed) if sign.is_up() => return Err(relaying),
            Err(_elapsed) => {}
        }
    }
}

/// The body behind a head that went out early. A refusal comes as the whole error event that the client
/// gets.
pub struct LateBody {
    state: State,
    timer: Pin<Box<Sleep>>,
    keep_alive: Duration,
}

enum State {
    Waiting(Relaying<Bytes>),
    Answering(RelayBody),
    Aborting,
    Over,
}

impl LateBody {
    /// Goes on with `relaying`. The first sign of life comes at once.
    #[must_use]
    pub fn new(relaying: Relaying<Bytes>, keep_alive: Duration) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self { state: State::Waiting(relaying), timer, keep_alive }
    }

    pub(crate) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        loop {
            match &mut self.state {
                State::Waiting(relaying) => {
                    let Poll::Ready(result) = relaying.as_mut().poll(cx) else {
                        ready!(self.timer.as_mut().poll(cx));
                        self.timer.as_mut().reset(Instant::now() + self.keep_alive);
                        let ping = Bytes::from_static(ping_event());
                        return Poll::Ready(Some(Ok(Frame::data(ping))));
                    };
                    let last_words = match result.map(Response::into_body) {
                        Ok(body @ (RelayBody::Stream(_) | RelayBody::Late(_))) => {
                            self.state = State::Answering(body);
                            continue;
                        }
                        Ok(RelayBody::Whole(bytes)) => as_error_event(&bytes.unwrap_or_default()),
                        Err(event) => event,
                    };
                    self.timer.as_mut().reset(Instant::now() + ABORT_GRACE);
                    self.state = State::Aborting;
                    return Poll::Ready(Some(Ok(Frame::data(last_words))));
                }
                State::Answering(body) => return Pin::new(body).poll_frame(cx),
                State::Aborting => {
                    ready!(self.timer.as_mut().poll(cx));
                    self.state = State::Over;
                    return Poll::Ready(Some(Err(CutOff)));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }
}

impl fmt::Debug for LateBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LateBody(..)")
    }
}

/// A provider's refusal, which came as a whole JSON body, as an event of a stream. Line ends within JSON are
/// white space.
fn as_error_event(json: &[u8]) -> Bytes {
    let mut event = b"event: error\ndata: ".to_vec();
    event.extend(json.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    event.extend_from_slice(b"\n\n");
    event.into()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use relay_protocol::anthropic::StreamTap;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(15);

    fn after<E: Send + 'static>(
        wait: Duration,
        sign: Option<WaitSign>,
        result: Result<Response<RelayBody>, E>,
    ) -> Relaying<E> {
        Box::pin(async move {
            let up = sign.as_ref().map(WaitSign::put_up);
            tokio::time::sleep(wait).await;
            drop(up);
            result
        })
    }

    fn refused() -> Response<RelayBody> {
        let json = "{\"type\":\"error\",\n\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}";
        Response::new(RelayBody::whole(json.into()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_answered_in_time_gets_the_true_status() {
        let sign = WaitSign::default();
        let soon = after::<()>(Duration::from_secs(14), Some(sign.clone()), Ok(refused()));
        assert!(before_keep_alive(soon, &sign, KEEP_ALIVE).await.is_ok());
        let slow_upstream = after::<()>(Duration::from_secs(99), None, Ok(refused()));
        assert!(before_keep_alive(slow_upstream, &sign, KEEP_ALIVE).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longer_gets_signs_of_life_and_then_the_refusal() {
        for refusal in [Ok(refused()), Err(Bytes::from_static(b"event: error\ndata: {}\n\n"))] {
            let sign = WaitSign::default();
            let late = after(Duration::from_secs(50), Some(sign.clone()), refusal);
            let Err(late) = before_keep_alive(late, &sign, KEEP_ALIVE).await else {
                panic!("it still waits")
            };
            let mut body = RelayBody::Late(Box::new(LateBody::new(late, KEEP_ALIVE)));
            let (mut bytes, mut pings) = (Vec::new(), 0);
            let end = loop {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        let chunk = frame.into_data().unwrap();
                        pings += usize::from(chunk == ping_event());
                        bytes.extend_from_slice(&chunk);
                    }
                    other => break other,
                }
            };
            assert!(matches!(end, Some(Err(CutOff))), "{end:?}");
            assert_eq!(pings, 3, "at once, and every 15 s of the 35 that are left");
            let mut tap = StreamTap::default();
            tap.feed(&bytes);
            assert!(tap.error().is_some() && tap.at_boundary());
        }
    }
}
