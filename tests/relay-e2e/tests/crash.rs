//! A server that is killed in mid-stream loses nothing that was recorded.

use relay_e2e::{Relay, Request, Store, on_both_stores};
use relay_sandbox::{Step, Usage};
use relay_testkit::eventually;
use serde_json::{Value, json};

use crate::conversation::{MODEL, post, streamed, whole};
use crate::stored::{Scope, Totals, checkpointed, holds, records, settled, totals};

on_both_stores![
    a_killed_server_comes_back_with_everything,
    what_an_upstream_was_sent_counts_though_the_server_was_killed_before_its_answer,
];

async fn what_an_upstream_was_sent_counts_though_the_server_was_killed_before_its_answer(
    store: Store,
) {
    let mut relay = Relay::with(store).env("RELAY_LEASE_SECONDS", "3").start().await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 5, "budgetPolicy": "hard"})).await;
    account.script(Step::holding());
    let _client = post(&relay, &key.secret, &whole()).await;
    eventually("the checkpoint", async || checkpointed(&relay)).await;
    relay.kill9();
    relay.run().await;
    let found = settled(&relay, 1).await;
    assert_eq!(found[0]["outcome"], "orphaned");
    assert_eq!(found[0]["usage_source"], "estimated", "{}", found[0]);
    let total = totals(&relay, Scope::Key(&key.id));
    let input = i64::try_from(whole().len().div_ceil(4)).unwrap();
    assert_eq!((total.requests, total.input), (1, input));
    assert!(total.cost_nano > 0);
    assert_eq!(holds(&relay), 0);
}

async fn a_killed_server_comes_back_with_everything(store: Store) {
    let mut relay = Relay::with(store).env("RELAY_LEASE_SECONDS", "3").start().await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let usage =
        |input, output| Usage { input: Some(input), output: Some(output), ..Usage::default() };

    account.script(Step::new().usage(usage(1_000, 10)));
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    settled(&relay, 1).await;

    // Killed when its input is known and its output is not.
    account.script(Step::new().deltas(9).silence_after_frame(5, 60_000).usage(usage(200, 50)));
    let mut known = relay.open(&Request::messages(&key.secret, streamed())).await;
    known.read_until("event: content_block_delta", 3).await;
    eventually("the checkpoint", async || checkpointed(&relay)).await;
    relay.kill9();
    assert_eq!(known.finish().await.end, relay_e2e::End::Aborted);
    relay.run().await;

    let accounts = relay.admin("GET", "/api/v2/accounts/claude-console", &Value::Null).await;
    assert_eq!(accounts.status, 200, "the operator's session stands: {}", accounts.text());
    assert_eq!(accounts.json()["accounts"][0]["id"], json!(account.id));
    account.script(Step::new().usage(usage(30_000, 7)));
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "the key and the account are there: {}", answer.text());

    let found = settled(&relay, 3).await;
    let orphan = found.iter().find(|record| record["outcome"] == "orphaned").unwrap();
    assert_eq!(orphan["usage_source"], "partial");
    assert_eq!(orphan["usage"]["input"], 200);
    assert_eq!(orphan["account"], json!(account.id));
    let output = orphan["usage"]["output"].as_i64().unwrap();
    assert!(output < 50, "the end of the stream was never seen");

    let sum = Totals {
        requests: 3,
        input: 31_200,
        output: 17 + output,
        cost_nano: 31_200 * 3_000 + (17 + output) * 15_000,
    };
    let scopes = [Scope::Key(&key.id), Scope::Account(&account.id), Scope::Model(MODEL)];
    for scope in scopes {
        assert_eq!(totals(&relay, scope), sum, "{scope:?}");
    }
    // Another start reaps again, and finds nothing.
    assert!(relay.stop(), "asked to stop, it says that all went well:\n{}", relay.printed());
    relay.run().await;
    assert_eq!(records(&relay).len(), 3);
    assert_eq!(holds(&relay), 0);
    for scope in scopes {
        assert_eq!(totals(&relay, scope), sum, "{scope:?}, counted once");
    }
}
