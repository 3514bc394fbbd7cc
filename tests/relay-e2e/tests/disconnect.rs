//! A client that leaves: by default it stops the upstream and pays for what is known; with the policy
//! `drain` its answer is read to its end within bounds. Either way its slot and its hold come back.

use std::ops::Range;
use std::time::Duration;

use relay_e2e::{
    Account, AccountSettings, ApiKey, Exchange, Relay, RelaySettings, Request, Store,
    on_both_stores,
};
use relay_sandbox::{Outcome, Step, Usage};
use relay_testkit::{Deadline, eventually};
use serde_json::{Value, json};

use crate::conversation::{post, streamed, whole};
use crate::stored::{Amendment, Scope, amend, holds, records, settled, the_record, totals};

on_both_stores![
    an_abort_in_mid_stream_stops_the_upstream,
    an_abort_before_the_end_of_the_message_keeps_what_is_known,
    an_abort_before_the_answer_stops_the_upstream,
    a_drain_in_mid_stream_pays_what_the_provider_counts,
    a_drain_before_the_end_of_the_message_pays_what_the_provider_counts,
    a_drain_before_the_answer_pays_what_the_provider_counts,
    a_drained_attempt_that_fails_is_the_last,
    a_drained_stream_ends_where_a_hard_budget_does,
    drains_have_bounds_of_time_and_bytes,
    two_hundred_that_leave_at_once_stay_within_the_cap,
];

/// The time in which an upstream must hear that its client is gone.
const SOON: Duration = Duration::from_secs(1);
/// The last of 200 deltas: before them are the starts of the message and of its block, and a ping.
const LAST_DELTA: usize = 202;

fn usage() -> Usage {
    Usage {
        input: Some(1_234),
        output: Some(500),
        cache_read: 20_000,
        cache_write_5m: 3_000,
        ..Usage::default()
    }
}

/// What [`usage`] costs: input, output, cache read, cache writes for five minutes.
const COST_NANO: i64 = 1_234 * 3_000 + 500 * 15_000 + 20_000 * 300 + 3_000 * 3_750;

fn draining(store: Store) -> RelaySettings {
    Relay::with(store).env("RELAY_ON_DISCONNECT", "drain")
}

/// A key with a single slot and a budget, and an account that gives this answer.
async fn scripted(relay: &Relay, step: Step) -> (Account, ApiKey) {
    scripted_with(relay, AccountSettings::new("a"), step).await
}

async fn scripted_with(relay: &Relay, settings: AccountSettings, step: Step) -> (Account, ApiKey) {
    let account = relay.account(settings).await;
    let key = relay.key_with(json!({"concurrencyLimit": 1, "dailyCostLimit": 50})).await;
    account.script(step.usage(usage()));
    (account, key)
}

async fn reading(relay: &Relay, key: &ApiKey, deltas: usize) -> Exchange {
    let mut exchange = relay.open(&Request::messages(&key.secret, streamed())).await;
    exchange.read_until("event: content_block_delta", deltas).await;
    exchange
}

/// Sends a request and leaves once the upstream has it, before there is an answer.
async fn leave_early(relay: &Relay, account: &Account, key: &ApiKey, body: &str) {
    let _client = post(relay, &key.secret, body).await;
    account.holds(1).await;
}

async fn closed_soon(account: &Account) {
    let state = async || account.sandbox().state().requests_in_flight == 0;
    Deadline::after(SOON).until("the upstream is stopped within a second", state).await;
    assert_eq!(account.received()[0].outcome, Outcome::ClientClosed);
}

/// Nothing is held any more: not in the store, and not of the key's only slot.
async fn all_is_free(relay: &Relay, account: &Account, key: &ApiKey) {
    assert_eq!(holds(relay), 0, "the hold and the lease are gone");
    account.script(Step::new());
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "the only slot is free: {}", answer.text());
    let spent = answer.header("x-relay-budget-daily-remaining").unwrap().parse::<f64>().unwrap();
    assert!(spent > 49.9, "no more of the budget is taken than was used: {spent}");
}

