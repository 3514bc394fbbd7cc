//! One request and its answer on a connection of their own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::answer::{Answer, End};
use crate::body::{Body, Framing};
use crate::request::Request;

/// The longest silence that a test puts up with.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that is being read. Dropping it closes the connection, in mid-answer if need be.
#[derive(Debug)]
pub struct Exchange {
    reader: OwnedReadHalf,
    /// Writes the request, and then keeps its half of the connection open.
    _writer: JoinSet<OwnedWriteHalf>,
    raw: Vec<u8>,
    head: Head,
    body: Body,
    is_closed: bool,
}

#[derive(Debug)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

impl Exchange {
    /// Sends `request` to `address` and reads the head of the answer.
    ///
    /// # Panics
    ///
    /// If there is no connection, or no answer.
    pub async fn open(address: SocketAddr, request: &Request) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
        Self::begin(stream, request).await.unwrap_or_else(|unread| {
            panic!("closed before an answer: {:?}", String::from_utf8_lossy(&unread))
        })
    }

    /// Sends `request` to a server that may be killed meanwhile, and reads the head of the answer. `None`:
    /// there was no connection, or it was closed before a whole head had come.
    pub async fn try_open(address: SocketAddr, request: &Request) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        Self::begin(stream, request).await.ok()
    }

    /// Reads the head of the answer; if it does not come, what came instead.
    async fn begin(stream: TcpStream, request: &Request) -> Result<Self, Vec<u8>> {
        let (mut reader, mut half) = stream.into_split();
        let (bytes, is_head_request) = (request.bytes(), request.method == "HEAD");
        let mut writer = JoinSet::new();
        writer.spawn(async move {
            // A server that refuses a body may close while it is being sent; its answer says why.
            half.write_all(&bytes).await.ok();
            half
        });
        let mut raw = Vec::new();
        let head = loop {
            if let Some(head) = take_head(&mut raw) {
                break head;
            }
            if !read(&mut reader, &mut raw).await {
                return Err(raw);
            }
        };
        let mut body = Body::new(head.framing(is_head_request));
        body.take(&mut raw);
        Ok(Self { reader, _writer: writer, raw, head, body, is_closed: false })
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// What has come of the body so far.
    pub fn body(&self) -> &[u8] {
        &self.body.bytes
    }

    /// Reads on until the body has `count` times `text` in it.
    ///
    /// # Panics
    ///
    /// If it ends before.
    pub async fn read_until(&mut self, text: &str, count: usize) {
        while occurrences(self.body(), text.as_bytes()) < count {
            let so_far = String::from_utf8_lossy(self.body()).into_owned();
            assert!(self.read_on().await, "ended before {count} times {text:?}: {so_far}");
        }
    }

    /// Reads the rest.
    pub async fn finish(mut self) -> Answer {
        while self.read_on().await {}
        let end = if self.body.is_complete { End::Clean } else { End::Aborted };
        let Head { status, headers } = self.head;
        Answer { status, headers, body: self.body.bytes, end }
    }

    /// Reads some more. `false`: there is no more.
    async fn read_on(&mut self) -> bool {
        if self.body.is_complete || self.is_closed {
            return false;
        }
        if read(&mut self.reader, &mut self.raw).await {
            self.body.take(&mut self.raw);
        } else {
            self.is_closed = true;
            self.body.close();
        }
        true
    }
}

impl Head {
    fn framing(&self, is_head_request: bool) -> Framing {
        let header =
            |name: &str| self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        if is_head_request || matches!(self.status, 204 | 304) {
            Framing::Empty
        } else if header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
            Framing::Chunked
        } else {
            let length = header("content-length").and_then(|length| length.parse().ok());
            length.map_or(Framing::Close, Framing::Length)
        }
    }
}

/// Reads what there is. `false`: the peer closed or reset the connection.
async fn read(reader: &mut OwnedReadHalf, raw: &mut Vec<u8>) -> bool {
    let Ok(result) = timeout(PATIENCE, reader.read_buf(raw)).await else {
        panic!("no word for {PATIENCE:?}; unread so far: {:?}", String::from_utf8_lossy(raw))
    };
    // A reset is the end like any other.
    result.is_ok_and(|count| count > 0)
}

/// Takes a whole head out of `raw`.
fn take_head(raw: &mut Vec<u8>) -> Option<Head> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&raw[..end]).into_owned();
    raw.drain(..end + 4);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let Some(status) = status else { panic!("not the head of an answer: {text:?}") };
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Some(Head { status, headers })
}

fn occurrences(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).filter(|window| *window == text).count()
}
