//! A client that leaves stops the upstream, pays for what is known, and frees its slot.

use std::time::Duration;

use relay_e2e::{Account, Relay, Request, Store, on_both_stores};
use relay_sandbox::{Outcome, Step, Usage};
use relay_testkit::Deadline;
use serde_json::json;

use crate::conversation::{streamed, whole};
use crate::stored::{Scope, holds, settled, the_record, totals};

on_both_stores![
    leaving_after_five_deltas_stops_the_upstream,
    leaving_before_the_answer_stops_the_upstream,
];

/// The time in which an upstream must hear that its client is gone.
const SOON: Duration = Duration::from_secs(1);

async fn closed_soon(account: &Account) {
    let state = async || account.sandbox().state().requests_in_flight == 0;
    Deadline::after(SOON).until("the upstream is stopped within a second", state).await;
    assert_eq!(account.received()[0].outcome, Outcome::ClientClosed);
}

async fn leaving_after_five_deltas_stops_the_upstream(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    let usage = Usage { input: Some(1_234), output: Some(500), ..Usage::default() };
    account.script(Step::new().deltas(500).delta_ms(20).usage(usage));
    let mut exchange = relay.open(&Request::messages(&key.secret, streamed())).await;
    exchange.read_until("event: content_block_delta", 5).await;
    drop(exchange);
    closed_soon(&account).await;

    let record = the_record(&relay).await;
    assert_eq!(record["outcome"], "client_gone");
    assert_eq!(record["usage_source"], "partial");
    assert_eq!(record["usage"]["input"], 1_234);
    assert_eq!(record["attempts"][0]["outcome"], "client_gone");
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!((total.requests, total.input), (1, 1_234));
    assert_eq!(holds(&relay), 0, "the hold and the lease are gone");

    account.script(Step::new());
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "the only slot is free: {}", answer.text());
}

async fn leaving_before_the_answer_stops_the_upstream(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    account.script(Step::holding());
    let stream = tokio::net::TcpStream::connect(relay.address()).await.unwrap();
    let body = whole();
    let request = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: relay\r\nx-api-key: {}\r\ncontent-length: {}\r\n\r\n{body}",
        key.secret,
        body.len()
    );
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(request.as_bytes()).unwrap(), request.len());
    account.holds(1).await;
    drop(stream);
    closed_soon(&account).await;
    let record = settled(&relay, 1).await.remove(0);
    assert_eq!(record["outcome"], "client_gone");
    assert_eq!(record["usage_source"], "none");
    assert_eq!(totals(&relay, Scope::Key(&key.id)).requests, 0, "nothing is known to be used");

    account.script(Step::new());
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "the only slot is free: {}", answer.text());
}
