//! What an operator does takes effect with the next request.

use std::time::Duration;

use relay_domain::Timestamp;
use relay_e2e::{Relay, Request, Store, on_both_stores};
use relay_sandbox::Step;
use relay_testkit::eventually;
use serde_json::{Value, json};

use crate::conversation::whole;
use crate::stored::{revoke, the_record};

on_both_stores![
    what_is_created_is_used_by_the_next_request,
    what_is_revoked_is_refused_by_the_next_request,
    keys_end_when_they_say,
    nothing_is_open_without_a_login,
    health_is_told,
    what_happened_to_a_request_can_be_asked,
    what_can_be_no_id_is_not_found_or_malformed,
];

/// Whatever stands where an id belongs: what no id can be is malformed, what could be one is not there.
async fn what_can_be_no_id_is_not_found_or_malformed(store: Store) {
    let relay = Relay::start(store).await;
    let _account = relay.account("an account").await;
    relay.key().await;
    let long = "a".repeat(65);
    let longer = "%E6".repeat(3_000);
    let texts = [
        ("a%20b", 400),
        ("a:b", 400),
        ("a%3Ab", 400),
        ("%00", 400),
        ("a%0Ab", 400),
        ("%FF", 400),
        ("%E6%97", 400),
        (long.as_str(), 400),
        (longer.as_str(), 400),
        ("a%2Fb", 404),
        ("..%2F..", 404),
        ("%2A", 404),
        ("%E6%97%A5", 404),
        ("%F0%9F%94%91", 404),
        ("%25", 404),
        // Names that v1 has for indexes beside the things themselves.
        ("hash_map", 404),
        ("index", 404),
        ("migrated", 404),
    ];
    let things = [
        ("/api/v2/keys", &["GET", "PUT", "DELETE"][..], &["/limits", "/stats"][..]),
        (
            "/api/v2/accounts/claude-console",
            &["GET", "PUT", "DELETE"],
            &["/availability", "/stats"],
        ),
        ("/api/v2/accounts/codex", &["GET", "PUT", "DELETE"], &[]),
        ("/api/v2/groups", &["GET", "PUT", "DELETE"], &["/limits"]),
        ("/api/v2/account-groups", &["GET", "PUT", "DELETE"], &[]),
        ("/api/v2/admin-tokens", &["DELETE"], &[]),
        ("/api/v2/requests", &["GET"], &[]),
    ];
    for (text, expected) in texts {
        for (path, methods, below) in things {
            let own = methods.iter().map(|method| (*method, ""));
            for (method, below) in own.chain(below.iter().map(|below| ("GET", *below))) {
                let body = if method == "PUT" { json!({"description": "d"}) } else { Value::Null };
                let answer = relay.admin(method, &format!("{path}/{text}{below}"), &body).await;
                // A request's id has a form of its own.
                let expected = if path == "/api/v2/requests" { 400 } else { expected };
                let told = answer.text();
                assert_eq!(answer.status, expected, "{method} {path}/{text}{below}: {told}");
            }
        }
    }
}

