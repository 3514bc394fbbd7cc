//! Requests that are one too many wait, if their key has a queue: bounded, in order, with signs of life.

use relay_e2e::{End, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use serde_json::json;

use crate::conversation::{streamed, whole};
use crate::stored::{Amendment, amend, settled};

on_both_stores![
    who_waits_gets_in_when_another_ends,
    who_waits_in_vain_is_told_so_with_a_code_of_its_own,
    a_stream_that_waits_gets_signs_of_life,
    who_waits_for_an_account_is_served_by_those_that_the_key_is_bound_to_then,
];

async fn who_waits_gets_in_when_another_ends(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    amend(&relay, &key.id, Amendment::Queue(1, 60_000));
    account.script(Step::new().deltas(9).silence_after_frame(4, 60_000));
    let mut first = relay.open(&Request::messages(&key.secret, streamed())).await;
    first.read_until("event: content_block_delta", 1).await;
    account.script(Step::new());
    let (request, another) =
        (Request::messages(&key.secret, whole()), Request::messages(&key.secret, whole()));
    // One waits, and the other finds the queue full, whichever comes first.
    let (mut one, mut two) = (Box::pin(relay.send(&request)), Box::pin(relay.send(&another)));
    let (waited, other) = tokio::select! {
        answer = &mut one => {
            drop(first);
            (two.await, answer)
        }
        answer = &mut two => {
            drop(first);
            (one.await, answer)
        }
    };
    assert_eq!((waited.status, other.status), (200, 429), "{} {}", waited.text(), other.text());
    assert_eq!(other.json()["error"]["code"], "queue_full");
    let records = settled(&relay, 2).await;
    assert!(records.iter().any(|record| record["times"]["queued_us"].as_i64() > Some(0)));
}

async fn who_waits_in_vain_is_told_so_with_a_code_of_its_own(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    amend(&relay, &key.id, Amendment::Queue(5, 700));
    account.script(Step::new().deltas(9).silence_after_frame(4, 60_000));
    let mut first = relay.open(&Request::messages(&key.secret, streamed())).await;
    first.read_until("event: content_block_delta", 1).await;
    for body in [whole(), streamed()] {
        let answer = relay.send(&Request::messages(&key.secret, body)).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "queue_timeout");
        assert_eq!(answer.json()["error"]["type"], "rate_limit_error");
    }
    assert_eq!(account.received().len(), 1, "nothing of it reached the upstream");
    drop(first);
    assert_eq!(settled(&relay, 1).await.len(), 1, "and nothing of it is recorded");
}

async fn a_stream_that_waits_gets_signs_of_life(store: Store) {
    let relay = Relay::with(store).env("RELAY_KEEP_ALIVE_SECONDS", "1").start().await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"concurrencyLimit": 1})).await;
    amend(&relay, &key.id, Amendment::Queue(5, 60_000));
    account.script(Step::new().deltas(9).silence_after_frame(4, 60_000));
    let mut first = relay.open(&Request::messages(&key.secret, streamed())).await;
    first.read_until("event: content_block_delta", 1).await;
    account.script(Step::new().deltas(3));
    let mut waiting = relay.open(&Request::messages(&key.secret, streamed())).await;
    assert_eq!(waiting.status(), 200, "the head is out");
    waiting.read_until("event: ping", 2).await;
    assert_eq!(account.received().len(), 1, "it still waits");
    drop(first);
    let answer = waiting.finish().await;
    assert_eq!(answer.end, End::Clean);
    assert_eq!(answer.count_of("content_block_delta"), 3);
    assert_eq!(answer.count_of("message_stop"), 1);
    assert!(answer.header("x-relay-request-id").is_some());
}

async fn who_waits_for_an_account_is_served_by_those_that_the_key_is_bound_to_then(store: Store) {
    let relay = Relay::with(store).env("RELAY_KEEP_ALIVE_SECONDS", "1").start().await;
    let one_at_a_time =
        |name| relay_e2e::AccountSettings::new(name).with("maxConcurrentTasks", json!(1));
    let (a, b) = (relay.account(one_at_a_time("a")).await, relay.account("b").await);
    let key = relay.key_with(json!({"claudeConsoleAccountId": a.id})).await;
    amend(&relay, &key.id, Amendment::Queue(5, 60_000));
    a.script(Step::new().deltas(9).silence_after_frame(4, 60_000));
    let mut first = relay.open(&Request::messages(&key.secret, streamed())).await;
    first.read_until("event: content_block_delta", 1).await;
    a.script(Step::new());
    let mut waiting = relay.open(&Request::messages(&key.secret, streamed())).await;
    waiting.read_until("event: ping", 1).await;
    let bound = json!({"claudeConsoleAccountId": b.id});
    let changed = relay.admin("PUT", &format!("/api/v2/keys/{}", key.id), &bound).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    drop(first);
    let answer = waiting.finish().await;
    assert_eq!(answer.count_of("message_stop"), 1, "{}", answer.text());
    assert_eq!((a.received().len(), b.received().len()), (1, 1));
}
