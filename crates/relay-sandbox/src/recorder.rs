//! Remembers what arrived, and how far each answer came.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::upstream::{Entered, Upstream};

/// More requests than this push the oldest out.
const MAX_RECORDS: usize = 10_000;

/// A longer body is hashed and measured, but not kept.
const MAX_KEPT_BODY_BYTES: usize = 1024 * 1024;

/// Bodies kept in all; the oldest requests go when there are more.
const MAX_KEPT_BYTES: usize = 256 * 1024 * 1024;

/// What the sandbox recorded, oldest first.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RequestLog {
    /// The requests that are still remembered.
    pub requests: Vec<RecordedRequest>,
    /// How many older ones were pushed out, whatever their key.
    pub evicted: u64,
}

/// One request as it arrived, and what became of its answer. Requests to `/_sandbox/` are not recorded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RecordedRequest {
    /// Number of the request in this sandbox, from 1.
    pub sequence: u64,
    /// Number of the connection in this sandbox, from 1.
    pub connection: u64,
    /// When the request had been read, in milliseconds since the sandbox was bound.
    pub arrived_ms: u64,
    /// The HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub path: String,
    /// Headers in the order of arrival (repeated ones together), names in lower case, values as text.
    pub headers: Vec<(String, String)>,
    /// The presented key.
    pub key: Option<String>,
    /// SHA-256 of the whole body, in lower-case hexadecimal.
    pub body_sha256: String,
    /// Length of the whole body.
    pub body_bytes: u64,
    /// The body, where it was asked for and is no longer than 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<RecordedBody>,
    /// How many frames of the answer were handed to the connection. The only frame of a non-stream is its body.
    pub frames_sent: u64,
    /// What became of the answer.
    pub outcome: Outcome,
    /// When the answer ended, for whatever reason, in milliseconds since the sandbox was bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at_ms: Option<u64>,
}

/// A recorded body.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedBody {
    /// The body is UTF-8, and this is it.
    Text(String),
    /// Any other body, in lower-case hexadecimal.
    Hex(String),
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The client went away before the answer was over.
    ClientClosed,
    /// All of it was handed to the connection.
    Complete,
    /// The script broke it off.
    Cut,
    /// It is not over yet.
    Open,
}

/// Which recorded requests to show.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) include_body: bool,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    is_on: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    records: VecDeque<Arc<Record>>,
    kept_bytes: usize,
    evicted: u64,
}

/// The part of a recorded request that is fixed on arrival, and the part that its answer fills in.
#[derive(Debug)]
struct Record {
    request: RecordedRequest,
    body: Option<Bytes>,
    frames_sent: AtomicU64,
    end: OnceLock<(Outcome, u64)>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { is_on: AtomicBool::new(true), log: Mutex::new(Log::default()) }
    }

    pub(crate) fn switch_off(&self) {
        self.is_on.store(false, Ordering::Relaxed);
    }

    pub(crate) fn select(&self, selection: &Selection<'_>) -> RequestLog {
        let log = self.log();
        let records = log
            .records
            .iter()
            .filter(|record| selection.key.is_none() || record.key() == selection.key);
        let requests = records.map(|record| record.snapshot(selection.include_body)).collect();
        RequestLog { requests, evicted: log.evicted }
    }

    pub(crate) fn clear(&self) {
        *self.log() = Log::default();
    }

    /// A panic elsewhere cannot leave the log half changed, so a poisoned lock is as good as any.
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn push(&mut self, record: Arc<Record>) {
        self.kept_bytes += record.kept_bytes();
        self.records.push_back(record);
        while self.records.len() > MAX_RECORDS || self.kept_bytes > MAX_KEPT_BYTES {
            let Some(oldest) = self.records.pop_front() else { break };
            self.kept_bytes -= oldest.kept_bytes();
            self.evicted += 1;
        }
    }
}

impl Record {
    fn key(&self) -> Option<&str> {
        self.request.key.as_deref()
    }

    fn kept_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }

    fn snapshot(&self, include_body: bool) -> RecordedRequest {
        let body = self.body.as_ref().filter(|_| include_body).map(|body| {
            let text = str::from_utf8(body).map(|text| RecordedBody::Text(text.to_owned()));
            text.unwrap_or_else(|_| RecordedBody::Hex(hex::encode(body)))
        });
        let (outcome, closed_at_ms) = match self.end.get() {
            Some((outcome, at_ms)) => (*outcome, Some(*at_ms)),
            None => (Outcome::Open, None),
        };
        let frames_sent = self.frames_sent.load(Ordering::Relaxed);
        RecordedRequest { body, frames_sent, outcome, closed_at_ms, ..self.request.clone() }
    }
}

/// One request being answered. Dropped before [`finish`](Self::finish), it means that the client went away.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) sequence: u64,
    upstream: Arc<Upstream>,
    record: Option<Arc<Record>>,
    is_finished: bool,
    _request: Option<Entered>,
    stream: Option<Entered>,
}

