//! Databases that a v1 or v2 left, as they were dumped from running ones: Relay starts on them, everything
//! is there, and a v1 that comes back finds its own.

mod account_groups;
mod fixture;
mod v1_reader;

use relay_e2e::{Answer, Relay, Request, Store, Upstream};
use relay_testkit::RedisServer;
use serde_json::{Value, json};

use self::fixture::{ENCRYPTION_KEY, Fixture, V1_KEY, V2_KEY};
use self::v1_reader::V1Reader;
use crate::redis_client::RedisClient;

/// A Relay on a database that a predecessor left, with its accounts moved to `upstream`.
fn left_by(fixture: &Fixture, upstream: &Upstream) -> Relay {
    let relay = Relay::with(Store::Redis)
        .without("ADMIN_USERNAME")
        .without("ADMIN_PASSWORD")
        .env("ENCRYPTION_KEY", ENCRYPTION_KEY)
        .prepare();
    let mut client = RedisClient::connect(relay.redis().unwrap());
    fixture.load(&mut client);
    fixture.move_accounts(&mut client, &format!("http://{}", upstream.sandbox().address()));
    relay
}

async fn log_in(relay: &Relay, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password});
    relay.send(&Request::post("/api/v2/auth/admin/login", body.to_string())).await
}

/// What a command prints as JSON.
async fn command(relay: &Relay, words: &[&str]) -> Value {
    relay.command(words).await.json()
}

async fn ids(relay: &Relay, what: &str) -> Vec<String> {
    let listed = command(relay, &[what, "list", "--json"]).await;
    let ids = listed.as_array().unwrap().iter();
    let mut ids: Vec<_> = ids.map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

/// Everything that a predecessor left is there, and v1's view of it is whole afterwards.
async fn everything_is_there(fixture: Fixture) {
    let upstream = Upstream::start().await;
    let mut relay = left_by(&fixture, &upstream);
    let before = RedisClient::connect(relay.redis().unwrap()).texts(&["KEYS", "*"]).len();
    let survey = command(&relay, &["adopt", "--dry-run", "--json"]).await;
    let after = RedisClient::connect(relay.redis().unwrap()).texts(&["KEYS", "*"]).len();
    assert_eq!(before, after, "a dry run changes nothing");
    assert_eq!(survey["writtenBy"], fixture.writers(), "{survey}");
    assert_eq!(survey["keys"], fixture.keys().len());
    assert_eq!(survey["unopened"], json!([]), "every account's secret opens");

    relay.run().await;
    let (username, password) = fixture.login();
    let answer = log_in(&relay, username, password).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let again = log_in(&relay, username, password).await;
    assert_eq!(again.status, 200, "also once its hash is replaced: {}", again.text());
    assert_eq!(log_in(&relay, username, "another password").await.status, 401);
    assert_eq!(ids(&relay, "key").await, fixture.keys());
    assert_eq!(ids(&relay, "account").await, fixture.accounts());
    let presented = if fixture.is_v1() { V1_KEY } else { V2_KEY };
    let refused = relay.send(&Request::messages("cr_unknown0123456789", "{}")).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let known = relay.send(&Request::messages(presented, "{}")).await;
    assert_eq!(known.status, 400, "the key is recognised, and the body is none: {}", known.text());
    assert!(relay.stop(), "{}", relay.printed());
    assert!(!relay.printed().contains("do not open"), "{}", relay.printed());

    assert!(relay.command(&["adopt"]).await.success);
    let settled = command(&relay, &["adopt", "--dry-run", "--json"]).await;
    assert_eq!(settled["changes"], json!([]), "adopting twice changes nothing");
    let mut reader = V1Reader::on(relay.redis().unwrap());
    assert_eq!(reader.complaints(), Vec::<String>::new());
    if fixture.is_v1() {
        assert_eq!(reader.find_key(V1_KEY, ENCRYPTION_KEY).as_deref(), Some(fixture::V1_KEY_ID));
    }
}

macro_rules! on_every_fixture {
    ($($name:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                Box::pin(everything_is_there(Fixture::$name())).await;
            }
        )+
    };
}

