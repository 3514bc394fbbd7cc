//! A request, byte for byte as a client would put it on the wire.

/// A request. Only `host` and the framing of the body are added to what is said here.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framing: Framing,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Framing {
    /// By its length.
    Length,
    /// By chunks of this many bytes.
    Chunks(usize),
}

impl Request {
    /// A request with this method for this path and query.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
        }
    }

    /// A GET.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST of JSON.
    #[must_use]
    pub fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target).header("content-type", "application/json").body(body)
    }

    /// A Messages request to `/v1/messages` with `key`, as the SDKs send it.
    #[must_use]
    pub fn messages(key: &str, body: impl AsRef<[u8]>) -> Self {
        Self::post("/v1/messages", body)
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", key)
    }

    /// Adds a header, spelled exactly so. A name may be added more than once.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Sends the body in chunks of `bytes` instead of telling its length.
    #[must_use]
    pub fn chunked(mut self, bytes: usize) -> Self {
        self.framing = Framing::Chunks(bytes.max(1));
        self
    }

    /// Everything that goes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let start = format!("{} {} HTTP/1.1\r\nHost: relay.test\r\n", self.method, self.target);
        let mut bytes = start.into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        match self.framing {
            Framing::Length if self.body.is_empty() && self.method != "POST" => {
                bytes.extend_from_slice(b"\r\n");
            }
            Framing::Length => {
                bytes.extend_from_slice(
                    format!("Content-Length: {}\r\n\r\n", self.body.len()).as_bytes(),
                );
                bytes.extend_from_slice(&self.body);
            }
            Framing::Chunks(size) => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in self.body.chunks(size) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
        }
        bytes
    }
}