impl Exchange {
    /// Records the request, unless recording is off.
    pub(crate) fn begin(
        upstream: &Arc<Upstream>,
        connection: u64,
        parts: &Parts,
        body: &Bytes,
    ) -> Self {
        let sequence = upstream.next_sequence();
        let record = upstream.recorder.is_on.load(Ordering::Relaxed).then(|| {
            let record = Arc::new(Record {
                request: arrival(sequence, connection, upstream.now_ms(), parts, body),
                // A copy, because the original may hold on to a whole read buffer.
                body: (body.len() <= MAX_KEPT_BODY_BYTES).then(|| Bytes::copy_from_slice(body)),
                frames_sent: AtomicU64::new(0),
                end: OnceLock::new(),
            });
            upstream.recorder.log().push(Arc::clone(&record));
            record
        });
        Self::new(upstream, sequence, record, Some(upstream.requests_in_flight.enter()))
    }

    /// An exchange with the sandbox itself, which is neither counted nor recorded.
    pub(crate) fn unrecorded(upstream: &Arc<Upstream>) -> Self {
        Self::new(upstream, 0, None, None)
    }

    fn new(
        upstream: &Arc<Upstream>,
        sequence: u64,
        record: Option<Arc<Record>>,
        request: Option<Entered>,
    ) -> Self {
        let upstream = Arc::clone(upstream);
        Self { sequence, upstream, record, is_finished: false, _request: request, stream: None }
    }

    /// Counts the answer among the open streams.
    pub(crate) fn mark_stream(&mut self) {
        self.stream = Some(self.upstream.streams_in_flight.enter());
    }

    pub(crate) fn frame_sent(&self) {
        if let Some(record) = &self.record {
            record.frames_sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes how the answer ended; only the first call counts.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        self.is_finished = true;
        if let Some(record) = &self.record {
            record.end.get_or_init(|| (outcome, self.upstream.now_ms()));
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_finished {
            self.finish(Outcome::ClientClosed);
        }
    }
}

/// The key in `x-api-key`, otherwise the bearer token.
pub(crate) fn presented_key(parts: &Parts) -> Option<&str> {
    let text =
        |name| parts.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let bearer = || {
        let (scheme, token) = text("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    };
    text("x-api-key").or_else(bearer).filter(|key| !key.is_empty())
}

fn arrival(
    sequence: u64,
    connection: u64,
    arrived_ms: u64,
    parts: &Parts,
    body: &Bytes,
) -> RecordedRequest {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    RecordedRequest {
        sequence,
        connection,
        arrived_ms,
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or_else(|| parts.uri.to_string(), ToString::to_string),
        headers: parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        key: presented_key(parts).map(str::to_owned),
        body_sha256: hex::encode(Sha256::digest(body)),
        body_bytes: u64::try_from(body.len()).unwrap_or(u64::MAX),
        body: None,
        frames_sent: 0,
        outcome: Outcome::Open,
        closed_at_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(upstream: &Arc<Upstream>, body: &Bytes) {
        let (parts, ()) = http::Request::new(()).into_parts();
        Exchange::begin(upstream, 1, &parts, body);
    }

    fn kept(upstream: &Upstream) -> (usize, u64, Option<u64>) {
        let log = upstream.recorder.select(&Selection::default());
        (log.requests.len(), log.evicted, log.requests.first().map(|oldest| oldest.sequence))
    }

    #[test]
    fn the_oldest_requests_make_room() {
        let upstream = Arc::new(Upstream::new());
        for _ in 0..MAX_RECORDS {
            arrive(&upstream, &Bytes::new());
        }
        assert_eq!(kept(&upstream), (MAX_RECORDS, 0, Some(1)));
        arrive(&upstream, &Bytes::new());
        assert_eq!(kept(&upstream), (MAX_RECORDS, 1, Some(2)));
    }

    #[test]
    fn bodies_are_kept_up_to_a_total() {
        let mut log = Log::default();
        let record = |bytes| {
            let (parts, ()) = http::Request::new(()).into_parts();
            let request = arrival(1, 1, 0, &parts, &Bytes::new());
            let body = Some(Bytes::from(vec![0; bytes]));
            Arc::new(Record { request, body, frames_sent: AtomicU64::new(0), end: OnceLock::new() })
        };
        log.push(record(MAX_KEPT_BYTES / 2));
        log.push(record(MAX_KEPT_BYTES / 2));
        assert_eq!((log.records.len(), log.evicted), (2, 0));
        log.push(record(1));
        assert_eq!(
            (log.records.len(), log.evicted, log.kept_bytes),
            (2, 1, MAX_KEPT_BYTES / 2 + 1)
        );
    }

    #[test]
    fn the_key_is_found_in_either_header() {
        let cases = [
            ("none", None, None, None),
            ("key header", Some("a"), None, Some("a")),
            ("bearer", None, Some("Bearer b"), Some("b")),
            ("both: the key header wins", Some("a"), Some("Bearer b"), Some("a")),
            ("another scheme", None, Some("Basic b"), None),
            ("empty bearer", None, Some("Bearer "), None),
        ];
        for (name, key, authorization, expected) in cases {
            let (mut parts, ()) = http::Request::new(()).into_parts();
            for (header, value) in [("x-api-key", key), ("authorization", authorization)] {
                if let Some(value) = value {
                    parts.headers.insert(header, value.parse().unwrap());
                }
            }
            assert_eq!(presented_key(&parts), expected, "{name}");
        }
    }
}
