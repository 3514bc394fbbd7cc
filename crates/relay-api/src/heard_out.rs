//! The body of a request that may be answered before all of it has come.
//!
//! Whoever closes a connection on which something is still coming resets it, and the reset may overtake the
//! answer. And a client that has sent all of a request and has all of its answer takes the connection for free
//! and sends the next request on it. So what is left of a body is read behind the answer, and thrown away.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long a client may go on sending what nobody wants, and how long it may pause. Then its connection is
/// closed, whatever that does to it.
const LONGEST: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A body that is read to its end, also if it is dropped before.
pub(crate) struct HeardOut<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// `None` once it has ended.
    body: Option<B>,
    /// Over HTTP/2 one request is broken off without touching the others.
    is_needed: bool,
}

impl<B> HeardOut<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    /// The same request, heard out.
    pub(crate) fn request(request: Request<B>) -> Request<Self> {
        let is_needed = request.version() <= Version::HTTP_11;
        request.map(|body| Self { body: Some(body), is_needed })
    }
}

impl<B> Body for HeardOut<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Drop for HeardOut<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
    fn drop(&mut self) {
        let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) else { return };
        // Without a runtime nothing comes any more.
        if self.is_needed
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(timeout(LONGEST, read_away(body)));
        }
    }
}

async fn read_away(mut body: impl Body<Data = Bytes> + Unpin) {
    while let Ok(Some(Ok(_))) = timeout(LONGEST_PAUSE, body.frame()).await {}
}
