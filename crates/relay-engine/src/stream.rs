//! The answer on its way to the client: bytes untouched, whole frames at a time, usage read from a copy.
//!
//! The tail of a chunk that belongs to an unfinished frame waits for its end, so that a keep-alive or an
//! error can always be put in between whole frames. Nothing is copied for that: the tail is a slice.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use relay_domain::{AttemptOutcome, Outcome};
use relay_protocol::anthropic::{ErrorType, StreamTap, error_event, ping_event};
use tokio::time::{Instant, Sleep};

use crate::classify::{Lesson, Retry, Trouble, judge_event};
use crate::disconnect::StreamHandle;
use crate::error::in_words;
use crate::flight::{Flight, Kept};
use crate::late::LateBody;
use crate::roster::InFlight;

/// How long the client has to read the error event before the connection is aborted.
pub(crate) const ABORT_GRACE: Duration = Duration::from_millis(50);
/// The stable code of an answer that was cut off because a hard budget is used up.
const BUDGET_EXHAUSTED: &str = "budget_exhausted";
/// How long an upstream has to end an answer whose message is whole.
const END_GRACE: Duration = Duration::from_secs(1);

/// The answer was cut off on purpose, so that the client cannot take it for a whole one.
#[derive(Clone, Copy, Debug)]
pub struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upstream broke off, so the answer is cut off")
    }
}

impl Error for CutOff {}

/// The body of an answer.
pub enum RelayBody {
    /// All of it at once.
    Whole(Option<Bytes>),
    /// As it comes.
    Stream(StreamHandle),
    /// Behind a head that went out before there was an answer.
    Late(Box<LateBody>),
}

impl RelayBody {
    /// A body of `bytes`.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl http_body::Body for RelayBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(handle) => match handle.stream() {
                Some(stream) => Pin::new(stream).poll_frame(cx),
                None => Poll::Ready(None),
            },
            Self::Late(late) => late.poll_next(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Stream(_) | Self::Late(_) => SizeHint::default(),
        }
    }
}

