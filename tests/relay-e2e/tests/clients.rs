//! The Anthropic SDKs as published, in conversation through Relay.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests")]

#[path = "clients/sdk.rs"]
mod sdk;

use std::time::Duration;

use relay_e2e::{Account, AccountSettings, ApiKey, Relay, Store};
use relay_sandbox::{Outcome, RecordedBody, RecordedRequest, Script, Step, Usage};
use relay_testkit::{Deadline, eventually};
use serde_json::{Value, json};

use crate::sdk::Sdk;

/// Characters of one to four bytes, and some that are made of several.
const TEXT: &str = "Hello, 世界！日本語もそのまま。Café, naïve, € → 🚀 👩‍💻 🇪🇺.";
const MODEL: &str = "claude-sonnet-5";
/// What a provider says when it refuses.
const PROVIDERS_WORDS: &str = "ただいま混雑しています 🙏";
/// The frame after `message_start`, `content_block_start`, `ping` and three deltas.
const AFTER_THREE_DELTAS: usize = 6;

/// Makes a test for each SDK of each function named: `python::name` and so on. The functions are
/// `async fn(Sdk)`.
macro_rules! with_every_sdk {
    ($($name:ident),+ $(,)?) => {
        with_every_sdk!(@of python, Python, $($name),+);
        with_every_sdk!(@of python_0, Python0, $($name),+);
        with_every_sdk!(@of typescript, TypeScript, $($name),+);
        with_every_sdk!(@of typescript_0, TypeScript0, $($name),+);
    };
    (@of $module:ident, $sdk:ident, $($name:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name(super::Sdk::$sdk)).await;
                }
            )+
        }
    };
}

with_every_sdk!(
    a_stream_arrives_whole_from_the_embedded_store,
    a_stream_arrives_whole_from_redis,
    an_answer_that_is_not_streamed_arrives,
    a_tool_is_called_and_its_result_answered,
    refusals_become_typed_errors,
    leaving_a_stream_ends_it_upstream,
    an_error_in_mid_stream_is_raised,
    tokens_are_counted_and_models_listed,
);

/// A Relay with one account and one key.
struct Scene {
    relay: Relay,
    account: Account,
    key: ApiKey,
}

impl Scene {
    async fn new(store: Store, script: impl Into<Script>) -> Self {
        let relay = Relay::start(store).await;
        let account = relay.account("one").await;
        account.script(script);
        let key = relay.key().await;
        Self { relay, account, key }
    }

    async fn run(&self, sdk: Sdk, scenario: &str) -> Value {
        sdk.run(&self.relay, &self.key, scenario).await
    }

    async fn settled(&self, count: usize) -> Vec<Value> {
        settled(&self.relay, count).await
    }
}

async fn a_stream_arrives_whole_from_the_embedded_store(sdk: Sdk) {
    a_stream_arrives_whole(sdk, Store::Sqlite).await;
}

async fn a_stream_arrives_whole_from_redis(sdk: Sdk) {
    a_stream_arrives_whole(sdk, Store::Redis).await;
}

