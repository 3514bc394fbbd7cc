//! A fresh install: closed, with no door that everybody knows, and slow for whoever tries the lock.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use relay_e2e::{ADMIN_PASSWORD, Answer, Relay, RelaySettings, Request, Store, on_both_stores};
use serde_json::json;

use crate::conversation::whole;
use crate::redis_client::RedisClient;

on_both_stores![
    nothing_known_opens_it,
    guessing_is_slow_and_a_made_up_address_does_not_help,
    behind_a_proxy_every_client_counts_alone,
    a_session_is_not_forged,
    no_other_site_calls_it,
    sample_values_are_refused_all_at_once,
    what_is_set_and_means_nothing_is_named_once,
];

const LOGIN: &str = "/api/v2/auth/admin/login";

/// As a user finds it who has set nothing.
fn untouched(store: Store) -> RelaySettings {
    Relay::with(store).without("ADMIN_USERNAME").without("ADMIN_PASSWORD").env("HOST", "")
}

fn login(username: &str, password: &str) -> Request {
    Request::post(LOGIN, json!({"username": username, "password": password}).to_string())
}

fn allowed_origin(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

async fn nothing_known_opens_it(store: Store) {
    let relay = untouched(store).start().await;
    assert!(relay.address().ip().is_loopback());
    let elsewhere = SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), relay.address().port()));
    assert!(TcpStream::connect(elsewhere).is_err(), "it listens on one address");
    for (username, password) in [
        ("cr_admin", "cr_admin"),
        ("admin", "admin"),
        ("cr_admin", "admin123"),
        ("cr_admin", "CHANGE-THIS-JWT-SECRET-IN-PRODUCTION"),
    ] {
        let answer = relay.send(&login(username, password)).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(!answer.text().contains(password), "{}", answer.text());
    }
    for key in ["cr_your_api_key_here", "cr_", "sk-ant-x", "CHANGE-THIS", "null", "undefined"] {
        let answer = relay.send(&Request::messages(key, whole())).await;
        assert_eq!(answer.status, 401, "{key}: {}", answer.text());
        assert!(key.len() < 8 || !answer.text().contains(key), "{}", answer.text());
    }
    for path in ["/", "/admin", "/setup", "/api/v2/setup", "/metrics", "/web", "/admin-next/"] {
        assert_eq!(relay.send(&Request::get(path)).await.status, 404, "{path}");
    }
}

async fn guessing_is_slow_and_a_made_up_address_does_not_help(store: Store) {
    let relay = Relay::start(store).await;
    let mut refused = 0;
    for n in 0..20 {
        // Another name and another made-up address each time.
        let name = format!("name-{n}");
        let guess = login(&name, "wrong").header("x-forwarded-for", &format!("203.0.113.{n}"));
        let answer = relay.send(&guess).await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").is_some_and(|wait| wait != "0"));
            refused += 1;
        } else {
            assert_eq!(answer.status, 401, "{}", answer.text());
        }
    }
    assert!(refused >= 10, "only {refused} of 20 guesses were refused");
    assert!(!relay.printed().contains("203.0.113."), "nor is it logged: {}", relay.printed());
}

async fn behind_a_proxy_every_client_counts_alone(store: Store) {
    let relay = Relay::with(store).env("TRUST_PROXY", "true").start().await;
    let from = |addresses: &str, password: &str| {
        login("admin", password).header("x-forwarded-for", addresses)
    };
    for n in 0..5 {
        let guess = from(&format!("10.0.0.{n}, 203.0.113.7"), "wrong");
        assert_eq!(relay.send(&guess).await.status, 401);
    }
    let guess = from("10.0.0.9, 203.0.113.7", ADMIN_PASSWORD);
    assert_eq!(relay.send(&guess).await.status, 429, "what stands further left is made up");
    let other = relay.send(&from("203.0.113.8", ADMIN_PASSWORD)).await;
    assert_eq!(other.status, 200, "another client: {}", other.text());
    assert!(relay.printed().contains("203.0.113.7"), "refused logins say from where");
}

async fn a_session_is_not_forged(store: Store) {
    let relay = Relay::start(store).await;
    let token = "0123456789abcdef".repeat(4);
    if let Some(redis) = relay.redis() {
        // As v1 keeps its sessions, and as somebody would who can only write them.
        let mut client = RedisClient::connect(redis);
        let now = "2026-11-26T00:00:00.000Z";
        let name = format!("session:{token}");
        let fields = ["username", "admin", "loginTime", now, "lastActivity", now];
        let command: Vec<&str> = ["HSET", &name].into_iter().chain(fields).collect();
        client.text(&command);
    }
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.\
                    eyJ1c2VybmFtZSI6ImFkbWluIiwicm9sZSI6ImFkbWluIiwiaWF0IjowLCJleHAiOjk5OTk5OTk5OTl9.";
    for forged in [token.as_str(), unsigned] {
        for (header, value) in [
            ("authorization", format!("Bearer {forged}")),
            ("cookie", format!("adminToken={forged}")),
            ("x-admin-token", forged.to_owned()),
        ] {
            let answer = relay.send(&Request::get("/api/v2/keys").header(header, &value)).await;
            assert_eq!(answer.status, 401, "{header}: {}", answer.text());
            assert!(!answer.text().contains(forged), "{}", answer.text());
        }
    }
    assert!(!relay.printed().contains(&token));
}