/// What has come of an answer so far, and what of it may go on.
#[derive(Default)]
pub(crate) struct Intake {
    tap: StreamTap,
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks` that end with a whole frame.
    ready: usize,
}

impl Intake {
    /// Takes the next chunk.
    pub(crate) fn take(&mut self, chunk: Bytes) {
        self.tap.feed(&chunk);
        self.chunks.push_back(chunk);
        let held: usize = self.chunks.iter().map(Bytes::len).sum();
        self.ready = held.saturating_sub(self.tap.open_bytes());
    }

    pub(crate) fn tap(&self) -> &StreamTap {
        &self.tap
    }

    /// Whether what went on so far ends with a whole frame.
    fn between_frames(&self) -> bool {
        self.held() > 0 || self.tap.at_boundary()
    }

    /// Bytes that have not gone on yet.
    pub(crate) fn held(&self) -> usize {
        self.chunks.iter().map(Bytes::len).sum()
    }

    /// Drops the unfinished frame and puts `event` in its place.
    fn finish_with(&mut self, event: Option<Bytes>) {
        self.chunks.clear();
        self.ready = event.as_ref().map_or(0, Bytes::len);
        self.chunks.extend(event);
    }

    /// The next bytes that may go on.
    fn release(&mut self) -> Option<Bytes> {
        let front = self.chunks.front_mut().filter(|_| self.ready > 0)?;
        if front.len() <= self.ready {
            self.ready -= front.len();
            return self.chunks.pop_front();
        }
        let part = front.slice(..self.ready);
        front.advance(std::mem::take(&mut self.ready));
        Some(part)
    }
}

/// An answer that streams.
pub struct StreamBody {
    /// `None`: it was stopped.
    upstream: Option<Incoming>,
    intake: Intake,
    flight: Flight,
    /// What the end of the message waits for.
    kept: Option<Kept>,
    in_flight: InFlight,
    state: State,
    status: u16,
    /// Wakes for the keep-alive and for the end of patience.
    timer: Pin<Box<Sleep>>,
    /// When the upstream last said something.
    heard: Instant,
    /// When the client last got something.
    spoken: Instant,
}

enum State {
    Flowing,
    /// The upstream is done; what is held still goes out.
    Ending,
    /// The error event is out; the connection is aborted when the timer fires.
    Aborting,
    Over,
}

impl StreamBody {
    /// Goes on from what was held back before the answer was committed.
    pub(crate) fn new(
        upstream: Incoming,
        intake: Intake,
        flight: Flight,
        in_flight: InFlight,
        status: u16,
    ) -> Self {
        let now = Instant::now();
        let config = &flight.core().config;
        let first_due = now + config.keep_alive.min(config.idle_timeout);
        let timer = Box::pin(tokio::time::sleep_until(first_due));
        let state = State::Flowing;
        let (heard, spoken) = (now, now);
        Self {
            upstream: Some(upstream),
            intake,
            flight,
            kept: None,
            in_flight,
            state,
            status,
            timer,
            heard,
            spoken,
        }
    }

    pub(crate) fn flight(&self) -> &Flight {
        &self.flight
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutOff>>> {
        loop {
            self.end_if_finished();
            if let Some(kept) = &mut self.kept {
                ready!(kept.as_mut().poll(cx));
                self.kept = None;
            }
            if let Some(bytes) = self.intake.release() {
                self.spoken = Instant::now();
                return Poll::Ready(Some(Ok(bytes)));
            }
            self.meter(cx);
            match self.state {
                State::Flowing => match self.poll_upstream(cx) {
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Ok(chunk) = frame.into_data() {
                            self.heard(chunk);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        tracing::info!(request.id = %self.flight.record.id, %error, "upstream broke off");
                        self.break_off("the provider's connection broke off");
                    }
                    Poll::Ready(None) => self.state = State::Ending,
                    Poll::Pending => {
                        ready!(self.timer.as_mut().poll(cx));
                        if let Some(bytes) = self.tick() {
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                    }
                },
                State::Ending => {
                    if !self.intake.tap.ended() {
                        self.break_off("the provider ended the answer without finishing it");
                        continue;
                    }
                    self.state = State::Over;
                    // Whatever follows the last whole frame passes as well: the bytes are the client's.
                    self.intake.ready = self.intake.held();
                }
                State::Aborting => {
                    ready!(self.timer.as_mut().poll(cx));
                    self.state = State::Over;
                    return Poll::Ready(Some(Err(CutOff)));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    fn poll_upstream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.upstream {
            Some(upstream) => Pin::new(upstream).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    /// Cuts the answer off if a hard budget has no room for more of it.
    fn meter(&mut self, cx: &mut Context<'_>) {
        if !self.flight.is_metered() || !matches!(self.state, State::Flowing) {
            return;
        }
        let Some(denial) = self.flight.meter(&self.intake.tap, cx) else { return };
        let id = self.flight.record.id;
        tracing::info!(request.id = %id, limit = denial.limit.code(), "answer cut off: a hard budget is used up");
        self.flight.count_end(&self.intake.tap);
        let attempt = Some(AttemptOutcome::Answered);
        self.flight.land(Outcome::BudgetExhausted, attempt, self.status);
        let why = format!(
            "Relay: the answer was cut off because a budget is used up: {}",
            in_words(&denial)
        );
        self.abort(ErrorType::Billing, &why, BUDGET_EXHAUSTED);
    }

    fn heard(&mut self, chunk: Bytes) {
        let now = Instant::now();
        self.flight.stalled(now.duration_since(self.heard));
        self.heard = now;
        self.intake.take(chunk);
        self.flight.watch(self.intake.tap(), now);
    }

    /// Something is due: a sign of life, or the end of patience. Sets the timer for what comes next.
    fn tick(&mut self) -> Option<Bytes> {
        let config = &self.flight.core().config;
        let (keep_alive, patience) = (config.keep_alive, config.idle_timeout);
        let now = Instant::now();
        if self.intake.tap.ended() {
            // The message is whole; the upstream has had its time to say so.
            self.state = State::Over;
            return None;
        }
        if self.heard + patience <= now {
            self.break_off("the provider was silent for too long");
            return None;
        }
        let due = self.spoken + keep_alive <= now;
        if due {
            self.spoken = now;
        }
        self.timer.as_mut().reset((self.spoken + keep_alive).min(self.heard + patience));
        (due && self.intake.between_frames()).then(|| Bytes::from_static(ping_event()))
    }

    /// Ends the flight once the message is whole, whatever the upstream still does; the end of the message
    /// waits until that is kept. The upstream's connection gets a moment to end properly, so that it can be used again.
    fn end_if_finished(&mut self) {
        if matches!(self.state, State::Flowing | State::Ending)
            && self.intake.tap.ended()
            && !self.flight.has_landed()
        {
            self.flight.count_end(&self.intake.tap);
            let attempt = Some(AttemptOutcome::Answered);
            self.flight.land(Outcome::Completed, attempt, self.status);
            self.kept = self.flight.kept();
            self.timer.as_mut().reset(Instant::now() + END_GRACE);
        }
    }

    /// Ends a stream that has no end: with the protocol's error event, unless the provider sent one
    /// itself, and then with an abort. The unfinished frame is dropped; nobody could read it.
    fn break_off(&mut self, why: &str) {
        let tap = &self.intake.tap;
        self.flight.count_end(tap);
        let rests = &self.flight.core().config.rests;
        let said = tap.error().map(|error| judge_event(error, rests));
        let (outcome, attempt, lesson) = match said {
            Some(judgement) if judgement.retry == Retry::Never => {
                (Outcome::Rejected, judgement.outcome, judgement.lesson)
            }
            Some(judgement) => {
                (Outcome::UpstreamFailed, AttemptOutcome::BrokeOffMidStream, judgement.lesson)
            }
            None => (
                Outcome::UpstreamFailed,
                AttemptOutcome::BrokeOffMidStream,
                Lesson::Suspicion(Trouble::Failing),
            ),
        };
        if let Some(account) = &self.flight.record.account {
            self.flight.core().learn(account, &self.in_flight.0, lesson);
        }
        self.flight.land(outcome, Some(attempt), self.status);
        self.abort(ErrorType::Api, why, "upstream_broke_off");
    }

    /// Stops the upstream, says why if there is a place for it, and aborts the answer.
    fn abort(&mut self, kind: ErrorType, why: &str, code: &str) {
        self.upstream = None;
        let id = self.flight.record.id.to_string();
        // Within a frame that was too long to wait for there is no place for an event.
        let has_place = self.intake.tap.error().is_none() && self.intake.between_frames();
        let event = has_place.then(|| error_event(kind, why, &id, Some(code)));
        self.intake.finish_with(event.map(Bytes::from));
        self.state = State::Aborting;
        self.timer.as_mut().reset(Instant::now() + ABORT_GRACE);
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        self.get_mut().poll_next(cx).map(|next| next.map(|item| item.map(Frame::data)))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        // The flight lands in its own drop; what the tap saw last has to be in its record by then.
        if matches!(self.state, State::Flowing | State::Ending) && !self.flight.has_landed() {
            self.flight.count_end(&self.intake.tap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = "event: message_start\ndata: {\"type\":\"message_start\"}\n\n: 注释\n\n\
        event: content_block_delta\r\ndata: {\"text\":\"你好 🌍\"}\r\n\r\nevent: ping\ndata: {}\n\n"
        .as_bytes();

    /// What goes on after each of the pieces.
    fn pass(pieces: &[&'static [u8]]) -> Vec<Vec<u8>> {
        let mut intake = Intake::default();
        let released = pieces.iter().map(|piece| {
            intake.take(Bytes::from_static(piece));
            std::iter::from_fn(|| intake.release()).flatten().collect()
        });
        released.collect()
    }

    #[test]
    fn whole_frames_pass_unchanged_at_every_split() {
        for split in 0..=ANSWER.len() {
            let (head, tail) = ANSWER.split_at(split);
            let released = pass(&[head, tail]);
            assert_eq!(released.concat(), ANSWER);
            let first = String::from_utf8_lossy(&released[0]);
            let ends_a_frame =
                ["\n\n", "\r\n\r", "\r\n\r\n"].iter().any(|end| first.ends_with(end));
            assert!(first.is_empty() || ends_a_frame, "split at {split}: {first:?}");
        }
    }

    #[test]
    fn a_chunk_that_ends_with_a_frame_is_not_copied() {
        let chunk = Bytes::from_static(ANSWER);
        let mut intake = Intake::default();
        intake.take(chunk.clone());
        assert_eq!(intake.release().map(|bytes| bytes.as_ptr()), Some(chunk.as_ptr()));
        assert_eq!(intake.held(), 0);
    }
}
