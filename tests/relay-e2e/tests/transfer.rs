//! Everything moves from one installation to another, in one file that only a passphrase opens.

use relay_e2e::{ADMIN_PASSWORD, AccountSettings, ApiKey, Relay, Request, Store};
use serde_json::{Value, json};

use crate::conversation::streamed;
use crate::stored::{Scope, settled, totals};

const PROXY_PASSWORD: &str = "canary-proxy-password-7d1e";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_the_embedded_store_into_redis() {
    Box::pin(moved(Store::Sqlite, Store::Redis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_redis_into_the_embedded_store() {
    Box::pin(moved(Store::Redis, Store::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_one_redis_into_another() {
    Box::pin(moved(Store::Redis, Store::Redis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_moves_from_one_embedded_store_into_another() {
    Box::pin(moved(Store::Sqlite, Store::Sqlite)).await;
}

/// Into an empty store, in which old keys work.
async fn moved(from: Store, to: Store) {
    let mut here = Relay::start(from).await;
    let account = here.account("serving").await;
    let proxy = json!({
        "protocol": "http", "host": "127.0.0.1", "port": 9,
        "auth": {"username": "someone", "password": PROXY_PASSWORD},
    });
    let _proxied =
        here.account(AccountSettings::new("proxied").priority(90).with("proxy", proxy)).await;
    let key = here.key().await;
    assert_eq!(here.send(&Request::messages(&key.secret, streamed())).await.status, 200);
    let limited = Limited::make(&here).await;
    let records = settled(&here, 3).await;
    let used = totals(&here, Scope::Key(&key.id));
    let token = log_in(&here).await;
    let (stood, told) = (limited.standing(&here, &token).await, told(&here, &token).await);
    assert!(here.stop());

    let file = here.data_dir().join("relay.export");
    let file = file.to_str().unwrap();
    let (right, wrong) = (here.data_dir().join("right"), here.data_dir().join("wrong"));
    std::fs::write(&right, "correct horse battery\n").unwrap();
    std::fs::write(&wrong, "incorrect horse battery\n").unwrap();
    let (right, wrong) = (right.to_str().unwrap(), wrong.to_str().unwrap());
    let exported = here.command(&["export", file, "--passphrase-file", right]).await;
    assert!(exported.success, "{}", exported.stderr);
    let again = here.command(&["export", file, "--passphrase-file", right]).await;
    assert!(!again.success, "a file is not written over");
    let bytes = std::fs::read(file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for secret in [account.upstream_key.as_str(), PROXY_PASSWORD, &key.id, "argon2", "serving"] {
        assert!(!text.contains(secret), "{secret} can be read in the file");
    }

    let mut there = Relay::with(to).without("ADMIN_PASSWORD").prepare();
    let refused = there.command(&["import", file, "--passphrase-file", wrong]).await;
    assert!(!refused.success && refused.stderr.contains("passphrase"), "{}", refused.stderr);
    let short = format!("{file}.short");
    std::fs::write(&short, &bytes[..bytes.len() - 7]).unwrap();
    let refused = there.command(&["import", &short, "--passphrase-file", right]).await;
    assert!(!refused.success && refused.stderr.contains("cut short"), "{}", refused.stderr);

    let imported = there.command(&["import", file, "--passphrase-file", right]).await;
    assert!(imported.success, "{}", imported.stderr);
    let state = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("state")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(state(&imported.stdout), state(&exported.stdout));
    assert!(imported.stdout.contains("in the store: the same"), "{}", imported.stdout);
    for secret in [account.upstream_key.as_str(), PROXY_PASSWORD] {
        let told = format!("{}{}{}", imported.stdout, imported.stderr, exported.stderr);
        assert!(!told.contains(secret), "{told}");
        for (name, kept) in crate::stored::everything(&there) {
            assert!(!String::from_utf8_lossy(&kept).contains(secret), "{secret} in {name}");
        }
    }
    let refused = there.command(&["import", file, "--passphrase-file", right]).await;
    assert!(!refused.success && refused.stderr.contains("--merge"), "{}", refused.stderr);
    let merged = there.command(&["import", file, "--passphrase-file", right, "--merge"]).await;
    assert!(merged.success, "{}", merged.stderr);
    let sections = merged.stdout.lines().filter(|line| line.contains("left as they were"));
    // Of limits that follow from counters nothing is in the way, however often they are taken in.
    let sections = sections.filter(|line| !line.starts_with("limits in use"));
    let changed: Vec<_> = sections.filter(|line| !line.contains(" 0 added")).collect();
    assert!(changed.is_empty(), "{changed:?}");

    assert_eq!(crate::stored::records(&there), records);
    assert_eq!(totals(&there, Scope::Key(&key.id)), used);
    there.run().await;
    let token = log_in(&there).await;
    assert_eq!(limited.standing(&there, &token).await, stood);
    assert_eq!(self::told(&there, &token).await, told);
    assert_eq!(there.send(&Request::messages(&key.secret, streamed())).await.status, 200);
    assert_eq!(
        account.received().len(),
        4,
        "an old key, on an account whose secret was sealed anew"
    );
    limited.is_nearly_used_up(&there).await;
}

/// A key in a group with limits, each nearly used up, and a token of automation.
struct Limited {
    key: ApiKey,
    restarted: ApiKey,
    group: String,
    token: String,
}

impl Limited {
    async fn make(relay: &Relay) -> Self {
        let limits = json!({"rateLimitWindow": 60, "rateLimitRequests": 2, "weeklyCostLimit": 9});
        let group = json!({"name": "team", "totalCostLimit": 99, "weeklyOpusCostLimit": 99});
        let group = made(relay, "/api/v2/groups", &group).await["group"]["id"].clone();
        let mut fields = limits;
        fields["groupId"] = group.clone();
        fields["weeklyOpusCostLimit"] = json!(5);
        let key = relay.key_with(fields).await;
        let restarted = relay.key_with(json!({"totalCostLimit": 50})).await;
        for key in [&key, &restarted] {
            let request = Request::messages(&key.secret, streamed());
            assert_eq!(relay.send(&request).await.status, 200);
        }
        let path = format!("/api/v2/keys/{}/reset-limits", restarted.id);
        assert_eq!(relay.admin("POST", &path, &Value::Null).await.status, 200);
        let token = json!({"name": "deploy", "scopes": ["read"]});
        let token = made(relay, "/api/v2/admin-tokens", &token).await["secret"].clone();
        let path = "/api/v2/prices/a-model-of-ours";
        let price = json!({"standard": {"input": 4, "output": 4}});
        assert_eq!(relay.admin("PUT", path, &price).await.status, 200);
        let text = |value: Value| value.as_str().unwrap().to_owned();
        Self { key, restarted, group: text(group), token: text(token) }
    }

    /// How their limits stand.
    async fn standing(&self, relay: &Relay, token: &str) -> Vec<Value> {
        let mut found = Vec::new();
        for path in [
            format!("/api/v2/keys/{}/limits", self.key.id),
            format!("/api/v2/keys/{}/limits", self.restarted.id),
            format!("/api/v2/groups/{}/limits", self.group),
        ] {
            found.push(shown(relay, token, &path).await["limits"].clone());
        }
        assert!(found.iter().all(Value::is_array), "{found:?}");
        found
    }

    /// One more request, and no other.
    async fn is_nearly_used_up(&self, relay: &Relay) {
        for status in [200, 429] {
            let answer = relay.send(&Request::messages(&self.key.secret, streamed())).await;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        let request = Request::get("/api/v2/groups")
            .header("authorization", &format!("Bearer {}", self.token));
        let answer = relay.send(&request).await;
        assert_eq!(answer.status, 200, "an old token: {}", answer.text());
    }
}

/// With the password of the first installation, on whichever.
async fn log_in(relay: &Relay) -> String {
    let body = json!({"username": "admin", "password": ADMIN_PASSWORD}).to_string();
    let answer = relay.send(&Request::post("/api/v2/auth/admin/login", body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"].as_str().unwrap().to_owned()
}

async fn shown(relay: &Relay, token: &str, path: &str) -> Value {
    let request = Request::get(path).header("authorization", &format!("Bearer {token}"));
    let answer = relay.send(&request).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn made(relay: &Relay, path: &str, body: &Value) -> Value {
    let answer = relay.admin("POST", path, body).await;
    assert_eq!(answer.status, 201, "{path}: {}", answer.text());
    answer.json()
}

/// What an operator is told of the past and of what is set: the trail, prices, statistics.
async fn told(relay: &Relay, token: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for (path, field) in [
        ("/api/v2/audit?action=key.", "entries"),
        ("/api/v2/prices/a-model-of-ours", "price"),
        ("/api/v2/service-rates", "rates"),
        ("/api/v2/stats/usage?by=key,model,day", "rows"),
    ] {
        let answer = shown(relay, token, path).await;
        assert!(!answer[field].is_null(), "{path}: {answer}");
        found.push(answer[field].clone());
    }
    found
}