async fn no_other_site_calls_it(store: Store) {
    const SITE: &str = "https://console.example";
    let ask = |method: &str, path: &str| {
        let request = Request::new(method, path).header("origin", SITE);
        if method == "OPTIONS" {
            request.header("access-control-request-method", "POST")
        } else {
            request
        }
    };
    // v1's switch alone lets in nobody.
    let closed = Relay::with(store).env("ENABLE_CORS", "true").start().await;
    let open = Relay::with(store).env("RELAY_CORS_ORIGINS", SITE).start().await;
    for path in ["/api/v2/keys", LOGIN, "/health", "/openapi.json"] {
        for method in ["OPTIONS", "GET"] {
            let answer = closed.send(&ask(method, path)).await;
            assert_eq!(allowed_origin(&answer), None, "{method} {path}");
            let answer = open.send(&ask(method, path)).await;
            assert_eq!(allowed_origin(&answer), Some(SITE), "{method} {path}");
        }
    }
    let key = open.key().await;
    for path in ["/v1/messages", "/api/v1/messages", "/v1/models", "/v1/messages/count_tokens"] {
        for method in ["OPTIONS", "GET", "POST"] {
            let answer = open.send(&ask(method, path).header("x-api-key", &key.secret)).await;
            assert_eq!(allowed_origin(&answer), None, "{method} {path}");
            assert!(answer.status != 200 || method == "GET", "{method} {path}");
        }
    }
    let health = closed.send(&Request::get("/health")).await;
    assert_eq!(health.header("x-content-type-options"), Some("nosniff"));
    assert!(health.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
}

async fn sample_values_are_refused_all_at_once(store: Store) {
    let relay = Relay::with(store)
        .env("ENCRYPTION_KEY", "CHANGE-THIS-32-CHARACTER-KEY-NOW")
        .env("JWT_SECRET", "CHANGE-THIS-JWT-SECRET-IN-PRODUCTION")
        .env("ADMIN_PASSWORD", "changeme")
        .env("RELAY_WORKRES", "4")
        .prepare();
    for words in [&["serve"][..], &["config", "check"], &["config", "check", "--json"]] {
        let output = relay.command(words).await;
        assert_eq!(output.code, Some(64), "{words:?}: {}", output.stderr);
        for setting in ["secrets.encryption_key", "secrets.jwt_secret", "admin.password"] {
            assert!(output.stderr.contains(setting), "{words:?}, {setting}: {}", output.stderr);
        }
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(!said.contains("CHANGE-THIS-32") && !said.contains("changeme"), "{said}");
        assert!(words[0] == "serve" || said.contains("RELAY_WORKERS meant?"), "{said}");
    }
    let relay = Relay::with(store).env("RELAY_WORKRES", "4").prepare();
    let check = relay.command(&["config", "check"]).await;
    assert!(check.success && check.stdout.contains("RELAY_WORKRES"), "{}", check.stdout);
    assert_eq!(relay.command(&["config", "check", "--strict"]).await.code, Some(64));
    assert_eq!(std::fs::read_dir(relay.data_dir()).unwrap().count(), 0, "nothing was started");
}

async fn what_is_set_and_means_nothing_is_named_once(store: Store) {
    let relay = Relay::with(store)
        .env("LDAP_BIND_PASSWORD", "canary-ldap-password")
        .env("WEB_TITLE", "My relay")
        .env("NODE_ENV", "production")
        .start()
        .await;
    let printed = relay.printed();
    let lines: Vec<_> = printed.lines().filter(|line| line.contains("WEB_TITLE")).collect();
    assert!(lines.len() == 1 && lines[0].contains("LDAP_BIND_PASSWORD"), "{printed}");
    let shown = relay.command(&["config", "show", "--json"]).await;
    let ignored = &shown.json()["ignored"];
    assert_eq!(ignored.as_array().unwrap().len(), 2, "{ignored}");
    for said in [&printed, &shown.stdout, &shown.stderr] {
        assert!(!said.contains("canary-ldap-password"), "{said}");
    }
    let health = relay.send(&Request::get("/health")).await.json();
    assert_eq!(health["environment"], "production");
}
