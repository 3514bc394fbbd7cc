//! A request's body on its way to an upstream, which tells whether all of it has gone.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// How much goes at once. The connection takes no more while it has not got rid of what it has, so that the
/// last piece goes when the upstream has taken most of a body.
const PIECE: usize = 128 * 1024;

/// The body.
#[derive(Debug)]
pub(crate) struct Upload {
    rest: Bytes,
    sent: Sent,
}

/// Whether all of a body has gone to the connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(crate) fn is_whole(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Upload {
    /// The body, and what it tells.
    pub(crate) fn new(body: Bytes) -> (Self, Sent) {
        let sent = Sent::default();
        (Self { rest: body, sent: sent.clone() }, sent)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let upload = self.get_mut();
        let piece = upload.rest.split_to(upload.rest.len().min(PIECE));
        if upload.rest.is_empty() {
            upload.sent.0.store(true, Ordering::Release);
        }
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn all_goes_in_order_and_the_last_piece_says_so() {
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let whole: Bytes = (0..=u8::MAX).cycle().take(length).collect();
            let (mut upload, sent) = Upload::new(whole.clone());
            assert_eq!(upload.size_hint().exact(), Some(whole.len() as u64));
            let mut gone = Vec::new();
            assert!(!sent.is_whole());
            while let Some(frame) = upload.frame().await {
                gone.extend_from_slice(&frame.unwrap().into_data().unwrap());
                assert_eq!(sent.is_whole(), gone.len() == whole.len());
            }
            assert_eq!(gone, whole);
            assert!(sent.is_whole() && upload.is_end_stream());
        }
    }
}
