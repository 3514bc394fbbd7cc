//! A web server that serves what a test tells it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

#[derive(Default)]
struct Pages {
    /// Head without its first line's protocol, and body, by path.
    answers: HashMap<String, (String, String)>,
    requests: Vec<String>,
}

/// A web server on a port of its own. It ends with the test's runtime.
pub(super) struct Mirror {
    address: SocketAddr,
    pages: Arc<Mutex<Pages>>,
}

impl Mirror {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Arc::<Mutex<Pages>>::default();
        let shared = Arc::clone(&pages);
        TaskTracker::new().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &shared).await;
            }
        });
        Self { address, pages }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers `path` with a status, headers and a body from now on.
    pub(super) fn set(&self, path: &str, head: &str, body: &str) {
        let answer = (head.to_owned(), body.to_owned());
        self.pages.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// The paths that were asked for since the last call, conditional ones with a mark.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.pages.lock().unwrap().requests)
    }
}

async fn serve(mut stream: TcpStream, pages: &Mutex<Pages>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let tag = head.lines().find_map(|line| line.strip_prefix("if-none-match: "));
    let answer = {
        let mut pages = pages.lock().unwrap();
        let mark = if tag.is_some() { " if changed" } else { "" };
        pages.requests.push(format!("{path}{mark}"));
        let missing = || ("404 Not Found".to_owned(), "no".to_owned());
        let (status, body) = pages.answers.get(&path).cloned().unwrap_or_else(missing);
        if tag.is_some_and(|tag| status.contains(tag)) {
            "HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n".to_owned()
        } else {
            let length = body.len();
            format!(
                "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            )
        }
    };
    stream.write_all(answer.as_bytes()).await.ok();
}