on_every_fixture![
    v1_after_admin_setup,
    v1_after_two_requests,
    v1_full,
    v2_after_admin_setup,
    v2_after_requests
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_encryption_key_is_told_with_the_accounts_and_sends_nothing() {
    let upstream = Upstream::start().await;
    let fixture = Fixture::v1_after_admin_setup();
    let relay = left_by(&fixture, &upstream);
    let other = Relay::with(Store::Redis)
        .env("ENCRYPTION_KEY", "another-encryption-key-32-chars!")
        .env("RELAY_REDIS_URL", relay.redis().unwrap().url());
    let mut other = other.start().await;
    let key = command(&other, &["key", "create", "--name", "new", "--json"]).await;
    let key = key["key"].as_str().unwrap();
    let answer = other.send(&Request::messages(key, crate::conversation::whole())).await;
    assert!(answer.status >= 400, "{}", answer.text());
    assert!(other.stop());
    let printed = other.printed();
    for id in fixture.accounts() {
        assert!(printed.contains(&id), "{id} is not named: {printed}");
    }
    assert_eq!(upstream.sandbox().requests().requests.len(), 0, "no ciphertext is sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_relayed_and_counted_where_v1_counts() {
    let upstream = Upstream::start().await;
    let mut relay = left_by(&Fixture::v1_full(), &upstream);
    let mut client = RedisClient::connect(relay.redis().unwrap());
    let total = format!("usage:{}", fixture::V1_KEY_ID);
    let cost = format!("usage:cost:total:{}", fixture::V1_KEY_ID);
    let mut read = |name: &str, field: &str| -> f64 {
        let text = match field {
            "" => client.text(&["GET", name]),
            field => client.text(&["HGET", name, field]),
        };
        text.map_or(0.0, |text| text.parse().unwrap())
    };
    let before = (read(&total, "totalRequests"), read(&total, "totalAllTokens"), read(&cost, ""));
    relay.run().await;
    let body = crate::conversation::body("claude-sonnet-4-20250514", true);
    let answer = relay.send(&Request::messages(V1_KEY, body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    crate::stored::settled(&relay, 1).await;
    assert!(relay.stop());
    let after = (read(&total, "totalRequests"), read(&total, "totalAllTokens"), read(&cost, ""));
    assert!((after.0 - before.0 - 1.0).abs() < f64::EPSILON, "{before:?}, {after:?}");
    assert!(before.1 < after.1 && before.2 < after.2, "{before:?}, {after:?}");
    assert!(relay.command(&["adopt"]).await.success);
    let complaints = V1Reader::on(relay.redis().unwrap()).complaints();
    assert_eq!(complaints, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_a_user_whom_v1_disabled_is_refused() {
    let upstream = Upstream::start().await;
    let mut relay = left_by(&Fixture::v1_full(), &upstream);
    let mut client = RedisClient::connect(relay.redis().unwrap());
    let name = format!("apikey:{}", fixture::V1_KEY_ID);
    client.text(&["HSET", &name, "userId", "u1"]);
    client.text(&["SET", "user:u1", r#"{"id":"u1","isActive":false}"#]);
    relay.run().await;
    let body = crate::conversation::body("claude-sonnet-4-20250514", true);
    let refused = relay.send(&Request::messages(V1_KEY, &body)).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
    let told = refused.json();
    assert_eq!((&told["type"], &told["error"]["code"]), (&json!("error"), &json!("user_disabled")));
    let listed = command(&relay, &["key", "list", "--json"]).await;
    let listed = listed.as_array().unwrap().iter();
    let standing: Vec<_> = listed
        .filter(|key| key["id"] == fixture::V1_KEY_ID)
        .map(|key| key["status"].clone())
        .collect();
    assert_eq!(standing, ["user disabled"]);

    // By hand, as a v1 would: it counts from the next change of any key on.
    client.text(&["SET", "user:u1", r#"{"id":"u1","isActive":true}"#]);
    assert!(relay.command(&["key", "create", "--name", "another"]).await.success);
    // Whoever asks first brings the change along.
    let unknown = relay.send(&Request::messages(V1_KEY, "{}")).await;
    assert!([400, 401].contains(&unknown.status), "{}", unknown.text());
    let served = relay.send(&Request::messages(V1_KEY, &body)).await;
    assert_eq!(served.status, 200, "{}", served.text());
    let survey = command(&relay, &["adopt", "--dry-run", "--json"]).await;
    assert_eq!(survey["usersInVain"]["keys"], 0, "{survey}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_used_databases_are_not_guessed_between() {
    let redis = RedisServer::tcp();
    let address = redis.url().trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let (host, port) = address.split_once(':').unwrap();
    let relay = Relay::with(Store::Redis)
        .env("ENCRYPTION_KEY", ENCRYPTION_KEY)
        .env("RELAY_REDIS_URL", "")
        .env("REDIS_HOST", host)
        .env("REDIS_PORT", port)
        .prepare();
    let mut client = RedisClient::connect(&redis);
    client.text(&["SELECT", "1"]);
    Fixture::v2_after_admin_setup().load(&mut client);
    let found = command(&relay, &["adopt", "--dry-run", "--json"]).await;
    assert!(found["redis"].as_str().unwrap().contains("database 1"), "{found}");
    client.text(&["SELECT", "0"]);
    Fixture::v1_after_admin_setup().load(&mut client);
    for words in [&["adopt", "--dry-run"][..], &["serve"]] {
        let refused = relay.command(words).await;
        assert!(!refused.success, "{words:?}: {}", refused.stdout);
        assert!(refused.stderr.contains("REDIS_DB"), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_note_of_a_v1_whose_login_has_lapsed_is_taken() {
    let upstream = Upstream::start().await;
    let mut relay = left_by(&Fixture::v1_after_admin_setup(), &upstream);
    let mut client = RedisClient::connect(relay.redis().unwrap());
    client.text(&["DEL", "session:admin_credentials"]);
    let note = json!({"adminUsername": "cr_admin_abcd1234", "adminPassword": "S3cretPassw0rd"});
    std::fs::write(relay.data_dir().join("init.json"), note.to_string()).unwrap();
    relay.run().await;
    assert_eq!(log_in(&relay, "cr_admin_abcd1234", "S3cretPassw0rd").await.status, 200);
    assert!(!relay.printed().contains("S3cretPassw0rd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_v2_cannot_read_is_gone_after_a_release() {
    let upstream = Upstream::start().await;
    let mut relay = left_by(&Fixture::v2_after_requests(), &upstream);
    relay.run().await;
    assert!(relay.stop());
    assert!(relay.command(&["release"]).await.success);
    let mut client = RedisClient::connect(relay.redis().unwrap());
    // v2 reads every name like these as a hash.
    for pattern in
        ["claude_console_account:*", "codex_account:*", "unified_claude_session_mapping:*"]
    {
        for name in client.texts(&["KEYS", pattern]) {
            assert_eq!(client.text(&["TYPE", &name]).as_deref(), Some("hash"), "{name}");
        }
    }
    for name in client.texts(&["KEYS", "apikey:*"]) {
        assert_eq!(client.text(&["TYPE", &name]).as_deref(), Some("hash"), "{name}");
    }
}
