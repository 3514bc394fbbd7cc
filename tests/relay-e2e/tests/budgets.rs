//! Limits of a key: denials that help, headers that tell how much is left, and budgets that cannot be passed.

use relay_e2e::{AccountSettings, End, Relay, Request, Store, on_both_stores};
use relay_sandbox::{Outcome, Step, Usage};
use serde_json::json;

use crate::conversation::{MODEL, body, streamed, whole};
use crate::stored::{Amendment, Scope, amend, records, settled, totals};

on_both_stores![
    a_spent_budget_is_explained,
    a_full_window_is_explained,
    a_client_sees_its_own_limits_and_no_others,
    a_hard_budget_says_what_a_request_would_need,
    a_hard_budget_cuts_a_stream_off,
    an_account_whose_quota_is_spent_is_passed_over,
    a_budgeted_key_is_refused_a_model_without_price,
    a_claude_budget_counts_whatever_claude_answers,
    a_hard_budget_is_not_passed_by_what_an_account_is_asked_for,
    a_hard_quota_is_not_passed_by_keys_without_limits,
    a_quota_counts_what_has_no_price,
    what_is_served_under_an_unknown_name_is_charged_by_what_was_asked_for,
    the_fallback_is_what_the_operator_says,
];

fn usage(input: u64, output: u64) -> Usage {
    Usage { input: Some(input), output: Some(output), ..Usage::default() }
}

async fn a_spent_budget_is_explained(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 0.5})).await;
    // 60 cents.
    account.script(Step::new().usage(usage(200_000, 0)));
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    settled(&relay, 1).await;

    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    assert_eq!(answer.status, 402, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["type"], "error");
    assert_eq!(told["error"]["type"], "billing_error");
    assert_eq!(told["error"]["code"], "daily_cost_limit_exceeded");
    assert_eq!(told["costLimit"], json!(0.5));
    assert_eq!(told["currentCost"].as_f64().map(|cost| cost >= 0.6), Some(true), "{told}");
    assert_eq!(told["limit"]["scope"], "key");
    assert_eq!(told["resetAt"], told["limit"]["resetsAt"]);
    assert!(told["resetAt"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(answer.header("retry-after"), None);
    assert_eq!(account.received().len(), 1, "it was not sent on");
    assert_eq!(records(&relay).len(), 1, "and counts nowhere");
}

async fn a_claude_budget_counts_whatever_claude_answers(store: Store) {
    let relay = Relay::start(store).await;
    let map = json!({"alias": MODEL, "other": "gpt-5"});
    let account = relay.account(AccountSettings::new("a").models(map)).await;
    let key = relay.key_with(json!({"weeklyOpusCostLimit": 0.5})).await.secret;
    let send = async |model: &str| {
        account.script(Step::new().usage(usage(200_000, 0)));
        relay.send(&Request::messages(&key, whole().replace(MODEL, model))).await
    };
    for (model, status) in [("other", 200), ("alias", 200), ("other", 200), ("alias", 402)] {
        let answer = send(model).await;
        assert_eq!(answer.status, status, "{model}: {}", answer.text());
    }
}

async fn a_full_window_is_explained(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"rateLimitWindow": 60, "rateLimitRequests": 2})).await;
    for left in ["1", "0"] {
        let answer = relay.send(&Request::messages(&key.secret, whole())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), Some(left));
    }
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    let told = answer.json();
    assert_eq!(told["error"]["type"], "rate_limit_error");
    assert_eq!(told["error"]["code"], "window_request_limit_exceeded");
    assert_eq!((&told["currentRequests"], &told["requestLimit"]), (&json!(2), &json!(2)));
    assert_eq!(told["remainingMinutes"], json!(60));
    assert_eq!(answer.header("retry-after"), None, "nobody should sleep for an hour");
    assert_eq!(account.received().len(), 2);
}

async fn a_client_sees_its_own_limits_and_no_others(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let fields = json!({
        "rateLimitWindow": 60, "rateLimitRequests": 10, "dailyCostLimit": 20, "concurrencyLimit": 3,
    });
    let (key, free) = (relay.key_with(fields).await, relay.key().await);
    let mut step = Step::new().usage(usage(10, 5));
    for name in ["anthropic-ratelimit-requests-limit", "anthropic-ratelimit-tokens-remaining"] {
        step.headers.insert(name.to_owned(), "777777".to_owned());
    }
    account.script(step);
    for body in [whole(), streamed()] {
        let answer = relay.send(&Request::messages(&key.secret, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), Some("10"));
        assert!(answer.header("anthropic-ratelimit-requests-reset").is_some());
        assert_eq!(answer.header("anthropic-ratelimit-tokens-remaining"), None);
        assert_eq!(answer.header("x-relay-budget-daily-limit"), Some("20.00"));
        assert!(answer.header("x-relay-budget-daily-remaining").is_some());
        assert_eq!(answer.header("x-relay-concurrency-limit"), Some("3"));
        let answer = relay.send(&Request::messages(&free.secret, &body)).await;
        let limits = answer.headers.iter().filter(|(name, _)| {
            name.starts_with("anthropic-ratelimit") || name.starts_with("x-relay-budget")
        });
        assert_eq!(limits.count(), 0, "{:?}", answer.headers);
    }
}

