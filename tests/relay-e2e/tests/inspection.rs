//! What an operator is told about one account: whether it would be chosen, and whether it answers.

use relay_e2e::{AccountSettings, Relay, Request, Store, on_both_stores};
use relay_sandbox::{Step, Usage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::conversation::whole;
use crate::stored::settled;

on_both_stores![
    a_test_tells_every_phase_and_costs_nothing,
    a_test_says_where_it_failed,
    a_test_goes_through_the_proxy_and_never_around_it,
    availability_gives_every_filters_verdict,
    an_account_says_that_its_quota_is_used_up_until_it_is_raised,
];

async fn test(relay: &Relay, id: &str) -> Value {
    let path = format!("/api/v2/accounts/claude-console/{id}/test");
    let answer = relay.admin("POST", &path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn phases(report: &Value) -> Vec<(&str, bool)> {
    report["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| (phase["phase"].as_str().unwrap(), phase["ok"].as_bool().unwrap()))
        .collect()
}

async fn a_test_tells_every_phase_and_costs_nothing(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account("a").await;
    let report = test(&relay, &account.id).await;
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!((&report["verdict"], &report["status"]), (&json!("well"), &json!(200)));
    let names: Vec<_> = phases(&report).into_iter().filter(|(name, _)| *name != "lookup").collect();
    assert_eq!(names, [("connect", true), ("head", true), ("body", true)], "{report}");
    let request = account.the_request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/v1/models"));
    assert!(!report.to_string().contains(&account.upstream_key), "{report}");
    let records = relay.admin("GET", "/api/v2/requests", &Value::Null).await.json();
    assert_eq!(records["requests"], json!([]));
    let missing =
        relay.admin("POST", "/api/v2/accounts/claude-console/nobody/test", &Value::Null).await;
    assert_eq!(missing.status, 404);
}

async fn a_test_says_where_it_failed(store: Store) {
    let relay = Relay::start(store).await;
    let nobody = relay.unreachable_account("nobody").await;
    let report = test(&relay, &nobody.id).await;
    assert_eq!((&report["ok"], &report["verdict"]), (&json!(false), &json!("unreachable")));
    let found = phases(&report);
    assert_eq!(found.last(), Some(&("connect", false)), "{report}");

    // Somebody who takes the request and hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let created = relay
        .admin(
            "POST",
            "/api/v2/accounts/claude-console",
            &json!({"name": "rude", "apiUrl": url, "apiKey": "sk-x"}),
        )
        .await
        .json();
    let id = created["account"]["id"].as_str().unwrap().to_owned();
    let (report, ()) = tokio::join!(test(&relay, &id), async {
        let (mut peer, _) = listener.accept().await.unwrap();
        let _read = peer.read(&mut [0; 1024]).await.unwrap();
    });
    assert_eq!(report["verdict"], "no_answer", "{report}");
    assert_eq!(phases(&report).last(), Some(&("head", false)), "{report}");

    let (refused, ()) = tokio::join!(test(&relay, &id), async {
        let (mut peer, _) = listener.accept().await.unwrap();
        let _read = peer.read(&mut [0; 1024]).await.unwrap();
        peer.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    });
    assert_eq!(
        (&refused["verdict"], &refused["status"]),
        (&json!("credential_refused"), &json!(401))
    );
}

async fn a_test_goes_through_the_proxy_and_never_around_it(store: Store) {
    let relay = Relay::start(store).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = proxy.local_addr().unwrap().port();
    let settings = AccountSettings::new("proxied")
        .with("proxy", json!({"protocol": "http", "host": "127.0.0.1", "port": port}));
    let account = relay.account(settings).await;
    let (report, asked) = tokio::join!(test(&relay, &account.id), async {
        let (mut peer, _) = proxy.accept().await.unwrap();
        let mut asked = vec![0; 1024];
        let read = peer.read(&mut asked).await.unwrap();
        peer.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&asked[..read]).into_owned()
    });
    assert!(asked.starts_with("CONNECT "), "{asked}");
    assert_eq!(report["verdict"], "unreachable", "{report}");
    assert_eq!(phases(&report).last(), Some(&("proxy", false)), "{report}");
    let told = |report: &Value| report["message"].as_str().unwrap().to_owned();
    assert!(told(&report).contains("its proxy was reached"), "{report}");
    let nowhere = json!({"protocol": "http", "host": "127.0.0.1", "port": 9});
    let alone = relay.account(AccountSettings::new("alone").with("proxy", nowhere)).await;
    let report = test(&relay, &alone.id).await;
    assert_eq!(report["verdict"], "unreachable", "{report}");
    assert!(told(&report).contains("its proxy could not be reached"), "{report}");
    assert!(account.received().is_empty() && alone.received().is_empty());
}

async fn an_account_says_that_its_quota_is_used_up_until_it_is_raised(store: Store) {
    let relay = Relay::start(store).await;
    let account = relay.account(AccountSettings::new("a").with("dailyQuota", json!(0.05))).await;
    let key = relay.key().await;
    let path = format!("/api/v2/accounts/claude-console/{}", account.id);
    let availability = format!("{path}/availability");
    let ask = async |path: &str| relay.admin("GET", path, &Value::Null).await.json();
    let is_well = async || {
        let (shown, found) = (ask(&path).await, ask(&availability).await);
        let shown = &shown["account"];
        assert_eq!(shown["status"], "active", "{shown}");
        assert!(shown["penalty"].is_null() && shown["quotaStoppedAt"].is_null(), "{shown}");
        assert_eq!(found["available"], true, "{found}");
    };
    is_well().await;
    account.script(Step::new().usage(Usage { output: Some(10_000), ..Usage::default() }));
    let spends = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(spends.status, 200, "{}", spends.text());
    settled(&relay, 1).await;
    let refused = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(refused.status, 429, "{}", refused.text());

    let (shown, found) = (ask(&path).await, ask(&availability).await);
    let listed = ask("/api/v2/accounts/claude-console").await;
    for shown in [&shown["account"], &listed["accounts"][0]] {
        assert_eq!(shown["status"], "quota_exceeded", "{shown}");
        assert_eq!(shown["errorMessage"], "its quota is used up");
        assert!(shown["quotaStoppedAt"].is_string(), "{shown}");
        assert_eq!(shown["penalty"]["until"], found["until"], "{shown}");
    }
    assert_eq!(found["available"], false, "{found}");
    assert!(found["until"].is_string(), "{found}");
    let quota = found["filters"].as_array().unwrap().iter().find(|f| f["filter"] == "quota");
    assert_eq!(quota.unwrap()["code"], "quota_spent", "{found}");

    let raised = relay.admin("PUT", &path, &json!({"dailyQuota": 5})).await;
    assert_eq!(raised.status, 200, "{}", raised.text());
    is_well().await;
}

async fn availability_gives_every_filters_verdict(store: Store) {
    let relay = Relay::start(store).await;
    let settings = AccountSettings::new("a").models(json!({"claude-sonnet-4-5-20250929": ""}));
    let account = relay.account(settings).await;
    let path = format!("/api/v2/accounts/claude-console/{}/availability", account.id);
    let ask = async |path: &str| relay.admin("GET", path, &Value::Null).await.json();
    let well = ask(&path).await;
    assert_eq!(well["available"], true, "{well}");
    assert!(well["reason"].is_null() && well["until"].is_null(), "{well}");
    let filters: Vec<_> = well["filters"].as_array().unwrap().iter().collect();
    assert!(filters.len() >= 8 && filters.iter().all(|filter| filter["passed"] == true), "{well}");

    let other = ask(&format!("{path}?model=claude-opus-4-1")).await;
    assert_eq!(other["available"], false, "{other}");

    let key = relay.key().await;
    account.script(Step::failing(429, "rate_limit_error", "slow down").header("retry-after", "30"));
    let answer = relay.send(&Request::messages(&key.secret, whole())).await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    let resting = ask(&path).await;
    assert_eq!(resting["available"], false, "{resting}");
    assert!(resting["reason"].as_str().unwrap().contains("429"), "{resting}");
    let rest = resting["filters"].as_array().unwrap().iter().find(|f| f["filter"] == "rest");
    assert_eq!(rest.unwrap()["until"], resting["until"], "{resting}");
    assert!(resting["until"].is_string(), "{resting}");
}
