//! How a server ends, with a real store, a real upstream and real connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use relay_domain::{Actor, Outcome, Platform, UsageSource};
use relay_engine::operator::{NewAccount, NewKey};
use relay_sandbox::{Sandbox, Script, Step};
use relay_store::Stores;
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::config::{Environment, FileChoice};
use crate::installation::Access;

/// Longer than anything here takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer than any client here leaves unread what it wants to read.
const UNREAD: Duration = Duration::from_secs(2);

/// A server with an upstream that plays `step`, while `client` talks to it on a thread of its own.
///
/// Returns what the client found, and the store.
fn serve_while<T: Send + 'static>(
    step: Step,
    drain_s: &str,
    client: impl FnOnce(SocketAddr, String, Lifecycle) -> T + Send + 'static,
) -> (T, Stores) {
    serve_watched(step, drain_s, |address, key, lifecycle, _| client(address, key, lifecycle))
}

/// The same, with a client that sees what is in the store meanwhile.
fn serve_watched<T: Send + 'static>(
    step: Step,
    drain_s: &str,
    client: impl FnOnce(SocketAddr, String, Lifecycle, Stores) -> T + Send + 'static,
) -> (T, Stores) {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::from([
        ("RELAY_DATA_DIR", folder.path().to_str().unwrap()),
        ("PORT", "0"),
        ("RELAY_WORKERS", "2"),
        ("RELAY_SHUTDOWN_SECONDS", drain_s),
    ]);
    let config = Config::load(&environment, FileChoice::Ignored).unwrap();
    crate::runtime().unwrap().block_on(async {
        let sandbox = Sandbox::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        sandbox.handle().set_script("sk-test", Script::new([step])).unwrap();
        let installation = Installation::open(&config, Access::Serve).await.unwrap();
        let url = format!("http://{}", sandbox.local_addr());
        let account = NewAccount::new(Platform::ClaudeConsole, url, "sk-test".into());
        installation.operator.create_account(&Actor::shell(), account).await.unwrap();
        let (_, key): (_, SecretString) =
            installation.operator.create_key(&Actor::shell(), NewKey::default()).await.unwrap();
        let mut server =
            Server::prepare(&config, &installation, bind(&config).unwrap()).await.unwrap();
        server.plan.unread_for = UNREAD;
        let (address, lifecycle) = (server.address(), server.lifecycle());
        let key = key.expose_secret().to_owned();
        let stores = installation.stores.clone();
        let client = thread::spawn(move || client(address, key, lifecycle, stores));
        let provider = CancellationToken::new();
        let serving = async {
            tokio::time::timeout(PATIENCE, server.run(Signals::new().unwrap()))
                .await
                .unwrap()
                .unwrap();
            provider.cancel();
        };
        tokio::join!(serving, sandbox.serve(provider.clone()));
        (client.join().unwrap(), installation.stores)
    })
}

/// Sends a streamed request and reads the answer up to its first content.
fn open_stream(address: SocketAddr, key: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body = r#"{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nhost: relay\r\nx-api-key: {key}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    while !answer.contains("content_block_delta") {
        let mut some = [0; 512];
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "the answer ended early: {answer}");
        answer.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    (stream, answer)
}

#[test]
fn stopping_lets_an_open_stream_end_and_lets_nobody_else_in() {
    let slow = Step::new().text("one two three four").deltas(20).delta_ms(20);
    let ((), stores) = serve_while(slow, "60", |address, key, lifecycle| {
        // Connections that say nothing must not hold up the end.
        let silent = TcpStream::connect(address).unwrap();
        let (mut stream, mut answer) = open_stream(address, &key);
        lifecycle.stop();
        while TcpStream::connect(address).is_ok() {
            thread::yield_now();
        }
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("message_stop") && answer.ends_with("0\r\n\r\n"), "{answer}");
        drop(silent);
    });
    let records = crate::runtime().unwrap().block_on(stores.usage.recent(9)).unwrap();
    let outcomes: Vec<Outcome> = records.iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, [Outcome::Completed]);
}

#[test]
fn what_does_not_end_in_time_is_cut_off_and_settled() {
    let endless = Step::new().text("one two").deltas(2).silence_after_frame(3, 3_600_000);
    let ((), stores) = serve_while(endless, "0", |address, key, lifecycle| {
        let (mut stream, mut answer) = open_stream(address, &key);
        lifecycle.stop();
        // Cut off, or reset: either way without an end.
        stream.read_to_string(&mut answer).ok();
        assert!(!answer.contains("message_stop") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    });
    let records = crate::runtime().unwrap().block_on(stores.usage.recent(9)).unwrap();
    let ends: Vec<_> = records.iter().map(|record| (record.outcome, record.usage_source)).collect();
    assert_eq!(ends, [(Outcome::ClientGone, UsageSource::Partial)]);
}

#[test]
fn a_client_that_speaks_http2_is_answered_in_it() {
    let slow = Step::new().text("one two three four").deltas(20).delta_ms(5);
    let (answers, _) = serve_while(slow, "60", |address, key, lifecycle| {
        crate::runtime().unwrap().block_on(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (executor, stream) = (TokioExecutor::new(), TokioIo::new(stream));
            let (mut sender, connection) = http2::handshake(executor, stream).await.unwrap();
            let mut ask = |text: &str| {
                let body = format!(
                    r#"{{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true,"messages":[{{"role":"user","content":"{text}"}}]}}"#
                );
                let request = Request::post(format!("http://{address}/v1/messages"))
                    .header("x-api-key", &key)
                    .body(Full::<Bytes>::from(body));
                let answer = sender.send_request(request.unwrap());
                async {
                    let whole = answer.await.unwrap().into_body().collect().await.unwrap();
                    String::from_utf8(whole.to_bytes().to_vec()).unwrap()
                }
            };
            // Both at once; the connection ends when they have.
            let (one, two) = (ask("one"), ask("two"));
            drop(sender);
            let (ended, one, two) = tokio::join!(connection, one, two);
            ended.unwrap();
            lifecycle.stop();
            [one, two]
        })
    });
    for answer in answers {
        assert!(answer.contains("event: message_stop"), "{answer}");
    }
}

#[test]
fn a_client_of_http2_that_stops_reading_is_cut_off_and_settled() {
    let endless = Step::new().text("one two three four").deltas(1_000_000).delta_ms(1);
    let (outcome, _) = serve_watched(endless, "60", |address, key, lifecycle, stores| {
        crate::runtime().unwrap().block_on(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut client = http2::Builder::new(TokioExecutor::new());
            let handshake = client.initial_stream_window_size(1_000).handshake(TokioIo::new(stream));
            let (mut sender, connection) = handshake.await.unwrap();
            let connection = TaskTracker::new().spawn(connection);
            let body = r#"{"model":"claude-sonnet-4-5","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
            let request = Request::post(format!("http://{address}/v1/messages"))
                .header("x-api-key", &key)
                .body(Full::<Bytes>::from(body));
            let answer = sender.send_request(request.unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200);
            // The connection is read, and pings are answered; the answer is not.
            let settled = async {
                loop {
                    let records = stores.usage.recent(9).await.unwrap();
                    if !records.is_empty() {
                        return records;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let records = tokio::time::timeout(PATIENCE, settled).await.expect("it is settled");
            assert!(answer.into_body().collect().await.is_err(), "it has no end");
            drop(sender);
            connection.await.unwrap().ok();
            lifecycle.stop();
            (records[0].outcome, records[0].usage_source)
        })
    });
    assert_eq!(outcome, (Outcome::ClientGone, UsageSource::Partial));
}
