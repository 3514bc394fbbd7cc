//! All requests of a conversation go to one account, so that its prompt cache is of use.

use std::collections::BTreeSet;

use relay_e2e::{Account, AccountSettings, ApiKey, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use serde_json::{Value, json};

use crate::conversation::{MODEL, whole};
use crate::stored::settled;

on_both_stores![
    a_conversation_stays_on_its_account,
    conversations_are_told_apart_by_what_clients_say,
    two_keys_never_share_a_binding,
    a_resting_account_is_left_for_good,
];

/// A turn of the conversation that Claude Code names so.
fn turn(key: &ApiKey, session: &str) -> Request {
    Request::messages(&key.secret, whole()).header("x-claude-code-session-id", session)
}

/// Sends a turn and returns which account answered it.
async fn answered_by<'a>(relay: &Relay, accounts: &'a [Account], request: &Request) -> &'a str {
    let before: Vec<usize> = accounts.iter().map(|account| account.received().len()).collect();
    let answer = relay.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = |(account, before): &(&Account, usize)| account.received().len() > *before;
    let mut asked = accounts.iter().zip(before).filter(asked);
    let (account, _) = asked.next().unwrap();
    assert!(asked.next().is_none(), "one account answers");
    &account.id
}

async fn equal_accounts(relay: &Relay) -> [Account; 2] {
    [relay.account("a").await, relay.account("b").await]
}

async fn a_conversation_stays_on_its_account(store: Store) {
    let relay = Relay::start(store).await;
    let (accounts, key) = (equal_accounts(&relay).await, relay.key().await);
    let first = answered_by(&relay, &accounts, &turn(&key, "the-session")).await;
    settled(&relay, 1).await;
    for number in 1..20 {
        assert_eq!(
            answered_by(&relay, &accounts, &turn(&key, "the-session")).await,
            first,
            "turn {number}"
        );
        // Another conversation in between moves nothing.
        answered_by(&relay, &accounts, &turn(&key, &format!("other-{number}"))).await;
    }
    let mut spread = BTreeSet::new();
    for number in 0..8 {
        spread.insert(answered_by(&relay, &accounts, &turn(&key, &format!("new-{number}"))).await);
    }
    assert_eq!(spread.len(), 2, "other conversations use both accounts");
}

async fn conversations_are_told_apart_by_what_clients_say(store: Store) {
    let relay = Relay::start(store).await;
    let (accounts, key) = (equal_accounts(&relay).await, relay.key().await);
    let request = |metadata: Value, first: &str, headers: &[(&str, &str)]| {
        let messages =
            json!([{"role": "user", "content": first}, {"role": "assistant", "content": "ok"}]);
        let body =
            json!({"model": MODEL, "max_tokens": 9, "metadata": metadata, "messages": messages});
        let request = Request::messages(&key.secret, body.to_string());
        headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    let old = |n: usize| {
        let device = "ab".repeat(32);
        json!({"user_id": format!("user_{device}_account__session_7b0c0b5e-0000-4a0e-9d39-6a1f6b2f{n:04}")})
    };
    let new = |n: usize| json!({"user_id": json!({"device_id": "d", "account_uuid": "", "session_id": format!("s-{n}")}).to_string()});
    let mut settled_so_far = 0;
    for n in 0..3 {
        let name = format!("h-{n}");
        let turns = [
            ("the old form of user_id", request(old(n), "hi", &[])),
            ("the JSON form of user_id", request(new(n), "hi", &[])),
            ("session_id", request(json!({}), "hi", &[("session_id", &name)])),
            ("x-session-affinity", request(json!({}), "hi", &[("x-session-affinity", &name)])),
            ("how it began", request(json!({}), &format!("hi {n}"), &[])),
        ];
        for (name, turn) in turns {
            let first = answered_by(&relay, &accounts, &turn).await;
            settled_so_far += 1;
            settled(&relay, settled_so_far).await;
            for _ in 0..3 {
                assert_eq!(answered_by(&relay, &accounts, &turn).await, first, "{name} {n}");
                settled_so_far += 1;
            }
        }
    }
    assert!(accounts.iter().all(|account| !account.received().is_empty()), "both are used");
}

async fn two_keys_never_share_a_binding(store: Store) {
    let relay = Relay::start(store).await;
    let accounts = equal_accounts(&relay).await;
    let keys = [relay.key().await, relay.key().await];
    let mut apart = 0;
    for number in 0..6 {
        let session = format!("same-{number}");
        let mut bound = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            bound.push(answered_by(&relay, &accounts, &turn(key, &session)).await);
            settled(&relay, 4 * number + index + 1).await;
        }
        for (key, bound) in keys.iter().zip(&bound) {
            assert_eq!(answered_by(&relay, &accounts, &turn(key, &session)).await, *bound);
        }
        settled(&relay, 4 * number + 4).await;
        apart += usize::from(bound[0] != bound[1]);
    }
    assert!(apart > 0, "one key's conversation never decided about the other's");
}

async fn a_resting_account_is_left_for_good(store: Store) {
    let relay = Relay::start(store).await;
    let accounts = [
        relay.account(AccountSettings::new("a").priority(1)).await,
        relay.account(AccountSettings::new("b").priority(2)).await,
    ];
    let key = relay.key().await;
    let [a, b] = &accounts;
    assert_eq!(answered_by(&relay, &accounts, &turn(&key, "s")).await, a.id);
    settled(&relay, 1).await;
    a.script(Step::failing(429, "rate_limit_error", "slow down").header("retry-after", "600"));
    assert_eq!(relay.send(&turn(&key, "s")).await.status, 200, "B takes over");
    let record = settled(&relay, 2).await.pop().unwrap();
    assert_eq!(record["attempts"].as_array().unwrap().len(), 2);
    a.script(Step::new());
    for number in 3..6 {
        assert_eq!(answered_by(&relay, &accounts, &turn(&key, "s")).await, b.id);
        let record = settled(&relay, number).await.pop().unwrap();
        let attempts = record["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "the account that rests is not asked: {attempts:?}");
    }
}