async fn what_is_created_is_used_by_the_next_request(store: Store) {
    let relay = Relay::start(store).await;
    let me = relay.admin("GET", "/api/v2/auth/me", &Value::Null).await;
    assert_eq!((me.status, &me.json()["username"]), (200, &json!("admin")));
    let key = relay.key().await;
    let before = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(before.status, 529, "{}", before.text());
    let account = relay.account("a").await;
    let after = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(after.status, 200, "{}", after.text());
    assert_eq!(account.received().len(), 1);

    // By the command line, while the server runs.
    let created =
        relay.command(&["key", "create", "--name", "from the terminal", "--json"]).await.json();
    let answer = relay.send(&Request::messages(created["key"].as_str().unwrap(), whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let other = relay_e2e::Upstream::start().await;
    let url = format!("http://{}", other.sandbox().address());
    let words = [
        "account",
        "add",
        "--name",
        "b",
        "--url",
        &url,
        "--key",
        "sk-b",
        "--priority",
        "1",
        "--json",
    ];
    let added = relay.command(&words).await.json();
    // Another conversation: the first is bound to the first account.
    let fresh = whole().replace("Say hello", "Say goodbye");
    let answer = relay.send(&Request::messages(&key.secret, fresh)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(other.sandbox().requests().requests.len(), 1, "it is preferred at once");

    let listed = |list: Value, name: &str| -> Vec<String> {
        let ids = list[name].as_array().unwrap().iter();
        ids.map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    };
    let keys = relay.admin("GET", "/api/v2/keys", &Value::Null).await;
    let keys = listed(keys.json(), "keys");
    assert!(keys.contains(&key.id) && keys.contains(&created["id"].as_str().unwrap().to_owned()));
    let accounts = relay.admin("GET", "/api/v2/accounts/claude-console", &Value::Null).await;
    let accounts = listed(accounts.json(), "accounts");
    assert!(
        accounts.contains(&account.id)
            && accounts.contains(&added["id"].as_str().unwrap().to_owned())
    );
}

async fn what_is_revoked_is_refused_by_the_next_request(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let other = relay.key().await;
    // A stream that has begun goes on; what comes after is refused.
    account.script(Step::new().deltas(9).delta_ms(50));
    let mut running =
        relay.open(&Request::messages(&key.secret, crate::conversation::streamed())).await;
    running.read_until("event: content_block_delta", 1).await;
    revoke(&relay, &key.id);
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()["error"]["type"], "authentication_error");
    let answer = relay.send(&Request::messages(&other.secret, whole())).await;
    assert_eq!(answer.status, 200, "another key: {}", answer.text());
    assert_eq!(running.finish().await.end, relay_e2e::End::Clean);
}

async fn keys_end_when_they_say(store: Store) {
    let relay = Relay::start(store).await;
    let _account = relay.account("a").await;
    let words = ["key", "create", "--name", "k", "--expires", "1m", "--json"];
    let later = relay.command(&words).await.json();
    let answer = relay.send(&Request::messages(later["key"].as_str().unwrap(), whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let health = relay.send(&Request::get("/health")).await.json();
    let now = Timestamp::parse_rfc3339(health["timestamp"].as_str().unwrap()).unwrap();
    let soon = now.plus(Duration::from_secs(2)).to_string();
    let key = relay.key_with(json!({"expiresAt": soon})).await;
    let mut answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    eventually("it ends", async || {
        answer = relay.send(&Request::messages(&key.secret, whole())).await;
        answer.status != 200
    })
    .await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "api_key_expired");
}

async fn nothing_is_open_without_a_login(store: Store) {
    let relay = Relay::start(store).await;
    let key = relay.key().await;
    let routes = [
        ("GET", "/api/v2/auth/me"),
        ("GET", "/api/v2/keys"),
        ("POST", "/api/v2/keys"),
        ("GET", "/api/v2/accounts/claude-console"),
        ("POST", "/api/v2/accounts/claude-console"),
        ("GET", "/api/v2/requests"),
        ("GET", "/api/v2/prices"),
        ("POST", "/api/v2/prices/reload"),
        ("GET", "/api/v2/service-rates"),
    ];
    let bearer = |token: &str| Some(format!("Bearer {token}"));
    let forged = "eyJhbGciOiJub25lIn0.eyJ1c2VybmFtZSI6ImFkbWluIn0.";
    for (method, path) in routes {
        for credential in [None, bearer("nonsense"), bearer(forged), bearer(&key.secret)] {
            let mut request = Request::new(method, path);
            if let Some(credential) = &credential {
                request = request.header("authorization", credential);
            }
            let request = if method == "POST" {
                request.header("content-type", "application/json").body("{}")
            } else {
                request
            };
            let answer = relay.send(&request).await;
            assert_eq!(
                answer.status,
                401,
                "{method} {path} with {credential:?}: {}",
                answer.text()
            );
        }
    }
    let wrong = json!({"username": "admin", "password": "not the password"}).to_string();
    let answer = relay.send(&Request::post("/api/v2/auth/admin/login", wrong)).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(relay.send(&Request::get("/api/v2/unheard-of")).await.status, 404);
}

async fn health_is_told(store: Store) {
    let relay = Relay::start(store).await;
    for path in ["/health", "/livez", "/readyz"] {
        assert_eq!(relay.send(&Request::get(path)).await.status, 200, "{path}");
    }
    let health = relay.send(&Request::get("/health")).await.json();
    assert_eq!(health["status"], "healthy");
    let kind = if store == Store::Sqlite { "sqlite" } else { "redis" };
    assert_eq!(health["components"]["store"]["kind"], kind);
}

async fn what_happened_to_a_request_can_be_asked(store: Store) {
    let relay = Relay::start(store).await;
    let (account, key) = (relay.account("a").await, relay.key().await);
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    let record = the_record(&relay).await;
    let id = answer.header("x-relay-request-id").unwrap();
    assert_eq!(record["id"], id, "the answer says under which id it is recorded");
    let shown = relay.admin("GET", &format!("/api/v2/requests/{id}"), &Value::Null).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let shown = &shown.json()["request"];
    assert_eq!((&shown["keyId"], &shown["accountId"]), (&json!(key.id), &json!(account.id)));
    assert_eq!((&shown["outcome"], &shown["status"]), (&json!("completed"), &json!(200)));
    assert_eq!(shown["usage"]["inputTokens"], record["usage"]["input"]);
    assert_eq!(shown["costNanos"], record["cost"]);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 1);
    let listed = relay.admin("GET", "/api/v2/requests?limit=5", &Value::Null).await.json();
    assert_eq!(listed["requests"][0]["id"], id);
}
