//! Events reach store and webhooks, in their order and once each, and nobody waits for them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use relay_domain::{KeyId, LimitKind, LimitScope, LimitState, Timestamp};
use relay_store::MockEventRepository;
use relay_testkit::eventually;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use tokio_util::task::TaskTracker;

use super::*;
use crate::SystemClock;

const SECRET: &str = "a secret of the receiver's";

fn event(percent: u8) -> Event {
    let scope = LimitScope::Key(KeyId::try_from("k").unwrap());
    let state =
        LimitState { limit: LimitKind::DailyCost, used: 8, held: 0, allowed: 10, resets_at: None };
    Event {
        at: Timestamp::from_millis(7),
        kind: EventKind::BudgetThreshold { scope, percent, state },
    }
}

fn alerts(repository: MockEventRepository, urls: &[String]) -> (Alerts, AlertWork) {
    let urls = urls.iter().map(|url| WebhookUrl::parse(url, true).unwrap()).collect();
    Alerts::new(AlertParts {
        repository: Arc::new(repository),
        clock: Arc::new(SystemClock),
        webhooks: Some(WebhookConfig { urls, secret: SECRET.into(), allow_private: true }),
    })
}

/// A receiver that answers the next requests with these, and then with 200; and what it got.
async fn receiver(answers: &[&'static str]) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&got);
    let mut answers: VecDeque<_> = answers.iter().copied().collect();
    TaskTracker::new().spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = String::new();
            let mut part = [0; 4096];
            while !text.contains("\r\n\r\n") || !text.ends_with('}') {
                let n = stream.read(&mut part).await.unwrap();
                text.push_str(std::str::from_utf8(&part[..n]).unwrap());
            }
            seen.lock().unwrap().push(text);
            let head = answers.pop_front().unwrap_or("200 OK");
            let answer =
                format!("HTTP/1.1 {head}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, got)
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn events_are_told_in_order_signed_and_again_after_a_failure() {
    let (address, got) = receiver(&["503 Service Unavailable"]).await;
    let mut repository = MockEventRepository::new();
    repository.expect_append().returning(|_| Ok(()));
    let (alerts, work) = alerts(repository, &[format!("http://{address}/hook?t=1")]);
    let closing = CancellationToken::new();
    let working = TaskTracker::new().spawn(work.run(closing.clone()));
    for percent in [50, 80] {
        alerts.tell(event(percent));
    }
    eventually("three requests", async || got.lock().unwrap().len() == 3).await;
    let got = got.lock().unwrap().clone();
    let percents: Vec<_> = got.iter().map(|request| body(request)["percent"].clone()).collect();
    assert_eq!(percents, [50, 50, 80]);
    assert_eq!(body(&got[0])["id"], body(&got[1])["id"], "it is known by its id");
    assert!(got[0].starts_with("POST /hook?t=1 HTTP/1.1\r\n"), "{}", got[0]);
    let (head, sent) = got[0].split_once("\r\n\r\n").unwrap();
    let signature = head.lines().find_map(|line| line.strip_prefix("x-relay-signature: ")).unwrap();
    let seconds = signature.split_once(',').unwrap().0.strip_prefix("t=").unwrap();
    let expected =
        relay_crypto::sign_webhook(&SECRET.into(), seconds.parse().unwrap(), sent.as_bytes());
    assert_eq!(signature, expected);
    closing.cancel();
    working.await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_not_tried_again() {
    let (there, never) = receiver(&[]).await;
    let location: &'static str =
        format!("307 Temporary Redirect\r\nlocation: http://{there}/").leak();
    let (address, got) = receiver(&[location]).await;
    let mut repository = MockEventRepository::new();
    repository.expect_append().returning(|_| Ok(()));
    let (alerts, work) = alerts(repository, &[format!("http://{address}/")]);
    TaskTracker::new().spawn(work.run(CancellationToken::new()));
    alerts.tell(event(50));
    alerts.tell(event(80));
    eventually("the next event", async || got.lock().unwrap().len() == 2).await;
    assert_eq!(body(&got.lock().unwrap()[1])["percent"], 80);
    assert!(never.lock().unwrap().is_empty());
    let reports = alerts.test_webhooks().await;
    assert_eq!((reports[0].status, reports[0].error.clone()), (Some(200), None));
    assert_eq!(body(&got.lock().unwrap()[2])["type"], "webhook_test");
}

#[tokio::test]
async fn a_name_that_leads_to_a_refused_address_is_not_connected_to() {
    let (address, got) = receiver(&[]).await;
    // As if the name had led elsewhere when it was configured.
    let url = WebhookUrl::parse(&format!("http://localhost:{}/", address.port()), true).unwrap();
    let post = Post::new(SECRET.into(), false);
    let letter =
        Letter { id: EventId::first_at(Timestamp::EPOCH), body: Bytes::from_static(b"{}") };
    let refused = post.send(&url, &letter, Timestamp::EPOCH).await.unwrap_err();
    assert!(matches!(refused, post::PostError::Refused(_)), "{refused:?}");
    assert!(!refused.may_pass());
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_finds_the_queues_full_is_counted_and_nobody_waits() {
    let (alerts, _idle) = alerts(MockEventRepository::new(), &["http://127.0.0.1:9/".to_owned()]);
    for _ in 0..BACKLOG {
        alerts.tell(event(50));
    }
    assert_eq!(alerts.counts().missed, 0);
    alerts.tell(event(50));
    assert_eq!(alerts.counts().missed, 2, "by the store and by the webhook");
}

#[tokio::test]
async fn what_waits_is_written_when_relay_stops_even_after_a_failure() {
    let is_away = Arc::new(AtomicBool::new(true));
    let written: Arc<Mutex<Vec<RecordedEvent>>> = Arc::default();
    let mut repository = MockEventRepository::new();
    let (away, kept) = (Arc::clone(&is_away), Arc::clone(&written));
    repository.expect_append().returning(move |events| {
        if away.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is away".into()));
        }
        kept.lock().unwrap().extend_from_slice(events);
        Ok(())
    });
    let (alerts, work) = alerts(repository, &[]);
    let closing = CancellationToken::new();
    let working = TaskTracker::new().spawn(work.run(closing.clone()));
    alerts.tell(event(50));
    eventually("the first try", async || !is_away.load(Ordering::SeqCst)).await;
    alerts.tell(event(80));
    closing.cancel();
    working.await.unwrap();
    let written = written.lock().unwrap();
    assert_eq!(written.len(), 2, "{written:?}");
    assert!(written[0].id < written[1].id, "in their order, though at one moment");
}

fn unpriced(name: &str) -> Event {
    let kind = EventKind::ModelUnpriced {
        model: name.try_into().unwrap(),
        key: KeyId::try_from("k").unwrap(),
        account: None,
        treatment: relay_domain::UnpricedTreatment::Unknown,
    };
    Event { at: Timestamp::from_millis(7), kind }
}

#[tokio::test]
async fn what_is_told_once_a_day_is_told_by_the_first_instance_alone() {
    let (address, got) = receiver(&[]).await;
    let mut repository = MockEventRepository::new();
    repository.expect_append().returning(|_| Ok(()));
    // Another instance was first with one of them, and the store is away for the other at first.
    let mut answers =
        VecDeque::from([Ok(false), Err(StoreError::Unavailable("it is away".into())), Ok(true)]);
    repository.expect_append_of_the_day().times(3).returning(move |_| answers.pop_front().unwrap());
    let (alerts, work) = alerts(repository, &[format!("http://{address}/")]);
    let closing = CancellationToken::new();
    let working = TaskTracker::new().spawn(work.run(closing.clone()));
    alerts.tell(unpriced("another-was-first"));
    alerts.tell(unpriced("this-one-is"));
    eventually("it is told", async || !got.lock().unwrap().is_empty()).await;
    alerts.tell(event(50));
    eventually("the next event", async || got.lock().unwrap().len() == 2).await;
    closing.cancel();
    working.await.unwrap();
    let got = got.lock().unwrap();
    assert_eq!(body(&got[0])["model"], "this-one-is");
    assert_eq!(body(&got[1])["percent"], 50);
}
