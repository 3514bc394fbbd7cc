//! One free call to an account, told step by step.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::TokioExecutor;
use relay_domain::ProxyScheme;
use relay_scheduler::Readiness;

use super::timed::{Ended, Steps, Timed};
use crate::address_family::ProxyNames;
use crate::attempt::Chain;
use crate::connect_timeout::TimedConnector;
use crate::roster::{Access, RosterEntry};
use crate::sieved_resolver::SievedResolver;
use crate::upstream::{socks, tls, tunnel, with_options};
use crate::upstream_url::Endpoint;
use crate::{EngineConfig, EngineError};

/// How long an answer may take, head and body each.
const PATIENCE: Duration = Duration::from_secs(15);
/// The largest answer that is read.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// The model that tokens are counted with if the account names none.
const ANY_MODEL: &str = "claude-sonnet-4-5";
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// What came of a call to an account.
#[derive(Clone, Debug)]
pub struct ProbeReport {
    /// What was called, as `GET https://host/v1/models`; `None`: nothing could be.
    pub called: Option<String>,
    /// What it means.
    pub verdict: ProbeVerdict,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// How long each step took, in their order; the last is the one that failed, if one did.
    pub steps: Vec<StepReport>,
    /// What went wrong, in the words of whoever noticed. Holds no secret.
    pub error: Option<String>,
}

/// One step of a call.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Which.
    pub step: ProbeStep,
    /// How long it took.
    pub took: Duration,
    /// Whether it came to its end.
    pub well: bool,
}

/// The steps of a call, in their order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProbeStep {
    /// Finding the address of the provider, or of the proxy in front of it.
    Lookup,
    /// Connecting to that address.
    Connect,
    /// Having the proxy connect to the provider.
    Proxy,
    /// Agreeing on TLS.
    Tls,
    /// Sending the request and waiting for the head of the answer.
    Head,
    /// Reading the answer.
    Body,
}

impl ProbeStep {
    /// A stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Head => "head",
            Self::Body => "body",
        }
    }
}

/// What a call tells about an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProbeVerdict {
    /// The provider answers it.
    Well,
    /// No request could be sent at all.
    NotReady(Readiness),
    /// There was no connection to the provider.
    Unreachable(Unreached),
    /// The connection broke, or no answer came in time.
    NoAnswer,
    /// 401: the credential is refused.
    CredentialRefused,
    /// 402 or 403: the account is refused.
    Blocked,
    /// 404: there is no such service at this address.
    NotFound,
    /// 429: the provider limits it.
    RateLimited,
    /// Another refusal.
    Refused,
    /// 5xx: the provider fails.
    ServerError,
}

/// Who could not be reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unreached {
    /// The provider, directly or through a proxy that did its part.
    Provider,
    /// The proxy.
    Proxy,
    /// Whoever is behind the proxy, which was reached and made no connection.
    BehindProxy,
}

impl Unreached {
    /// Who it is, by the steps that have `ended`, of a call that goes through a proxy or not.
    fn after(ended: &[Ended], proxied: bool) -> Self {
        let went_well = |step| ended.iter().any(|ended| ended.step == step && ended.well);
        match (proxied, went_well(ProbeStep::Connect), went_well(ProbeStep::Proxy)) {
            (false, _, _) | (true, _, true) => Self::Provider,
            (true, true, false) => Self::BehindProxy,
            (true, false, false) => Self::Proxy,
        }
    }
}

impl ProbeVerdict {
    /// A stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::NotReady(Readiness::ProxyUnusable) => "proxy_unusable",
            Self::NotReady(Readiness::AddressUnusable) => "address_unusable",
            Self::NotReady(Readiness::SecretUnreadable | Readiness::Ready) => "secret_unreadable",
            Self::Unreachable(_) => "unreachable",
            Self::NoAnswer => "no_answer",
            Self::CredentialRefused => "credential_refused",
            Self::Blocked => "blocked",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
        }
    }

    fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            200..=299 => Self::Well,
            401 => Self::CredentialRefused,
            402 | 403 => Self::Blocked,
            404 | 405 => Self::NotFound,
            429 => Self::RateLimited,
            500.. => Self::ServerError,
            _ => Self::Refused,
        }
    }
}

impl fmt::Display for ProbeVerdict {
    /// A sentence for an operator.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Well => "the provider answers this account",
            Self::NotReady(Readiness::ProxyUnusable) => {
                "its proxy setting cannot be used, and it is never reached directly"
            }
            Self::NotReady(Readiness::AddressUnusable) => "its address cannot be called",
            Self::NotReady(Readiness::SecretUnreadable | Readiness::Ready) => {
                "its credential cannot be opened with the present encryption key"
            }
            Self::Unreachable(Unreached::Provider) => "nobody could be reached at its address",
            Self::Unreachable(Unreached::Proxy) => "its proxy could not be reached",
            Self::Unreachable(Unreached::BehindProxy) => {
                "its proxy was reached, but made no connection to its address"
            }
            Self::NoAnswer => "the connection was made, but no answer came",
            Self::CredentialRefused => "the provider refuses its credential",
            Self::Blocked => "the provider refuses the account",
            Self::NotFound => "nothing at its address lists models or counts tokens",
            Self::RateLimited => "the provider limits it at the moment",
            Self::Refused => "the provider refuses the call",
            Self::ServerError => "the provider fails",
        })
    }
}

