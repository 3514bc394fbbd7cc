//! One attempt on one account, up to the point after which no other may take over.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::ResponseFuture;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use relay_domain::{AttemptOutcome, Edit, HealthEvent, ModelName, Outcome};
use relay_protocol::anthropic::{read_message, splice_model};
use relay_protocol::headers::{forwarded_to_upstream, returned_to_client};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::EngineError;
use crate::classify::{Judgement, Lesson, Refusal, Retry, Trouble, judge, judge_event};
use crate::disconnect::StreamHandle;
use crate::error::LONGEST_RETRY_AFTER_S;
use crate::flight::Flight;
use crate::journey::Call;
use crate::own_limits;
use crate::roster::{Access, InFlight, RosterEntry};
use crate::stream::{Intake, RelayBody, StreamBody};
use crate::upload::Upload;
use crate::upstream::Upstream;

/// The largest error answer that is kept.
const MAX_ERROR_BYTES: usize = 1024 * 1024;
/// How long an error answer's body may take.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// An upstream that has a request for so long without an answer will have charged its input, also if this
/// process dies.
const KEPT_AFTER: Duration = Duration::from_secs(1);
/// The header under which a client finds Relay's own id of its request.
const RELAY_REQUEST_ID: HeaderName = HeaderName::from_static("x-relay-request-id");

/// What came of an attempt.
pub(crate) enum Attempt {
    /// The answer; the flight went with it.
    Answered {
        /// What the client gets.
        response: Response<RelayBody>,
        /// Whether the account has shown that it is well: its content has begun.
        proven: bool,
    },
    /// Nothing that the client has seen.
    Failed(Box<(Flight, Failure)>),
}

/// A failed attempt.
pub(crate) struct Failure {
    pub(crate) judgement: Judgement,
    pub(crate) status: Option<u16>,
    /// The provider's own words, if they may reach the client as they are.
    pub(crate) passable: Option<Response<RelayBody>>,
}

impl Failure {
    fn without_answer(outcome: AttemptOutcome, lesson: Lesson) -> Self {
        Self {
            judgement: Judgement { outcome, retry: Retry::Freely, lesson },
            status: None,
            passable: None,
        }
    }
}

fn failed(flight: Flight, failure: Failure) -> Attempt {
    Attempt::Failed(Box::new((flight, failure)))
}

/// Tries `entry`'s account.
pub(crate) async fn attempt(
    upstream: &Upstream,
    mut flight: Flight,
    entry: &RosterEntry,
    access: &Access,
    call: &Call<'_>,
) -> Result<Attempt, EngineError> {
    let request = match upstream_request(&mut flight, entry, access, call) {
        Ok(request) => request,
        Err(error) => {
            flight.land(Outcome::Rejected, None, 400);
            return Err(error.into());
        }
    };
    let in_flight = InFlight::begin(&entry.live);
    flight.attempt_begins(&entry.account);
    let unreachable = || {
        let lesson = Lesson::Certain(HealthEvent::Unreachable);
        Failure::without_answer(AttemptOutcome::Unreachable, lesson)
    };
    let mut request = request;
    let connection = capture_connection(&mut request);
    let Ok(sent) = upstream.send(access.proxy.as_ref(), request) else {
        return Ok(failed(flight, unreachable()));
    };
    let head_timeout = flight.core().config.head_timeout;
    let answer = match timeout(head_timeout, head(sent, connection, &mut flight)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::info!(request.id = %flight.record.id, account.id = %entry.account.id, error = %Chain(&error), "attempt failed");
            let failure = if error.is_connect() {
                unreachable()
            } else {
                Failure::without_answer(
                    AttemptOutcome::BrokeOff,
                    Lesson::Suspicion(Trouble::Failing),
                )
            };
            return Ok(failed(flight, failure));
        }
        Err(_elapsed) => {
            // The provider may be at work on it, and would be paid twice.
            flight.count_sent();
            flight.land(
                Outcome::UpstreamFailed,
                Some(AttemptOutcome::TimedOut),
                StatusCode::GATEWAY_TIMEOUT.as_u16(),
            );
            return Err(EngineError::HeadTimeout(head_timeout));
        }
    };
    flight.head_came();
    if !answer.status().is_success() {
        flight.is_refused();
        return Ok(refused(flight, entry, answer, call).await);
    }
    let streams = answer
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if streams {
        Ok(commit(flight, in_flight, answer).await)
    } else {
        collect(flight, answer).await
    }
}