async fn a_stream_arrives_whole(sdk: Sdk, store: Store) {
    let deltas = 9;
    let step = Step::new().text(TEXT).deltas(deltas).usage(usage()).chunk_bytes(1);
    let scene = Scene::new(store, step).await;
    let seen = scene.run(sdk, "stream").await;

    let expected = json!({
        "text": TEXT, "model": MODEL, "stop_reason": "end_turn", "input_tokens": 23, "output_tokens": 42,
    });
    assert_eq!(seen["helper"], json!({"text": TEXT, "message": expected}));
    let mut events = vec!["message_start", "content_block_start"];
    events.extend(vec!["content_block_delta"; deltas]);
    events.extend(["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(seen["raw"], json!({"events": events, "text": TEXT, "output_tokens": 42}));
    assert_sent_by(sdk, &scene.account, &scene.key, 2);
    for record in scene.settled(2).await {
        assert_counted(&record, true);
    }
}

async fn an_answer_that_is_not_streamed_arrives(sdk: Sdk) {
    let scene = Scene::new(Store::Sqlite, Step::new().text(TEXT).usage(usage())).await;
    let seen = scene.run(sdk, "message").await;

    let expected = json!({
        "text": TEXT, "model": MODEL, "stop_reason": "end_turn", "input_tokens": 23, "output_tokens": 42,
    });
    assert_eq!(seen["message"], expected);
    assert_has_request_id(&seen);
    assert_sent_by(sdk, &scene.account, &scene.key, 1);
    assert_counted(&scene.settled(1).await[0], false);
}

async fn a_tool_is_called_and_its_result_answered(sdk: Sdk) {
    let input = json!({"city": "京都"});
    let call =
        Step::new().text("Let me look. 少々お待ちください。").tool("get_weather", input.clone());
    let script = Script::new([call.usage(usage()), Step::new().text(TEXT).usage(usage())]);
    let scene = Scene::new(Store::Sqlite, script).await;
    let seen = scene.run(sdk, "tools").await;

    assert_eq!((&seen["call"]["name"], &seen["call"]["input"]), (&json!("get_weather"), &input));
    assert_eq!(seen["asked"]["text"], "Let me look. 少々お待ちください。");
    assert_eq!(seen["asked"]["stop_reason"], "tool_use");
    assert_eq!(seen["answered"]["text"], TEXT);
    assert_eq!(seen["answered"]["stop_reason"], "end_turn");
    let requests = assert_sent_by(sdk, &scene.account, &scene.key, 2);
    let [asked, answered] = &requests[1]["messages"].as_array().unwrap()[1..] else {
        panic!("not three messages: {}", requests[1]);
    };
    let mentioned = asked["content"].as_array().unwrap().last().unwrap();
    assert_eq!(mentioned["id"], seen["call"]["id"], "the call in the history");
    assert_eq!(mentioned["input"], input, "the call in the history");
    assert_eq!(answered["content"][0]["tool_use_id"], seen["call"]["id"]);
    assert_eq!(answered["content"][0]["content"], "12 °C, 小雨 🌧");
    for record in scene.settled(2).await {
        assert_eq!(record["outcome"], "completed");
        assert_eq!(record["usage"]["outputTokens"], 42);
    }
}

async fn refusals_become_typed_errors(sdk: Sdk) {
    let relay = Relay::start(Store::Sqlite).await;
    let key = relay.key().await;
    // The current TypeScript SDK has a class of its own for 529, the one before it had none.
    let overloaded = match sdk {
        Sdk::Python | Sdk::Python0 | Sdk::TypeScript => "OverloadedError",
        Sdk::TypeScript0 => "InternalServerError",
    };
    let refusals = [
        ("bad_request", "claude-opus-5", 400, "invalid_request_error", "BadRequestError"),
        ("rate_limited", "claude-sonnet-5", 429, "rate_limit_error", "RateLimitError"),
        ("overloaded", "claude-haiku-4-5", 529, "overloaded_error", overloaded),
    ];
    let mut accounts = Vec::new();
    for (name, model, status, kind, _) in refusals {
        let settings = AccountSettings::new(name).models(json!([model]));
        let account = relay.account(settings).await;
        account.script(Step::failing(status, kind, PROVIDERS_WORDS));
        accounts.push(account);
    }
    let seen = sdk.run(&relay, &key, "errors").await;

    for (account, (name, _, status, kind, class)) in accounts.iter().zip(refusals) {
        let error = &seen[name];
        let found = (&error["class"], &error["status"], &error["type"]);
        assert_eq!(found, (&json!(class), &json!(status), &json!(kind)), "{name}");
        assert_has_request_id(error);
        // Once each: nobody repeats what was refused.
        assert_sent_by(sdk, account, &key, 1);
    }
    assert_eq!(seen["bad_request"]["message"], PROVIDERS_WORDS);
    assert_eq!(seen["rate_limited"]["message"], PROVIDERS_WORDS);
    // With every account at rest Relay speaks for itself: it knows until when.
    let message = seen["overloaded"]["message"].as_str().unwrap();
    assert!(message.starts_with("Relay: the provider is overloaded until "), "{message}");
    let error = &seen["unknown_key"];
    assert_eq!(error["class"], "AuthenticationError");
    assert_eq!((&error["status"], &error["type"]), (&json!(401), &json!("authentication_error")));
    assert_has_request_id(error);
}

async fn leaving_a_stream_ends_it_upstream(sdk: Sdk) {
    let step = Step::new().deltas(600).delta_ms(50).usage(usage());
    let scene = Scene::new(Store::Sqlite, step).await;
    let client = sdk.start(&scene.relay, &scene.key, "cancel").await;

    assert_eq!(client.seen, json!({"deltas": 3}));
    // The client has only closed its stream: it still runs.
    Deadline::after(Duration::from_secs(1))
        .until("the stream ends upstream within a second", async || {
            scene.account.the_request().outcome == Outcome::ClientClosed
        })
        .await;
    let record = scene.settled(1).await.remove(0);
    assert_eq!(record["outcome"], "client_gone");
    assert_eq!(record["usageSource"], "partial");
    assert_eq!(record["usage"]["inputTokens"], 23);
    client.leave().await;
}

async fn an_error_in_mid_stream_is_raised(sdk: Sdk) {
    let step = Step::new().deltas(20).usage(usage());
    let step = step.error_at_frame(AFTER_THREE_DELTAS, "overloaded_error", PROVIDERS_WORDS);
    let scene = Scene::new(Store::Sqlite, step).await;
    let seen = scene.run(sdk, "midstream").await;

    assert_eq!(seen["deltas"], 3);
    let error = &seen["error"];
    let class = match sdk {
        Sdk::Python | Sdk::Python0 => "APIStatusError",
        Sdk::TypeScript | Sdk::TypeScript0 => "APIError",
    };
    assert_eq!(error["class"], class);
    assert_eq!(error["type"], "overloaded_error");
    assert_eq!(error["message"], PROVIDERS_WORDS);
    assert_has_request_id(error);
    assert_sent_by(sdk, &scene.account, &scene.key, 1);
    let record = scene.settled(1).await.remove(0);
    assert_eq!(record["outcome"], "upstream_failed");
    assert_eq!(record["usage"]["inputTokens"], 23);
}

async fn tokens_are_counted_and_models_listed(sdk: Sdk) {
    let relay = Relay::start(Store::Sqlite).await;
    let models = ["claude-haiku-4-5", "claude-sonnet-5"];
    let account = relay.account(AccountSettings::new("one").models(json!(models))).await;
    let key = relay.key().await;
    let seen = sdk.run(&relay, &key, "catalogue").await;

    // The sandbox counts a token for every four bytes of the question.
    assert_eq!(seen, json!({"input_tokens": 14, "models": models}));
    let received = assert_sent_by(sdk, &account, &key, 1);
    assert_eq!(account.the_request().path, "/v1/messages/count_tokens");
    assert_eq!(received[0]["model"], MODEL);
}

/// Token counts that no estimate hits by chance.
fn usage() -> Usage {
    Usage { input: Some(23), output: Some(42), ..Usage::default() }
}

/// Asserts that the account's upstream got `count` requests of this SDK, as it sent them but for the
/// key, and returns their bodies.
fn assert_sent_by(sdk: Sdk, account: &Account, key: &ApiKey, count: usize) -> Vec<Value> {
    let received = account.received();
    assert_eq!(received.len(), count, "requests at the upstream: {received:#?}");
    let check = |request: &RecordedRequest| {
        let header = |name: &str| {
            let mut values = request.headers.iter().filter(|(key, _)| key == name);
            let value = values.next().map(|(_, value)| value.as_str()).unwrap_or_default();
            assert!(values.next().is_none(), "{name} came twice: {request:#?}");
            value.to_owned()
        };
        assert!(header("user-agent").starts_with(sdk.user_agent()), "{request:#?}");
        assert_eq!(header("anthropic-version"), sdk.api_version());
        assert_eq!(request.key.as_deref(), Some(account.upstream_key.as_str()));
        assert!(!format!("{request:?}").contains(&key.secret), "the client's key: {request:#?}");
        match &request.body {
            Some(RecordedBody::Text(text)) => serde_json::from_str(text).unwrap(),
            other => panic!("not a text: {other:?}"),
        }
    };
    received.iter().map(check).collect()
}

/// Asserts that a request was counted with [`usage`] to the end.
fn assert_counted(record: &Value, stream: bool) {
    assert_eq!(record["outcome"], "completed");
    assert_eq!(record["stream"], stream);
    assert_eq!(record["model"], MODEL);
    assert_eq!(record["usageSource"], "final");
    assert_eq!(record["usage"]["inputTokens"], 23);
    assert_eq!(record["usage"]["outputTokens"], 42);
    assert!(record["costNanos"].as_i64().is_some_and(|cost| cost > 0), "{record}");
}

fn assert_has_request_id(seen: &Value) {
    let id = seen["request_id"].as_str();
    assert!(id.is_some_and(|id| id.starts_with("req_")), "no request id: {seen}");
}

/// Waits until Relay has recorded `count` requests, and returns the records.
async fn settled(relay: &Relay, count: usize) -> Vec<Value> {
    let mut records = Vec::new();
    eventually(&format!("{count} records"), async || {
        let answer = relay.admin("GET", "/api/v2/requests", &Value::Null).await.json();
        records.clone_from(answer["requests"].as_array().unwrap());
        assert!(records.len() <= count, "more than {count} records: {records:#?}");
        records.len() == count
    })
    .await;
    records
}