/// The record of an answer that was aborted after its start: what the provider had told is exact.
fn is_partial(record: &Value) {
    is_partial_of(record, 1..500);
}

fn is_partial_of(record: &Value, outputs: Range<i64>) {
    assert_eq!(record["outcome"], "client_gone", "{record}");
    assert_eq!(record["usage_source"], "partial");
    assert_eq!(record["usage"]["input"], 1_234);
    assert_eq!(record["usage"]["cache_read"], 20_000);
    assert_eq!(record["usage"]["cache_write_5m"], 3_000);
    let output = record["usage"]["output"].as_i64().unwrap();
    assert!(outputs.contains(&output), "reckoned by its length: {output}");
}

/// The record of an answer that was read to its end: what the provider counted, to the token.
fn is_final(record: &Value) {
    assert_eq!(record["outcome"], "client_gone", "{record}");
    assert_eq!(record["usage_source"], "final");
    assert_eq!(record["usage"]["input"], 1_234);
    assert_eq!(record["usage"]["output"], 500);
    assert_eq!(record["usage"]["cache_read"], 20_000);
    assert_eq!(record["usage"]["cache_write_5m"], 3_000);
    assert_eq!(record["cost"], COST_NANO);
    assert_eq!(record["attempts"][0]["outcome"], "answered");
}

async fn an_abort_in_mid_stream_stops_the_upstream(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = scripted(&relay, Step::new().deltas(200).delta_ms(50)).await;
    drop(reading(&relay, &key, 5).await);
    closed_soon(&account).await;
    let record = the_record(&relay).await;
    is_partial(&record);
    assert_eq!(record["attempts"][0]["outcome"], "client_gone");
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!((total.requests, total.input), (1, 1_234));
    all_is_free(&relay, &account, &key).await;
}

async fn an_abort_before_the_end_of_the_message_keeps_what_is_known(store: Store) {
    let relay = Relay::start(store).await;
    let step = Step::new().deltas(200).silence_after_frame(LAST_DELTA, 600_000);
    let (account, key) = scripted(&relay, step).await;
    drop(reading(&relay, &key, 200).await);
    closed_soon(&account).await;
    is_partial(&the_record(&relay).await);
    all_is_free(&relay, &account, &key).await;
}

async fn an_abort_before_the_answer_stops_the_upstream(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = scripted(&relay, Step::holding()).await;
    leave_early(&relay, &account, &key, &whole()).await;
    closed_soon(&account).await;
    let record = the_record(&relay).await;
    let input = i64::try_from(whole().len().div_ceil(4)).unwrap();
    assert_eq!(record["outcome"], "client_gone");
    assert_eq!(record["usage_source"], "estimated", "the upstream has its input: {record}");
    assert_eq!(record["usage"]["input"], input);
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!((total.requests, total.input), (1, input));
    assert_eq!(total.cost_nano, record["cost"].as_i64().unwrap());
    assert!(total.cost_nano > 0);
    all_is_free(&relay, &account, &key).await;
}

async fn a_drain_in_mid_stream_pays_what_the_provider_counts(store: Store) {
    let relay = Relay::start(store).await;
    let settings = AccountSettings::new("a").with("onDisconnect", json!("drain"));
    let step = Step::new().deltas(200).delta_ms(5);
    let (account, key) = scripted_with(&relay, settings, step).await;
    drop(reading(&relay, &key, 5).await);
    is_final(&the_record(&relay).await);
    assert_eq!(account.the_request().outcome, Outcome::Complete);
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!((total.requests, total.cost_nano), (1, COST_NANO));
    all_is_free(&relay, &account, &key).await;
}

async fn a_drain_before_the_end_of_the_message_pays_what_the_provider_counts(store: Store) {
    let relay = draining(store).start().await;
    let step = Step::new().deltas(200).silence_after_frame(LAST_DELTA, 2_000);
    let (account, key) = scripted(&relay, step).await;
    drop(reading(&relay, &key, 200).await);
    is_final(&the_record(&relay).await);
    all_is_free(&relay, &account, &key).await;
}

