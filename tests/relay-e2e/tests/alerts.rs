//! What an operator hears of: once each, from the events endpoint and from a webhook that was away.

use std::sync::{Arc, Mutex};

use relay_e2e::{Relay, Request, Store, on_both_stores};
use relay_sandbox::{Step, Usage};
use relay_testkit::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::conversation::{body, whole};
use crate::stored::settled;

on_both_stores![
    every_threshold_is_told_once_also_to_a_receiver_that_was_away,
    a_metadata_address_is_told_nothing,
    an_unpriced_model_is_told_of_once_also_after_a_restart,
];

/// Takes what a webhook is told, on `listener`.
fn receive(listener: TcpListener) -> Arc<Mutex<Vec<Value>>> {
    let got: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&got);
    TaskTracker::new().spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut text = String::new();
            let mut part = [0; 4096];
            let body = loop {
                let n = stream.read(&mut part).await.unwrap();
                text.push_str(std::str::from_utf8(&part[..n]).unwrap());
                let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
                match body.and_then(|body| serde_json::from_str(body).ok()) {
                    Some(body) => break body,
                    None => assert!(0 < n, "it ended early: {text}"),
                }
            };
            assert!(text.contains("\r\nx-relay-signature: t="), "{text}");
            seen.lock().unwrap().push(body);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    });
    got
}

async fn thresholds(relay: &Relay) -> Vec<Value> {
    let path = "/api/v2/events?type=budget_threshold";
    let answer = relay.admin("GET", path, &Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut events = answer.json()["events"].as_array().unwrap().clone();
    events.reverse();
    events
}

async fn every_threshold_is_told_once_also_to_a_receiver_that_was_away(store: Store) {
    // Bound once to learn a port, and again when the receiver is back.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let relay = Relay::with(store)
        .env("RELAY_WEBHOOK_URLS", &format!("http://{address}/hook"))
        .env("RELAY_WEBHOOK_SECRET", "a secret of the receiver's")
        .env("RELAY_WEBHOOK_ALLOW_PRIVATE", "true")
        .start()
        .await;
    let account = relay.account("a").await;
    let key = relay.key_with(json!({"dailyCostLimit": 1.2})).await;
    // Three dollars a million: six cents each, the last of twenty the last of the budget.
    for count in 0..20 {
        account.script(Step::new().usage(Usage {
            input: Some(20_000),
            output: Some(0),
            ..Usage::default()
        }));
        let answer = relay.send(&Request::messages(&key.secret, whole())).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        settled(&relay, count + 1).await;
    }
    eventually("four events", async || thresholds(&relay).await.len() == 4).await;
    let events = thresholds(&relay).await;
    let percents: Vec<_> = events.iter().map(|event| event["percent"].clone()).collect();
    assert_eq!(percents, [50, 80, 95, 100]);
    assert_eq!((&events[0]["key"], &events[0]["limit"]), (&json!(key.id), &json!("daily_cost")));
    assert_eq!(events[3]["allowed"], 1_200_000_000, "{}", events[3]);

    let got = receive(TcpListener::bind(address).await.unwrap());
    eventually("four webhooks", async || 4 <= got.lock().unwrap().len()).await;
    let told: Vec<_> = got.lock().unwrap().iter().map(|event| event["id"].clone()).collect();
    let kept: Vec<_> = events.iter().map(|event| event["id"].clone()).collect();
    assert_eq!(told, kept, "in their order, once each, under one name");
    let test = relay.admin("POST", "/api/v2/webhooks/test", &Value::Null).await;
    assert_eq!(test.json()["webhooks"][0]["status"], 204, "{}", test.text());
    let got = got.lock().unwrap();
    assert_eq!((got.len(), &got[4]["type"]), (5, &json!("webhook_test")));
}

async fn a_metadata_address_is_told_nothing(store: Store) {
    let relay = Relay::with(store)
        // To the system's resolver this is 169.254.169.254; to a parser of addresses it is none.
        .env("RELAY_WEBHOOK_URLS", "http://2852039166/latest/meta-data")
        .env("RELAY_WEBHOOK_SECRET", "a secret of the receiver's")
        .env("RELAY_WEBHOOK_ALLOW_PRIVATE", "true")
        .start()
        .await;
    let test = relay.admin("POST", "/api/v2/webhooks/test", &Value::Null).await;
    let told = test.json()["webhooks"][0].clone();
    assert_eq!(told["status"], Value::Null, "{told}");
    assert!(told["error"].as_str().is_some_and(|why| why.contains("metadata")), "{told}");
}

async fn an_unpriced_model_is_told_of_once_also_after_a_restart(store: Store) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let got = receive(listener);
    let mut relay = Relay::with(store)
        .env("RELAY_WEBHOOK_URLS", &format!("http://{address}/hook"))
        .env("RELAY_WEBHOOK_SECRET", "a secret of the receiver's")
        .env("RELAY_WEBHOOK_ALLOW_PRIVATE", "true")
        .start()
        .await;
    let _account = relay.account("a").await;
    let key = relay.key().await;
    let told = || {
        let got = got.lock().unwrap();
        let models = got.iter().map(|event| event["model"].as_str().unwrap_or_default().to_owned());
        models.collect::<Vec<_>>()
    };
    let ask = async |relay: &Relay, model: &str| {
        let answer = relay.send(&Request::messages(&key.secret, body(model, false))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    ask(&relay, "claude-unheard-of").await;
    eventually("it is told", async || told() == ["claude-unheard-of"]).await;
    relay.kill9();
    relay.run().await;
    ask(&relay, "claude-unheard-of").await;
    // Events keep their order: when the next one is told, this one was looked at.
    ask(&relay, "claude-also-unheard-of").await;
    let expected = ["claude-unheard-of", "claude-also-unheard-of"];
    eventually("the other one is told", async || told().len() == 2).await;
    assert_eq!(told(), expected);
    let answer = relay.admin("GET", "/api/v2/events?type=model_unpriced", &Value::Null).await;
    assert_eq!(answer.json()["events"].as_array().unwrap().len(), 2, "{}", answer.text());
}
