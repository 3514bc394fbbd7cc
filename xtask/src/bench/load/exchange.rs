//! One HTTP/1.1 connection, reading no more of an answer than the benchmark must know.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// The end of a chunked body. The sandbox's answers hold no CR LF of their own, so nothing else ends so.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// A connection that is kept alive between requests.
pub(crate) struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

/// The answer to a streamed request, while it comes in.
pub(crate) struct Stream<'a> {
    connection: &'a mut Connection,
    /// How much of the buffer has been counted.
    counted: usize,
    saw_last_event: bool,
}

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq)]
enum BodyEnd {
    Length(usize),
    LastChunk,
}

impl Connection {
    /// Connects, without the kernel's delay for small writes.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn answer(&mut self, request: &[u8]) -> Result<()> {
        let (head, end) = self.send(request).await?;
        loop {
            let complete = match end {
                BodyEnd::Length(length) => head + length <= self.buffer.len(),
                BodyEnd::LastChunk => self.buffer.ends_with(LAST_CHUNK),
            };
            if complete {
                return Ok(());
            }
            self.read().await?;
        }
    }

    /// Sends a request whose answer is a stream, and reads the head of it.
    pub(crate) async fn stream(&mut self, request: &[u8]) -> Result<Stream<'_>> {
        let (head, end) = self.send(request).await?;
        if end != BodyEnd::LastChunk {
            bail!("a stream came with a length: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(Stream { connection: self, counted: head, saw_last_event: false })
    }

    /// Sends a request; returns where the body starts in the buffer, and how it will end.
    async fn send(&mut self, request: &[u8]) -> Result<(usize, BodyEnd)> {
        self.buffer.clear();
        self.socket.write_all(request).await.context("sending a request")?;
        loop {
            if let Some(end) = position(&self.buffer, HEAD_END) {
                let head = end + HEAD_END.len();
                let body_end = read_head(&self.buffer[..head]).with_context(|| {
                    format!("the answer was {}", String::from_utf8_lossy(&self.buffer))
                })?;
                return Ok((head, body_end));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        if self.socket.read_buf(&mut self.buffer).await.context("reading an answer")? == 0 {
            bail!("cut off after {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(())
    }
}

impl Stream<'_> {
    /// Waits for more and returns how many events ended in it; `None` once the stream is over.
    ///
    /// # Errors
    ///
    /// Fails when the stream ends without its last event.
    pub(crate) async fn next_events(&mut self) -> Result<Option<u32>> {
        if self.connection.buffer.ends_with(LAST_CHUNK) {
            if !self.saw_last_event {
                bail!("the stream ended without message_stop");
            }
            return Ok(None);
        }
        if self.counted == self.connection.buffer.len() {
            self.forget_counted();
            self.connection.read().await?;
        }
        let buffer = &self.connection.buffer;
        // One byte back: an event may have ended on the border.
        let new = &buffer[self.counted.saturating_sub(1)..];
        let events = new.windows(2).filter(|pair| pair == b"\n\n").count();
        self.saw_last_event |= position(buffer, b"message_stop").is_some();
        self.counted = buffer.len();
        Ok(Some(u32::try_from(events)?))
    }

    /// Reads until `text` has arrived.
    pub(crate) async fn read_until(&mut self, text: &[u8]) -> Result<()> {
        while position(&self.connection.buffer, text).is_none() {
            self.connection.read().await?;
        }
        Ok(())
    }

    /// Keeps the buffer small on a long stream; what remains is enough to recognise what lies across
    /// the border.
    fn forget_counted(&mut self) {
        const KEPT: usize = 64;
        let buffer = &mut self.connection.buffer;
        if 4 * KEPT < buffer.len() {
            buffer.drain(..buffer.len() - KEPT);
            self.counted = buffer.len();
        }
    }
}

fn read_head(head: &[u8]) -> Result<BodyEnd> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("http/1.1 200") {
        bail!("expected status 200");
    }
    let headers = lines.filter_map(|line| line.split_once(':'));
    for (name, value) in headers {
        if name == "content-length" {
            return Ok(BodyEnd::Length(value.trim().parse()?));
        }
        if name == "transfer-encoding" && value.trim() == "chunked" {
            return Ok(BodyEnd::LastChunk);
        }
    }
    bail!("neither a length nor chunks");
}

/// Where `needle` first stands in `bytes`.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Runs `client` on a connection to a server that sends `pieces` after the first bytes it gets.
    fn against<T>(pieces: &'static [&'static str], client: impl AsyncFnOnce(Connection) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = async {
                let (mut socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                socket.read_u8().await.unwrap();
                for piece in pieces {
                    socket.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            };
            let client = async { client(Connection::open(address).await.unwrap()).await };
            tokio::join!(server, client).1
        })
    }

    #[test]
    fn answers_are_read_to_their_end_and_must_be_right() {
        let cases: &[(&str, &'static [&'static str], bool)] = &[
            ("by length", &["HTTP/1.1 200 OK\r\nContent-Le", "ngth: 5\r\n\r\nab", "cde"], true),
            (
                "by chunks",
                &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r", "\n\r\n"],
                true,
            ),
            ("cut off", &["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"], false),
            ("an error", &["HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"], false),
            ("endless", &["HTTP/1.1 200 OK\r\n\r\n"], false),
        ];
        for (name, pieces, expected) in cases {
            let answer = against(pieces, async |mut connection| connection.answer(b"x").await);
            assert_eq!(answer.is_ok(), *expected, "{name}: {answer:?}");
        }
    }

    #[test]
    fn events_are_counted_across_every_border_and_the_last_one_is_demanded() {
        const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let count = async |mut connection: Connection| {
            let mut stream = connection.stream(b"x").await?;
            let mut events = 0;
            while let Some(arrived) = stream.next_events().await? {
                events += arrived;
            }
            anyhow::Ok(events)
        };
        let whole = against(
            &[
                HEAD,
                "6\r\ndata\n",
                "\n\r\n6\r\ndata\n\n\r\n",
                "e\r\nmessage_",
                "stop\n\n\r\n0\r\n\r",
                "\n",
            ],
            count,
        );
        assert_eq!(whole.unwrap(), 3);
        assert!(against(&[HEAD, "6\r\ndata\n\n\r\n0\r\n\r\n"], count).is_err(), "no message_stop");
        assert!(against(&[HEAD, "e\r\nmessage_stop\n\n\r\n"], count).is_err(), "no last chunk");
    }
}