/// A free request.
struct Call {
    method: Method,
    address: Uri,
    body: Bytes,
}

/// Calls `entry`'s account: for its models, and where there is no such list, to count a few tokens.
pub(super) async fn probe(entry: &RosterEntry, config: &EngineConfig) -> ProbeReport {
    let unready = |readiness| ProbeReport {
        called: None,
        verdict: ProbeVerdict::NotReady(readiness),
        status: None,
        steps: Vec::new(),
        error: None,
    };
    let access = match &entry.access {
        Ok(access) => access,
        Err(readiness) => return unready(*readiness),
    };
    let Ok(models) = access.url.models() else { return unready(Readiness::AddressUnusable) };
    let list = Call { method: Method::GET, address: models, body: Bytes::new() };
    let report = make(list, access, config).await;
    let count = access.url.join(Endpoint::CountTokens, None);
    match (report.verdict, count) {
        (ProbeVerdict::NotFound, Ok(address)) => {
            let first = entry.account.models.pairs().keys().next();
            let model = first.and_then(|model| entry.account.models.upstream_name(model));
            let body = counting(model.unwrap_or(ANY_MODEL));
            make(Call { method: Method::POST, address, body }, access, config).await
        }
        _ => report,
    }
}

/// The body of a request that counts the tokens of one word.
fn counting(model: &str) -> Bytes {
    let mut quoted = String::with_capacity(model.len());
    // A model's name holds no control character.
    for letter in model.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    let body =
        format!(r#"{{"model":"{quoted}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
    Bytes::from(body)
}

async fn make(call: Call, access: &Access, config: &EngineConfig) -> ProbeReport {
    let called = format!("{} {}", call.method, call.address);
    let steps = Steps::default();
    let secure = call.address.scheme() == Some(&http::uri::Scheme::HTTPS);
    let outcome = match request(call, access) {
        Ok(request) => route(request, access, config, &steps).await,
        Err(error) => Err(Failure { verdict: ProbeVerdict::Refused, error: error.to_string() }),
    };
    let steps = of_their_own(&steps.so_far(), secure);
    match outcome {
        Ok(status) => ProbeReport {
            called: Some(called),
            verdict: ProbeVerdict::of(status),
            status: Some(status.as_u16()),
            steps,
            error: None,
        },
        Err(Failure { verdict, error }) => {
            ProbeReport { called: Some(called), verdict, status: None, steps, error: Some(error) }
        }
    }
}

struct Failure {
    verdict: ProbeVerdict,
    error: String,
}

fn request(call: Call, access: &Access) -> Result<Request<Full<Bytes>>, http::Error> {
    let (name, credential) = &access.credential;
    let mut request = Request::builder()
        .method(call.method)
        .uri(call.address)
        .header(name, credential)
        .header(ANTHROPIC_VERSION, HeaderValue::from_static("2023-06-01"));
    if !call.body.is_empty() {
        request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(agent) = &access.user_agent {
        request = request.header(USER_AGENT, agent);
    }
    request.body(Full::new(call.body))
}

/// Sends a request the way that the account's requests go.
async fn route(
    request: Request<Full<Bytes>>,
    access: &Access,
    config: &EngineConfig,
    steps: &Steps,
) -> Result<StatusCode, Failure> {
    let names = if access.proxy.is_some() { config.proxy_names } else { ProxyNames::Any };
    let lookup = Timed::new(ProbeStep::Lookup, steps, SievedResolver::new(names));
    let tcp = with_options(HttpConnector::new_with_resolver(lookup));
    let tcp = Timed::new(ProbeStep::Connect, steps, tcp);
    let unusable = |error: EngineError| Failure {
        verdict: ProbeVerdict::NotReady(Readiness::ProxyUnusable),
        error: error.to_string(),
    };
    let Some(route) = &access.proxy else { return send(request, tcp, config, steps, false).await };
    let address = route.address().map_err(unusable)?;
    match route.scheme {
        ProxyScheme::Http => {
            let tunnel = tunnel(address, tcp, route).map_err(unusable)?;
            send(request, Timed::new(ProbeStep::Proxy, steps, tunnel), config, steps, true).await
        }
        ProxyScheme::Https => {
            let tunnel = tunnel(address, tls(tcp), route).map_err(unusable)?;
            send(request, Timed::new(ProbeStep::Proxy, steps, tunnel), config, steps, true).await
        }
        ProxyScheme::Socks5 => {
            let socks = socks(address, tcp, route);
            send(request, Timed::new(ProbeStep::Proxy, steps, socks), config, steps, true).await
        }
    }
}

async fn send<C>(
    request: Request<Full<Bytes>>,
    way: C,
    config: &EngineConfig,
    steps: &Steps,
    proxied: bool,
) -> Result<StatusCode, Failure>
where
    TimedConnector<Timed<hyper_rustls::HttpsConnector<C>>>: Connect + Clone + Send + Sync + 'static,
{
    let secured = Timed::new(ProbeStep::Tls, steps, tls(way));
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(TimedConnector::new(secured, config.connect_timeout));
    let began = Instant::now();
    let end = |step, began: Instant, well| {
        let connecting = steps.so_far().iter().map(|ended| ended.took).max().unwrap_or_default();
        let took = if step == ProbeStep::Head {
            began.elapsed().saturating_sub(connecting)
        } else {
            began.elapsed()
        };
        steps.push(Ended { step, took, well });
    };
    let no_answer = |error: String| Failure { verdict: ProbeVerdict::NoAnswer, error };
    let answer = match tokio::time::timeout(
        config.connect_timeout + PATIENCE,
        client.request(request),
    )
    .await
    {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) if error.is_connect() => {
            return Err(Failure {
                verdict: ProbeVerdict::Unreachable(Unreached::after(&steps.so_far(), proxied)),
                error: Chain(&error).to_string(),
            });
        }
        Ok(Err(error)) => {
            end(ProbeStep::Head, began, false);
            return Err(no_answer(Chain(&error).to_string()));
        }
        Err(_elapsed) => {
            end(ProbeStep::Head, began, false);
            return Err(no_answer(format!("no answer within {} seconds", PATIENCE.as_secs())));
        }
    };
    end(ProbeStep::Head, began, true);
    let status = answer.status();
    let reading = Instant::now();
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect();
    match tokio::time::timeout(PATIENCE, body).await {
        Ok(Ok(_)) => {
            end(ProbeStep::Body, reading, true);
            Ok(status)
        }
        Ok(Err(error)) => {
            end(ProbeStep::Body, reading, false);
            Err(no_answer(error.to_string()))
        }
        Err(_elapsed) => {
            end(ProbeStep::Body, reading, false);
            Err(no_answer(format!("the answer did not end within {} seconds", PATIENCE.as_secs())))
        }
    }
}

/// The time that each step took without the steps inside it. Without TLS there is no such step.
fn of_their_own(ended: &[Ended], secure: bool) -> Vec<StepReport> {
    let mut inside = Duration::ZERO;
    let mut reports = Vec::with_capacity(ended.len());
    for Ended { step, took, well } in ended.iter().copied() {
        let own = match step {
            ProbeStep::Lookup | ProbeStep::Connect | ProbeStep::Proxy | ProbeStep::Tls => {
                let own = took.saturating_sub(inside);
                inside = took;
                own
            }
            ProbeStep::Head | ProbeStep::Body => took,
        };
        // A step that failed because one inside it did has nothing of its own to tell.
        let failed_inside = reports.last().is_some_and(|last: &StepReport| !last.well);
        if !failed_inside && (step != ProbeStep::Tls || secure) {
            reports.push(StepReport { step, took: own, well });
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_who_could_not_be_reached() {
        let ended = |step, well| Ended { step, took: Duration::ZERO, well };
        let refused = [ended(ProbeStep::Connect, false)];
        let reached = [ended(ProbeStep::Lookup, true), ended(ProbeStep::Connect, true)];
        let unknown = [ended(ProbeStep::Lookup, false), ended(ProbeStep::Connect, false)];
        let denied = [ended(ProbeStep::Connect, true), ended(ProbeStep::Proxy, false)];
        let no_tls = [
            ended(ProbeStep::Connect, true),
            ended(ProbeStep::Proxy, true),
            ended(ProbeStep::Tls, false),
        ];
        let cases: [(&str, &[Ended], bool, Unreached); 8] = [
            ("no proxy, refused", &refused, false, Unreached::Provider),
            ("no proxy, no TLS", &reached, false, Unreached::Provider),
            ("the proxy refuses", &refused, true, Unreached::Proxy),
            ("the proxy's name is unknown", &unknown, true, Unreached::Proxy),
            ("the proxy is silent", &[], true, Unreached::Proxy),
            ("the proxy says no", &denied, true, Unreached::BehindProxy),
            ("the proxy takes too long", &reached, true, Unreached::BehindProxy),
            ("behind the proxy no TLS", &no_tls, true, Unreached::Provider),
        ];
        for (name, ended, proxied, expected) in cases {
            assert_eq!(Unreached::after(ended, proxied), expected, "{name}");
        }
        let dead = ProbeVerdict::Unreachable(Unreached::Proxy);
        assert_eq!((dead.code(), dead.to_string().contains("proxy")), ("unreachable", true));
    }
}
