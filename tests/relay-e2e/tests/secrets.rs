//! No secret and no conversation is found where it does not belong, at the most talkative level of logging.

use relay_e2e::{AccountSettings, Answer, ApiKey, Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use serde_json::{Value, json};

use crate::conversation::MODEL;
use crate::scrape::{LISTEN, scrape};
use crate::stored::everything;

on_both_stores![secrets_are_kept, what_relay_generates_is_for_its_user_alone];

const ADMIN_PASSWORD: &str = "canary-admin-password-1f2e";
const JWT_SECRET: &str = "canary-jwt-secret-5b1c9d7e3f2a4b6c8d0e";
const ENCRYPTION_KEY: &str = "canary-encryption-key-7a9b3c5d1e";
const PROXY_PASSWORD: &str = "canary-proxy-password-9c8d";
const WRONG_PASSWORD: &str = "canary-wrong-password-4d3c";
const UNKNOWN_KEY: &str = "cr_canary0000000000000000000000000000000000000000000000000000unknown";
const PROMPT: &str = "canary-prompt-6e5f";
const ANSWER: &str = "canary-answer-2b3a";

/// A body with something in it that only client and provider are to know.
fn body(stream: bool) -> String {
    let messages = json!([{"role": "user", "content": PROMPT}]);
    json!({"model": MODEL, "max_tokens": 99, "stream": stream, "messages": messages}).to_string()
}

async fn secrets_are_kept(store: Store) {
    let mut relay = Relay::with(store)
        .env("LOG_LEVEL", "trace")
        .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
        .env("JWT_SECRET", JWT_SECRET)
        .env("ENCRYPTION_KEY", ENCRYPTION_KEY)
        .env(LISTEN.0, LISTEN.1)
        .start()
        .await;
    let key = relay.key().await;
    let token = relay.admin_token().await.to_owned();
    let mut told = Vec::new();

    // Behind a proxy that is not there, and never without it.
    let proxy = json!({
        "protocol": "http", "host": "127.0.0.1", "port": 9,
        "auth": {"username": "someone", "password": PROXY_PASSWORD},
    });
    let proxied =
        relay.account(AccountSettings::new("proxied").priority(1).with("proxy", proxy)).await;
    let failing = relay.account(AccountSettings::new("failing").priority(2)).await;
    failing.script(Step::failing(500, "api_error", "no"));
    let account = relay.account(AccountSettings::new("serving").priority(3)).await;
    account.script(Step::new().text(ANSWER));
    for stream in [true, false] {
        let answer = relay.send(&Request::messages(&key.secret, body(stream))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(proxied.received().len(), 0, "never without its proxy");
    account.script(Step::new().text(ANSWER).deltas(9).truncate_at_frame(6));
    told.push(relay.send(&Request::messages(&key.secret, body(true))).await);
    account.script(Step::failing(401, "authentication_error", "no"));
    told.push(relay.send(&Request::messages(&key.secret, body(true))).await);
    told.extend(refusals(&relay, &key).await);
    for words in [&["account", "list"][..], &["key", "list"], &["config", "show"]] {
        let output = relay.command(words).await;
        assert!(output.success, "{words:?}: {}", output.stderr);
        assert_secret_free(
            &format!("{words:?}"),
            &format!("{}{}", output.stdout, output.stderr),
            &everywhere(&[
                &account.upstream_key,
                &failing.upstream_key,
                &proxied.upstream_key,
                &key.secret,
                &token,
            ]),
        );
    }
    let metrics = scrape(&relay).await.text;
    assert!(relay.stop(), "{}", relay.printed());

    let upstream_keys = [&account, &failing, &proxied].map(|account| account.upstream_key.as_str());
    let mut secrets = everywhere(&upstream_keys);
    secrets.extend([key.secret.as_str(), token.as_str()]);
    let printed = relay.printed();
    assert!(printed.contains(&failing.id), "failed attempts are logged: {printed}");
    let conversation = [PROMPT, ANSWER];
    assert_secret_free("the log", &printed, &[&secrets[..], &conversation].concat());
    assert_secret_free("metrics", &metrics, &[&secrets[..], &conversation].concat());
    for answer in &told {
        let text = format!("{:?}{}", answer.headers, answer.text().replace(ANSWER, ""));
        assert_secret_free("an answer", &text, &secrets);
    }
    for (name, kept) in everything(&relay) {
        let text = String::from_utf8_lossy(&kept);
        assert_secret_free(&name, &text, &[&secrets[..], &conversation].concat());
    }
    for account in [&failing, &account] {
        for received in account.received() {
            let text = format!("{received:?}");
            assert!(!text.contains(&key.secret), "the client's key reaches no provider: {text}");
        }
    }
}

/// What is answered to those who may not, and to the operator.
async fn refusals(relay: &Relay, key: &ApiKey) -> Vec<Answer> {
    let mut told = vec![relay.send(&Request::messages(UNKNOWN_KEY, body(true))).await];
    let broken = format!("{{\"model\":\"{MODEL}\",\"messages\":[\"{PROMPT}\"");
    told.push(relay.send(&Request::messages(&key.secret, broken)).await);
    let wrong = json!({"username": "admin", "password": WRONG_PASSWORD});
    told.push(relay.send(&Request::post("/api/v2/auth/admin/login", wrong.to_string())).await);
    let bad = json!({"apiUrl": "no url", "apiKey": UNKNOWN_KEY});
    told.push(relay.admin("POST", "/api/v2/accounts/claude-console", &bad).await);
    for path in ["/api/v2/keys", "/api/v2/accounts/claude-console", "/health", "/api/v2/nothing"] {
        told.push(relay.admin("GET", path, &Value::Null).await);
    }
    told
}

/// What is a secret everywhere, and `more`.
fn everywhere<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let secrets =
        [ADMIN_PASSWORD, JWT_SECRET, ENCRYPTION_KEY, PROXY_PASSWORD, WRONG_PASSWORD, UNKNOWN_KEY];
    secrets.into_iter().chain(more.iter().copied()).collect()
}

fn assert_secret_free(place: &str, text: &str, secrets: &[&str]) {
    for secret in secrets {
        let found = text.find(secret).map(|at| {
            let line = text[..at].rfind('\n').map_or(0, |line| line + 1);
            text[line..].lines().next().unwrap_or_default().to_owned()
        });
        assert_eq!(found, None, "{secret} in {place}");
    }
}

async fn what_relay_generates_is_for_its_user_alone(store: Store) {
    use std::os::unix::fs::PermissionsExt as _;
    let relay = Relay::start(store).await;
    let _account = relay.account("a").await;
    let mut files = 0;
    for entry in std::fs::read_dir(relay.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with("-owner") {
            continue; // Says which process serves, and nothing else.
        }
        assert_eq!(mode & 0o077, 0, "{name} can be read by others: {mode:o}");
        files += 1;
    }
    assert!(files > 0, "generated secrets are kept");
}
