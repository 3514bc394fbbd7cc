//! The response body: hands frames over, and waits or breaks off where the script says so.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use crate::connection::Link;
use crate::delivery::Action;
use crate::error::SandboxError;
use crate::recorder::{Exchange, Outcome};

/// A response body that reports to its [`Exchange`] how far it came.
pub(crate) struct SandboxBody {
    exchange: Exchange,
    pace: Pace,
}

enum Pace {
    /// As fast as the client reads.
    Free(std::vec::IntoIter<Bytes>),
    /// As the script says.
    Scripted(Box<Scripted>),
}

struct Scripted {
    actions: VecDeque<Action>,
    link: Arc<Link>,
    is_flushing: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl SandboxBody {
    /// Sends `frames` at once.
    pub(crate) fn free(frames: Vec<Bytes>, mut exchange: Exchange) -> Self {
        if frames.is_empty() {
            exchange.finish(Outcome::Complete); // hyper does not ask for the frames of an empty body.
        }
        Self { exchange, pace: Pace::Free(frames.into_iter()) }
    }

    /// Does `actions`, the last of which ends the body.
    pub(crate) fn scripted(actions: VecDeque<Action>, link: Arc<Link>, exchange: Exchange) -> Self {
        let scripted = Scripted { actions, link, is_flushing: false, sleep: None };
        Self { exchange, pace: Pace::Scripted(Box::new(scripted)) }
    }
}

impl Body for SandboxBody {
    type Data = Bytes;
    type Error = SandboxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SandboxError>>> {
        let Self { exchange, pace } = self.get_mut();
        match pace {
            Pace::Free(frames) => {
                let frame = frames.next();
                if frame.is_some() {
                    exchange.frame_sent();
                }
                if frames.len() == 0 {
                    exchange.finish(Outcome::Complete);
                }
                Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
            }
            Pace::Scripted(scripted) => scripted.poll(cx, exchange),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.pace {
            Pace::Free(frames) => frames.len() == 0,
            Pace::Scripted(_) => false,
        }
    }
}

impl Scripted {
    /// hyper asks for nothing more once the length in the head is reached, so the end is told with the last piece.
    fn settle_frame(&mut self, exchange: &mut Exchange) {
        if self.actions.front() == Some(&Action::FrameDone) {
            self.actions.pop_front();
            exchange.frame_sent();
        }
        if self.actions.is_empty() {
            exchange.finish(Outcome::Complete);
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &mut Exchange,
    ) -> Poll<Option<Result<Frame<Bytes>, SandboxError>>> {
        loop {
            if self.is_flushing {
                if self.link.is_flush_pending() {
                    return Poll::Pending;
                }
                self.is_flushing = false;
            }
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
            }
            match self.actions.pop_front() {
                None => {
                    exchange.finish(Outcome::Complete);
                    return Poll::Ready(None);
                }
                Some(Action::Send(bytes)) => {
                    self.settle_frame(exchange);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Action::FrameDone) => exchange.frame_sent(),
                Some(Action::Flush) => {
                    // The connection flushes after this body is pending, and wakes it then.
                    self.link.want_flush();
                    self.is_flushing = true;
                }
                Some(Action::Wait(pause)) => self.sleep = Some(Box::pin(tokio::time::sleep(pause))),
                Some(Action::Cut) => {
                    exchange.finish(Outcome::Cut);
                    return Poll::Ready(Some(Err(SandboxError::Cut)));
                }
            }
        }
    }
}
