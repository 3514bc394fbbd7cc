//! A bare HTTP/1.1 client: it keeps what a real one hides, such as chunk borders and how the connection ended.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::script::Script;
use crate::server::{Sandbox, SandboxHandle};

pub(super) const KEY: &str = "sk-test";

/// A served sandbox that stops when dropped.
pub(super) struct Running {
    pub(super) handle: SandboxHandle,
    pub(super) _stop: DropGuard,
}

pub(super) async fn running() -> Running {
    serve(bound().await)
}

pub(super) async fn bound() -> Sandbox {
    Sandbox::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap()
}

pub(super) fn serve(sandbox: Sandbox) -> Running {
    let (handle, stop) = (sandbox.handle(), CancellationToken::new());
    TaskTracker::new().spawn(sandbox.serve(stop.clone()));
    Running { handle, _stop: stop.drop_guard() }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// By its last chunk or its length.
    Proper,
    /// The connection closed before that.
    Cut,
    /// The connection was reset.
    Reset,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Sizes of the chunks, where the body was chunked.
    pub(super) chunks: Vec<usize>,
    pub(super) end: End,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|problem| panic!("{problem}: {}", self.text()))
    }

    /// Names and data of the events, whatever the line ends.
    pub(super) fn events(&self) -> Vec<(String, Value)> {
        let text = self.text().replace("\r\n", "\n");
        let frames = text.split_terminator("\n\n").map(|frame| {
            let (event, data) = frame.split_once('\n').unwrap();
            let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            (event.strip_prefix("event: ").unwrap().to_owned(), data)
        });
        frames.collect()
    }
}

impl Running {
    pub(super) fn script(&self, script: impl Into<Script>) {
        self.handle.set_script(KEY, script).unwrap();
    }

    /// A Messages request with the test key.
    pub(super) async fn messages(&self, body: &str) -> Answer {
        self.call("POST /v1/messages", &[("x-api-key", KEY)], body).await
    }

    pub(super) async fn call(&self, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.open(target, headers, body).await;
        let mut raw = Vec::new();
        let end = stream.read_to_end(&mut raw).await;
        parse(&raw, end.is_err())
    }

    /// Sends a request and leaves the reading to the caller.
    pub(super) async fn open(
        &self,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.handle.address()).await.unwrap();
        let request = request(target, headers, body, "close");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

pub(super) fn request(
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
    connection: &str,
) -> String {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    format!(
        "{target} HTTP/1.1\r\nHost: sandbox\r\n{headers}Content-Length: {length}\r\nConnection: {connection}\r\n\r\n{body}"
    )
}

/// Reads until `text` has arrived.
pub(super) async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut seen = Vec::new();
    while memchr::memmem::find(&seen, text.as_bytes()).is_none() {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0, "closed before {text:?}");
    }
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), met)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

fn parse(raw: &[u8], is_reset: bool) -> Answer {
    let end = if is_reset { End::Reset } else { End::Cut };
    let Some(head_length) = memchr::memmem::find(raw, b"\r\n\r\n") else {
        return Answer {
            status: 0,
            headers: Vec::new(),
            body: raw.to_vec(),
            chunks: Vec::new(),
            end,
        };
    };
    let (head, rest) = raw.split_at(head_length);
    let mut rest = &rest[4..];
    let mut lines = str::from_utf8(head).unwrap().split("\r\n");
    let status = lines.next().unwrap()["HTTP/1.1 ".len()..][..3].parse().unwrap();
    let headers =
        lines.map(|line| line.split_once(": ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
    let mut answer =
        Answer { status, headers: headers.collect(), body: Vec::new(), chunks: Vec::new(), end };
    if let Some(length) = answer.header("content-length") {
        if rest.len() == length.parse::<usize>().unwrap() {
            answer.end = End::Proper;
        }
        answer.body = rest.to_vec();
        return answer;
    }
    while let Some(line_end) = memchr::memmem::find(rest, b"\r\n") {
        let size = usize::from_str_radix(str::from_utf8(&rest[..line_end]).unwrap(), 16).unwrap();
        if size == 0 {
            assert_eq!(rest, b"0\r\n\r\n");
            answer.end = End::Proper;
            break;
        }
        answer.body.extend(&rest[line_end + 2..][..size]);
        answer.chunks.push(size);
        rest = &rest[line_end + 2 + size + 2..];
    }
    answer
}
