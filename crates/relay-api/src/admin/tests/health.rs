//! The health endpoints, with and without a store.

use std::sync::Arc;
use std::time::Duration;

use relay_store::{ConfigVersion, MockLedger, StoreError};
use serde_json::json;

use super::fixture::{NOW, Office, memory};

#[tokio::test]
async fn all_is_well() {
    let office = Office::open().await;
    office.clock.advance(Duration::from_millis(1_500));
    let health = office.get("/health", None).await.expect(200).json();
    assert_eq!(
        health,
        json!({
            "status": "healthy", "service": "relay", "version": env!("CARGO_PKG_VERSION"),
            "timestamp": NOW.plus(Duration::from_millis(1_500)).to_string(), "uptime": 1.5,
            "environment": "test",
            "components": {"store": {"status": "healthy", "kind": "sqlite"}},
        })
    );
    assert_eq!(office.get("/livez", None).await.expect(200).json(), json!({"status": "live"}));
    assert_eq!(office.get("/readyz", None).await.expect(200).json(), json!({"status": "ready"}));
}

#[tokio::test]
async fn without_its_store_relay_lives_and_is_not_ready() {
    let refused = || StoreError::Unavailable("10.0.0.1 refused".into());
    for (told, is_there) in [("the store is away", false), ("the store takes no writes", true)] {
        let mut ledger = MockLedger::new();
        ledger.expect_is_ready().returning(move || Err(refused()));
        ledger.expect_version().returning(move || {
            if is_there { Ok(ConfigVersion { keys: 0, accounts: 0 }) } else { Err(refused()) }
        });
        unready(ledger, told).await;
    }
}

async fn unready(ledger: MockLedger, told: &str) {
    let mut stores = Office::open().await.stores;
    stores.ledger = Arc::new(ledger);
    let office = Office::on(stores, memory()).await;
    let health = office.get("/health", None).await.expect(503);
    assert!(!health.text.contains("10.0.0.1"));
    let health = health.json();
    assert_eq!(health["status"], "unhealthy");
    assert_eq!(health["components"]["store"]["status"], "unhealthy");
    let ready = office.get("/readyz", None).await.expect(503).json();
    assert_eq!(ready, json!({"status": told}));
    office.get("/livez", None).await.expect(200);
}

#[tokio::test]
async fn who_drains_is_not_ready() {
    let office = Office::open().await;
    office.draining.begin();
    let ready = office.get("/readyz", None).await.expect(503).json();
    assert_eq!(ready, json!({"status": "draining"}));
    office.get("/health", None).await.expect(200);
    office.get("/livez", None).await.expect(200);
}