async fn a_hard_budget_says_what_a_request_would_need(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 0.001})).await;
    amend(&relay, &key.id, Amendment::HardBudget);
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 402, "{}", answer.text());
    let told = answer.json();
    let needed = told["limit"]["needed"].as_str().unwrap_or_default();
    assert!(needed.parse::<f64>().is_ok_and(|needed| 0.001 < needed), "{told}");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("may need up to {needed}")), "{message}");
    assert_eq!(answer.header("x-relay-budget-daily-limit"), Some("0.001"));
    assert_eq!(answer.header("x-relay-budget-daily-remaining"), Some("0.001"));
    assert_eq!(account.received().len(), 0, "it was not sent on");
}

async fn a_hard_budget_cuts_a_stream_off(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 0.05})).await;
    amend(&relay, &key.id, Amendment::HardBudget);
    // Its input alone is 6 cents, which no body of this size could tell.
    account.script(Step::new().deltas(2_000).delta_ms(20).usage(usage(20_000, 9_000)));
    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    assert_eq!((answer.status, answer.end), (200, End::Aborted));
    let events = answer.events();
    let last = events.last().unwrap();
    assert_eq!(last.name, "error", "{last:?}");
    let told = last.json();
    assert_eq!(told["error"]["type"], "billing_error");
    assert_eq!(told["error"]["code"], "budget_exhausted");
    assert_eq!(answer.count_of("message_stop"), 0);
    account.holds(0).await;
    assert_eq!(account.the_request().outcome, Outcome::ClientClosed, "the upstream is stopped");

    let record = settled(&relay, 1).await.remove(0);
    assert_eq!(record["outcome"], "budget_exhausted");
    assert_eq!(record["usage_source"], "partial");
    assert_eq!(record["usage"]["input"], 20_000);
    assert!(record["usage"]["output"].as_i64() > Some(0));
    assert_eq!(totals(&relay, Scope::Key(&key.id)).requests, 1);
    let answer = relay.send(&Request::messages(&key.secret, streamed())).await;
    assert_eq!(answer.status, 402, "{}", answer.text());
}

async fn an_account_whose_quota_is_spent_is_passed_over(store: Store) {
    let relay = Relay::start(store).await;
    let quota = |name| AccountSettings::new(name).with("dailyQuota", json!(0.5));
    let first = relay.account(quota("first").priority(1)).await;
    let second = relay.account(quota("second").priority(2)).await;
    let key = relay.key().await;
    for account in [&first, &second] {
        account.script(Step::new().usage(usage(200_000, 0)));
    }
    for count in 1..=2 {
        let answer = relay.send(&Request::messages(&key.secret, whole())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        settled(&relay, count).await;
    }
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    let passed_over = records(&relay).remove(1);
    assert_eq!(passed_over["decision"][1]["verdict"], "quota_spent", "{passed_over}");
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "accounts_rate_limited");
}

async fn a_budgeted_key_is_refused_a_model_without_price(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let (key, free) = (relay.key_with(json!({"totalCostLimit": 5})).await, relay.key().await);
    let unknown = body("nobody-knows-this", false);
    let answer = relay.send(&Request::messages(&key.secret, &unknown)).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "model_unpriced");
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert_eq!(account.received().len(), 0);
    let answer = relay.send(&Request::messages(&free.secret, &unknown)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(settled(&relay, 1).await[0]["cost"].is_null(), "unknown, and not zero");
}

/// An answer of so much output, for which others wait.
fn slow(output: u64) -> Step {
    Step { delay_head_ms: 500, ..Step::new().usage(usage(10, output)) }
}

/// Asks four times at once, each for an answer of up to so many tokens, and returns how often it was given.
async fn answered_of_four(relay: &Relay, secret: &str, model: &str, max_tokens: u64) -> usize {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let body = json!({"model": model, "max_tokens": max_tokens, "messages": messages}).to_string();
    let request = Request::messages(secret, body);
    let send = || relay.send(&request);
    let answers: [_; 4] = tokio::join!(send(), send(), send(), send()).into();
    for answer in &answers {
        assert!([200, 402, 429].contains(&answer.status), "{}", answer.text());
    }
    answers.iter().filter(|answer| answer.status == 200).count()
}