async fn a_drain_before_the_answer_pays_what_the_provider_counts(store: Store) {
    let relay = draining(store).start().await;
    let (account, key) = scripted(&relay, Step::new().delay_head_ms(500)).await;
    for (count, body) in [(1, streamed()), (2, whole())] {
        leave_early(&relay, &account, &key, &body).await;
        for record in settled(&relay, count).await {
            is_final(&record);
        }
    }
    assert_eq!(totals(&relay, Scope::Key(&key.id)).cost_nano, 2 * COST_NANO);
    all_is_free(&relay, &account, &key).await;
}

async fn a_drained_attempt_that_fails_is_the_last(store: Store) {
    let relay = draining(store).start().await;
    let step = Step::failing(500, "api_error", "no").delay_head_ms(500);
    let (account, key) = scripted(&relay, step).await;
    let other = relay.account(AccountSettings::new("b").priority(99)).await;
    leave_early(&relay, &account, &key, &whole()).await;
    let record = the_record(&relay).await;
    assert_eq!(record["outcome"], "client_gone", "{record}");
    assert_eq!(record["usage_source"], "none");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1);
    assert_eq!((account.received().len(), other.received().len()), (1, 0));
}

async fn a_drained_stream_ends_where_a_hard_budget_does(store: Store) {
    let relay = draining(store).start().await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 0.1})).await;
    amend(&relay, &key.id, Amendment::HardBudget);
    // Twenty times what the budget has room for, in ten seconds.
    let step = Step::new().text(&"all work and no play ".repeat(25_000)).deltas(1_000).delta_ms(10);
    account.script(step.usage(usage()));
    drop(reading(&relay, &key, 2).await);
    let record = the_record(&relay).await;
    is_partial_of(&record, 1..6_667);
    assert_eq!(record["attempts"][0]["outcome"], "answered", "it was not the client that ended it");
    account.holds(0).await;
    assert_eq!(account.the_request().outcome, Outcome::ClientClosed, "the upstream is stopped");
    assert_eq!(holds(&relay), 0);
}

async fn drains_have_bounds_of_time_and_bytes(store: Store) {
    let relay =
        draining(store).env("RELAY_DRAIN_SECONDS", "1").env("RELAY_DRAIN_MB", "1").start().await;
    let (account, key) = scripted(&relay, Step::new().silence_after_frame(3, 600_000)).await;
    drop(reading(&relay, &key, 1).await);
    is_partial(&the_record(&relay).await);
    account.holds(0).await;

    // Two MiB, the client gone after the first few kilobytes.
    let long = "all work and no play ".repeat(100_000);
    let step = Step::new().text(&long).deltas(100).delta_ms(1).silence_after_frame(90, 600_000);
    account.script(step.usage(usage()));
    drop(reading(&relay, &key, 1).await);
    for record in settled(&relay, 2).await {
        assert_eq!(record["outcome"], "client_gone");
        assert_eq!(record["usage_source"], "partial");
    }
    account.holds(0).await;
}

async fn two_hundred_that_leave_at_once_stay_within_the_cap(store: Store) {
    let mut relay = draining(store)
        .env("RELAY_DRAIN_ANSWERS", "10")
        .env("RELAY_SHUTDOWN_SECONDS", "1")
        .start()
        .await;
    let account = relay.account("a").await;
    let key = relay.key().await;
    account.script(Step::new().deltas(200).silence_after_frame(7, 600_000).usage(usage()));
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(reading(&relay, &key, 5).await);
    }
    account.holds(200).await;
    drop(open);
    account.holds(10).await;
    let aborted = settled(&relay, 190).await;
    aborted.iter().for_each(is_partial);
    let total = totals(&relay, Scope::Key(&key.id));
    assert_eq!((total.requests, total.input), (190, 190 * 1_234));

    // Shutdown lets the others go on for as long as open streams, and then ends them.
    assert!(relay.stop(), "{}", relay.printed());
    account.holds(0).await;
    eventually("all are recorded", async || records(&relay).len() == 200).await;
    records(&relay).iter().for_each(is_partial);
    assert_eq!(holds(&relay), 0);
}
