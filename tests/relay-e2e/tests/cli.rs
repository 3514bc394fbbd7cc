//! What the binary says and does at the terminal.

use relay_e2e::{Relay, Request, Store, Upstream, on_both_stores};
use relay_sandbox::Outcome;
use relay_testkit::eventually;
use serde_json::json;

use crate::conversation::whole;

on_both_stores![
    accounts_and_keys_are_made_without_the_server,
    the_first_start_shows_the_password_and_no_other_does,
    a_new_password_ends_every_session,
    the_configuration_is_shown_without_its_secrets,
    a_second_server_is_refused,
    the_demo_shows_a_conversation,
    a_value_that_cannot_be_is_wrong_usage,
];

async fn a_value_that_cannot_be_is_wrong_usage(store: Store) {
    let relay = Relay::with(store).prepare();
    let account = |url: &'static str, key: &'static str, more: &[&'static str]| {
        [&["account", "add", "--name", "a", "--url", url, "--key", key][..], more].concat()
    };
    let url = "https://a.example";
    for words in [
        account(url, "sk", &["--proxy", "ftp://me:hidden@p:1"]),
        account(url, "sk", &["--proxy", "http://p"]),
        account("a.example", "sk", &[]),
        account(url, " ", &[]),
        vec!["account", "add", "--name", "a", "--url", url],
        vec!["account", "add", "--name", "a", "--url", url, "--key-stdin"],
        vec!["key", "create", "--name", " "],
    ] {
        let output = relay.command(&words).await;
        assert_eq!(output.code, Some(2), "{words:?}: {}", output.stderr);
        assert!(!output.stderr.contains("hidden"), "{}", output.stderr);
    }
    let made = relay.command(&account(url, "sk", &["--proxy", "http://p:1"])).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
}

async fn accounts_and_keys_are_made_without_the_server(store: Store) {
    let mut relay = Relay::with(store).prepare();
    let upstream = Upstream::start().await;
    let url = format!("http://{}", upstream.sandbox().address());
    let words = ["account", "add", "--name", "main", "--url", &url, "--key", "sk-up", "--json"];
    let account = relay.command(&words).await.json();
    let key = relay.command(&["key", "create", "--name", "me", "--json"]).await.json();
    let secret = key["key"].as_str().unwrap();
    assert!(secret.starts_with("cr_"), "{secret}");
    for words in [&["account", "list", "--json"][..], &["key", "list", "--json"]] {
        let output = relay.command(words).await;
        assert!(output.success, "{}", output.stderr);
        let text = output.stdout;
        assert!(!text.contains(secret) && !text.contains("sk-up"), "{words:?}: {text}");
        let id = if words[0] == "account" { &account["id"] } else { &key["id"] };
        assert!(text.contains(id.as_str().unwrap()), "{words:?}: {text}");
    }
    relay.run().await;
    let answer = relay.send(&Request::messages(secret, whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = upstream.sandbox().requests().requests;
    assert_eq!(received[0].key.as_deref(), Some("sk-up"));
    assert_eq!(received[0].outcome, Outcome::Complete);
}

async fn the_first_start_shows_the_password_and_no_other_does(store: Store) {
    let settings = Relay::with(store).without("ADMIN_PASSWORD").without("ADMIN_USERNAME");
    let mut relay = settings.start().await;
    // It has been printed by now, but perhaps not been read.
    eventually("the first start has been read", async || relay.printed().contains("key create"))
        .await;
    let first = relay.printed();
    let after = |label: &str| {
        let line = first.lines().find(|line| line.trim_start().starts_with(label));
        let line = line.unwrap_or_else(|| panic!("no {label} in:\n{first}"));
        line.trim_start().trim_start_matches(label).trim_matches([' ', ':']).to_owned()
    };
    let (username, password) = (after("username"), after("password"));
    assert_eq!(first.matches(&password).count(), 1, "shown once:\n{first}");
    assert!(first.contains("account add"), "it says how to go on:\n{first}");
    let login = json!({"username": username, "password": password}).to_string();
    let request = Request::post("/api/v2/auth/admin/login", login);
    assert_eq!(relay.send(&request).await.status, 200);

    assert!(relay.stop(), "{}", relay.printed());
    let before = relay.printed().len();
    relay.run().await;
    let second = relay.printed().split_off(before);
    assert!(!second.contains(&password) && !second.contains("password"), "{second}");
    assert_eq!(relay.send(&request).await.status, 200, "it is still the one");
}

async fn a_new_password_ends_every_session(store: Store) {
    let relay = Relay::with(store).without("ADMIN_PASSWORD").start().await;
    let output = relay.command(&["admin", "reset-password"]).await;
    assert!(output.success, "{}", output.stderr);
    // Nothing else is on standard output, so that a script can take it.
    let login = json!({"username": "admin", "password": output.stdout.trim()}).to_string();
    let answer = relay.send(&Request::post("/api/v2/auth/admin/login", login)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = format!("Bearer {}", answer.json()["token"].as_str().unwrap());
    let me = Request::get("/api/v2/auth/me").header("authorization", &token);
    assert_eq!(relay.send(&me).await.status, 200);
    assert!(relay.command(&["admin", "reset-password"]).await.success);
    assert_eq!(relay.send(&me).await.status, 401, "while the server runs");
}

async fn the_configuration_is_shown_without_its_secrets(store: Store) {
    let secrets = ["canary-jwt-secret-5b1c9d7e3f2a4b6c8d0e", "canary-encryption-key-7a9b3c5d1e"];
    let relay = Relay::with(store)
        .env("JWT_SECRET", secrets[0])
        .env("ENCRYPTION_KEY", secrets[1])
        .env("RELAY_KEEP_ALIVE_SECONDS", "17")
        .prepare();
    for words in [&["config", "show"][..], &["config", "show", "--json"]] {
        let output = relay.command(words).await;
        assert!(output.success, "{}", output.stderr);
        for secret in secrets.into_iter().chain([relay_e2e::ADMIN_PASSWORD]) {
            assert!(!output.stdout.contains(secret), "{words:?}: {}", output.stdout);
        }
        for expected in
            ["RELAY_KEEP_ALIVE_SECONDS", "17", "ENCRYPTION_KEY", "idle_timeout_seconds", "300"]
        {
            assert!(output.stdout.contains(expected), "{words:?}, {expected}: {}", output.stdout);
        }
    }
    let output =
        Relay::with(store).env("PORT", "none").prepare().command(&["config", "show"]).await;
    assert!(!output.success && output.stderr.contains("PORT"), "{}", output.stderr);
}

async fn a_second_server_is_refused(store: Store) {
    let relay = Relay::start(store).await;
    let output = relay.command(&["serve"]).await;
    assert!(!output.success, "{}", output.stdout);
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    assert_eq!(relay.send(&Request::get("/readyz")).await.status, 200, "the first one serves");
}

/// The demo has a store of its own, whatever is configured, and leaves the configured one alone.
async fn the_demo_shows_a_conversation(store: Store) {
    let relay = Relay::with(store).prepare();
    let output = relay.command(&["demo", "--once"]).await;
    let said = format!("{}{}", output.stdout, output.stderr);
    assert!(output.success, "{said}");
    assert!(output.stdout.contains("Hello from the sandbox."), "the answer: {said}");
    assert!(output.stdout.contains("你好，世界！"), "byte for byte: {said}");
    for word in ["account", "attempt", "token", "cost", "added"] {
        assert!(said.to_lowercase().contains(word), "the record's {word}: {said}");
    }
    assert_eq!(std::fs::read_dir(relay.data_dir()).unwrap().count(), 0, "nothing is kept");
}