async fn latest(relay: &Relay) -> serde_json::Value {
    relay.admin("GET", "/api/v2/requests", &json!(null)).await.json()["requests"][0].take()
}

async fn a_hard_budget_is_not_passed_by_what_an_account_is_asked_for(store: Store) {
    let relay = Relay::start(store).await;
    let models = json!({"claude-haiku-4-5": "claude-opus-5"});
    let account = relay.account(AccountSettings::new("a").models(models)).await;
    account.script(slow(40_000));
    let key = relay.key_with(json!({"totalCostLimit": 2.5, "budgetPolicy": "hard"})).await;
    // So that the account is known.
    let free = relay.key().await;
    assert_eq!(answered_of_four(&relay, &free.secret, "claude-haiku-4-5", 1).await, 4);
    // A dollar each, and a tenth more if it is kept to the United States.
    assert_eq!(answered_of_four(&relay, &key.secret, "claude-haiku-4-5", 40_000).await, 2);
    let account = &account.id;
    let path = format!("/api/v2/accounts/claude-console/{account}");
    let answer = relay.admin("PUT", &path, &json!({"rateMultiplier": 100})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let key = relay.key_with(json!({"totalCostLimit": 2.5, "budgetPolicy": "hard"})).await;
    assert_eq!(answered_of_four(&relay, &key.secret, "claude-haiku-4-5", 1_000).await, 0);
}

async fn a_hard_quota_is_not_passed_by_keys_without_limits(store: Store) {
    let relay = Relay::start(store).await;
    let quota =
        AccountSettings::new("a").with("dailyQuota", json!(1)).with("budgetPolicy", json!("hard"));
    let account = relay.account(quota).await;
    account.script(slow(30_000));
    let key = relay.key().await;
    assert_eq!(answered_of_four(&relay, &key.secret, "claude-sonnet-4-5", 30_000).await, 2);
    let records = settled(&relay, 4).await;
    assert_eq!(records.iter().filter(|record| record["status"] == 200).count(), 2);
}

async fn a_quota_counts_what_has_no_price(store: Store) {
    // The last that a soft one lets in may pass it.
    for (policy, served) in [("soft", [200, 200, 429]), ("hard", [200, 429, 429])] {
        let relay = Relay::start(store).await;
        let quota = AccountSettings::new("a").with("dailyQuota", json!(1));
        let account = relay.account(quota.with("budgetPolicy", json!(policy))).await;
        account.script(Step::new().usage(usage(0, 40_000)));
        let key = relay.key().await;
        // 60 cents each, at the fallback of 15 dollars a million.
        let messages = json!([{"role": "user", "content": "hello"}]);
        let body = json!({"model": "mystery-9", "max_tokens": 40_000, "messages": messages});
        let request = Request::messages(&key.secret, body.to_string());
        for (count, status) in (1..).zip(served) {
            let answer = relay.send(&request).await;
            assert_eq!(answer.status, status, "{policy}: {}", answer.text());
            settled(&relay, count).await;
        }
        let first = settled(&relay, 3).await.remove(0);
        assert!(first["cost"].is_null(), "it stays unknown: {first}");
        assert_eq!(first["presumed_cost"], 600_000_000, "{first}");
    }
}

async fn what_is_served_under_an_unknown_name_is_charged_by_what_was_asked_for(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let mut step = Step::new().usage(usage(0, 10_000));
    step.model = Some("mystery-9".to_owned());
    account.script(step);
    let key = relay.key_with(json!({"totalCostLimit": 1, "budgetPolicy": "hard"})).await;
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    settled(&relay, 1).await;
    let record = latest(&relay).await;
    assert_eq!(record["servedModel"], "mystery-9", "{record}");
    assert!(record["costNanos"].is_null(), "it stays unknown: {record}");
    assert_eq!(record["chargedNanos"], 150_000_000, "{record}");
}

async fn the_fallback_is_what_the_operator_says(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    account.script(Step::new().usage(usage(0, 10_000)));
    let key = relay.key_with(json!({"totalCostLimit": 9, "unpriced": "fallback"})).await;
    for (count, fallback, charged) in [(1, None, 150_000_000), (2, Some(1), 10_000_000)] {
        if let Some(dollars) = fallback {
            let price = json!({"standard": {"input": dollars, "output": dollars}});
            let answer = relay.admin("PUT", "/api/v2/prices/fallback", &price).await;
            assert!(answer.status < 300, "{}", answer.text());
        }
        let answer = relay.send(&Request::messages(&key.secret, body("mystery-10", false))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        settled(&relay, count).await;
        let record = latest(&relay).await;
        assert!(record["costNanos"].is_null(), "{record}");
        assert_eq!(record["chargedNanos"], charged, "{record}");
    }
}
