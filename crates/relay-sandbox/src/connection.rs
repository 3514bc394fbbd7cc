//! The network side of one connection: what a body must be able to ask of it beyond HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What the answers on a connection share with its socket.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: u64,
    flush_wanted: AtomicBool,
    reset: AtomicBool,
}

impl Link {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, flush_wanted: AtomicBool::new(false), reset: AtomicBool::new(false) }
    }

    /// Asks to be woken when everything written so far has gone to the network.
    pub(crate) fn want_flush(&self) {
        self.flush_wanted.store(true, Ordering::Release);
    }

    /// Whether the flush asked for is still to come.
    pub(crate) fn is_flush_pending(&self) -> bool {
        self.flush_wanted.load(Ordering::Acquire)
    }

    /// Makes the connection end with a reset instead of an orderly close.
    pub(crate) fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Release);
    }
}

/// A socket that tells its [`Link`] about flushes, and resets itself when told to.
#[derive(Debug)]
pub(crate) struct Wire {
    io: TokioIo<TcpStream>,
    link: Arc<Link>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, link: Arc<Link>) -> Self {
        Self { io: TokioIo::new(stream), link }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.link.reset.load(Ordering::Acquire) {
            self.io.inner().set_zero_linger().ok(); // An orderly close is all that is left then.
        }
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper calls this only when its own buffer is empty, which is what a body waits for.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        if flushed.is_ready() && self.link.flush_wanted.swap(false, Ordering::AcqRel) {
            cx.waker().wake_by_ref();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