/// Waits for the head of the answer, and notes on the way when there was a connection for it, and if it takes
/// its time.
async fn head(
    sent: ResponseFuture,
    mut connection: CaptureConnection,
    flight: &mut Flight,
) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
    let mut sent = std::pin::pin!(sent);
    let mut is_connecting = true;
    let mut keep_at = Some(Instant::now() + KEPT_AFTER);
    loop {
        tokio::select! {
            biased;
            answer = &mut sent => return answer,
            connected = connection.wait_for_connection_metadata(), if is_connecting => {
                is_connecting = false;
                if connected.is_some() {
                    flight.connected();
                }
            }
            () = sleep_until(keep_at.unwrap_or_else(Instant::now)), if keep_at.is_some() => {
                keep_at = (!flight.keep_sent()).then(|| Instant::now() + KEPT_AFTER);
            }
        }
    }
}

fn upstream_request(
    flight: &mut Flight,
    entry: &RosterEntry,
    access: &Access,
    call: &Call<'_>,
) -> Result<Request<Upload>, http::Error> {
    let uri = access.url.join(call.endpoint, call.query)?;
    let mut headers = HeaderMap::with_capacity(call.headers.len() + 2);
    for (name, value) in call.headers {
        if forwarded_to_upstream(name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    // Unless the answer is readable, its usage is not.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(&access.credential.0, access.credential.1.clone());
    if let Some(agent) = &access.user_agent {
        headers.insert(USER_AGENT, agent.clone());
    }
    let (body, sent) = Upload::new(body_for(flight, entry, call));
    flight.uploads(sent);
    let mut request = Request::post(uri).body(body)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The client's bytes; with another model's name in them if the account has one for it.
fn body_for(flight: &mut Flight, entry: &RosterEntry, call: &Call<'_>) -> Bytes {
    let asked = call.scan.model.as_str();
    flight.record.edits.clear();
    let renamed = entry.account.models.upstream_name(asked).filter(|name| *name != asked);
    let Some(name) = renamed.and_then(|name| ModelName::try_from(name).ok()) else {
        return call.body.clone();
    };
    let body = Bytes::from(splice_model(call.body, call.scan, &name));
    flight.record.edits.push(Edit::Model { to: name.into() });
    body
}

/// Reads an error answer and judges it.
async fn refused(
    flight: Flight,
    entry: &RosterEntry,
    answer: Response<Incoming>,
    call: &Call<'_>,
) -> Attempt {
    let (head, body) = answer.into_parts();
    let body =
        match timeout(ERROR_BODY_TIMEOUT, read(body, MAX_ERROR_BYTES, ERROR_BODY_TIMEOUT)).await {
            Ok(Ok(body)) => body,
            // Its status is known, and that is what counts.
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
    let rest = Duration::from_mins(u64::from(entry.account.rate_limit_minutes));
    let rest = Some(rest).filter(|rest| !rest.is_zero());
    let refusal = Refusal { status: head.status, headers: &head.headers, body: &body };
    let upstream_model = entry.account.models.upstream_name(call.scan.model.as_str());
    let core = flight.core();
    let (policy, now) = (&core.config.rests, core.clock.now());
    let judgement = judge(&refusal, &flight.record.model, rest, policy, now);
    tracing::info!(
        request.id = %flight.record.id, account.id = %entry.account.id, upstream.status = head.status.as_u16(),
        model = upstream_model.unwrap_or_default(), outcome = ?judgement.outcome, "upstream refused"
    );
    let about_the_account =
        matches!(head.status.as_u16(), 401..=403) || judgement.outcome == AttemptOutcome::Blocked;
    let passable = (!about_the_account).then(|| whole(&flight, head.status, &head.headers, body));
    let status = Some(head.status.as_u16());
    failed(flight, Failure { judgement, status, passable })
}

/// Reads an answer that is not a stream. The client waits for all of it anyway, so a failure on the way
/// is still unseen.
async fn collect(mut flight: Flight, answer: Response<Incoming>) -> Result<Attempt, EngineError> {
    let (head, body) = answer.into_parts();
    let config = &flight.core().config;
    let body = match read(body, config.max_answer_bytes, config.idle_timeout).await {
        Ok(body) => body,
        Err(ReadError::BrokeOff) => {
            let failure = Failure::without_answer(
                AttemptOutcome::BrokeOff,
                Lesson::Suspicion(Trouble::Failing),
            );
            return Ok(failed(flight, failure));
        }
        Err(why @ (ReadError::Silent | ReadError::TooLarge)) => {
            // The provider has done its work, and would be paid for it again.
            flight.count_sent();
            let attempt = Some(AttemptOutcome::BrokeOff);
            flight.land(Outcome::UpstreamFailed, attempt, StatusCode::BAD_GATEWAY.as_u16());
            return Err(EngineError::AnswerUnusable(why));
        }
    };
    let facts = read_message(&body);
    if let Some(error) = &facts.error {
        flight.is_refused();
        // Some gateways say 200 and mean something else.
        let judgement = judge_event(error, &flight.core().config.rests);
        let passable = Some(whole(&flight, head.status, &head.headers, body));
        let status = Some(head.status.as_u16());
        return Ok(failed(flight, Failure { judgement, status, passable }));
    }
    flight.count_whole(&facts);
    flight.committed();
    let response = whole(&flight, head.status, &head.headers, body);
    flight.land(Outcome::Completed, Some(AttemptOutcome::Answered), head.status.as_u16());
    if let Some(kept) = flight.kept() {
        kept.await;
    }
    Ok(Attempt::Answered { response, proven: true })
}

/// Holds a stream back until its first content, so that a failure before it stays unseen.
async fn commit(mut flight: Flight, in_flight: InFlight, answer: Response<Incoming>) -> Attempt {
    let (head, mut body) = answer.into_parts();
    let deadline = Instant::now() + flight.core().config.commit_timeout;
    let most = flight.core().config.commit_bytes;
    let status = head.status.as_u16();
    let mut intake = Intake::default();
    loop {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(chunk) = frame.into_data() {
                    intake.take(chunk);
                    flight.watch(intake.tap(), Instant::now());
                }
            }
            Ok(Some(Err(_)) | None) => {
                let failure = Failure::without_answer(
                    AttemptOutcome::BrokeOff,
                    Lesson::Suspicion(Trouble::Failing),
                );
                return failed(flight, Failure { status: Some(status), ..failure });
            }
            // The upstream takes its time: the client gets the head, and signs of life.
            Err(_elapsed) => break,
        }
        let tap = intake.tap();
        if tap.content_started() || tap.ended() || intake.held() > most {
            break;
        }
        if let Some(error) = tap.error() {
            let judgement = judge_event(error, &flight.core().config.rests);
            if judgement.retry == Retry::Never {
                break;
            }
            return failed(flight, Failure { judgement, status: Some(status), passable: None });
        }
    }
    flight.committed();
    let proven = intake.tap().content_started() || intake.tap().ended();
    let headers = client_headers(&flight, &head.headers);
    let stream = StreamBody::new(body, intake, flight, in_flight, status);
    let mut response = Response::new(RelayBody::Stream(StreamHandle::new(stream)));
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    Attempt::Answered { response, proven }
}

/// Why an answer could not be read to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// The upstream said nothing for too long.
    #[error("the provider fell silent within its answer")]
    Silent,
    /// The connection broke off.
    #[error("the provider's connection broke off")]
    BrokeOff,
    /// There is a bound.
    #[error("the provider's answer is too large")]
    TooLarge,
}

/// Reads a body of at most `most` bytes, with at most `patience` between its chunks.
async fn read(mut body: Incoming, most: usize, patience: Duration) -> Result<Bytes, ReadError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) =
        timeout(patience, body.frame()).await.map_err(|_elapsed| ReadError::Silent)?
    {
        let Ok(chunk) = frame.map_err(|_| ReadError::BrokeOff)?.into_data() else { continue };
        if most < first.len() + all.len() + chunk.len() {
            return Err(ReadError::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            // Most answers come in one piece.
            first = chunk;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&chunk);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

fn whole(
    flight: &Flight,
    status: StatusCode,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<RelayBody> {
    let mut response = Response::new(RelayBody::whole(body));
    *response.status_mut() = status;
    *response.headers_mut() = client_headers(flight, headers);
    response
}

fn client_headers(flight: &Flight, upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(upstream.len() + 1);
    for (name, value) in upstream {
        if returned_to_client(name.as_str()) && !is_long_wait(name, value) {
            headers.append(name, value.clone());
        }
    }
    own_limits::write(flight.own_limits(), &mut headers);
    if let Ok(id) = HeaderValue::try_from(flight.record.id.to_string()) {
        headers.insert(RELAY_REQUEST_ID, id);
    }
    headers
}

/// Whether a header asks the client to wait for longer than it should: clients sleep for as long as they
/// are told to, and another account may be free long before.
fn is_long_wait(name: &HeaderName, value: &HeaderValue) -> bool {
    let longest = match name.as_str() {
        "retry-after" => LONGEST_RETRY_AFTER_S,
        "retry-after-ms" => LONGEST_RETRY_AFTER_S * 1_000,
        _ => return false,
    };
    let told = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
    told.is_none_or(|told| longest < told)
}

/// An error with all its causes, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
