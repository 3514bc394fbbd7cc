use std::time::Instant;

use http::HeaderMap;
use relay_crypto::{KeyHasher, Keyring, SealFormat};
use relay_domain::{Calendar, KeyDigest, Limits};
use relay_pricing::PriceBook;
use relay_protocol::anthropic::scan_request;
use relay_store::Stores;
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use relay_testkit::api_key;
use tokio_util::task::TaskTracker;

use super::*;
use crate::upstream_url::Endpoint;
use crate::{Engine, EngineConfig, EngineParts, SystemClock};

const SECRET: &str = "cr_0123456789abcdef0123456789abcdef";
const BODY: &[u8] = br#"{"model":"claude-sonnet-5","messages":[{"role":"user","content":"hi"}]}"#;

fn hasher() -> KeyHasher {
    KeyHasher::new(&"a key of the tests' own".into())
}

fn key(id: &str, digest: [u8; 32]) -> ApiKey {
    ApiKey { digest: KeyDigest::new(digest), ..api_key(id) }
}

/// Relay on an empty store.
async fn relay() -> (Relay, Stores) {
    let options = SqliteOptions {
        calendar: Calendar::UTC,
        record_capacity: 10,
        record_lifetime: std::time::Duration::from_hours(24),
        access: Access::Serve,
    };
    let stores = SqliteStore::in_memory(options).unwrap().stores();
    let parts = EngineParts {
        config: EngineConfig::default(),
        clock: Arc::new(SystemClock),
        stores: stores.clone(),
        hasher: hasher(),
        keyring: Keyring::new(&"a key of the tests' own".into(), SealFormat::Aead),
        prices: Arc::new(PriceBook::builtin().unwrap()),
        tasks: TaskTracker::new(),
    };
    (Relay::new(&Engine::start(parts).await.unwrap()), stores)
}

/// Recognises the key of the tests.
async fn caller(relay: &Relay) -> Caller {
    relay.authenticate([SECRET].into_iter()).await.unwrap()
}

/// Asks for admission; a request that is let in leaves at once.
async fn admitted(relay: &Relay, caller: Caller) -> Result<(), EngineError> {
    let (headers, body) = (HeaderMap::new(), Bytes::from_static(BODY));
    let incoming = Incoming {
        endpoint: Endpoint::Messages,
        id: relay.request_id(),
        arrived: Instant::now(),
        headers: &headers,
        query: None,
        body: &body,
    };
    relay.admit(caller, &incoming, &scan_request(BODY).unwrap()).await.map(drop)
}

#[tokio::test]
async fn a_key_of_v2_is_known_after_another_key_was_changed() {
    let (relay, stores) = relay().await;
    stores.keys.create(&key("v2", hasher().unsalted(SECRET))).await.unwrap();
    admitted(&relay, caller(&relay).await).await.unwrap();
    stores.keys.create(&key("other", [7; 32])).await.unwrap();
    admitted(&relay, caller(&relay).await).await.unwrap();
}

#[tokio::test]
async fn no_old_snapshot_lets_in_or_keeps_out() {
    let (relay, stores) = relay().await;
    let active = key("k", hasher().digest(SECRET));
    stores.keys.create(&active).await.unwrap();
    let disabled = ApiKey { is_active: false, ..active.clone() };

    let before = caller(&relay).await;
    stores.keys.update(&disabled).await.unwrap();
    let refused = admitted(&relay, before).await;
    assert!(matches!(refused, Err(EngineError::Key(KeyRefusal::Disabled))), "{refused:?}");

    let before = caller(&relay).await;
    stores.keys.update(&ApiKey { revision: 1, ..active }).await.unwrap();
    admitted(&relay, before).await.unwrap();
}

#[tokio::test]
async fn a_key_that_was_recognised_before_others_looked_is_read_again() {
    let (relay, stores) = relay().await;
    let active = key("k", hasher().digest(SECRET));
    stores.keys.create(&active).await.unwrap();
    let slow = caller(&relay).await;
    stores.keys.update(&ApiKey { is_active: false, ..active }).await.unwrap();
    // Somebody else's request brings the cache up to date while the slow one is still being read.
    assert!(admitted(&relay, caller(&relay).await).await.is_err());
    let refused = admitted(&relay, slow).await;
    assert!(matches!(refused, Err(EngineError::Key(KeyRefusal::Disabled))), "{refused:?}");
}

#[test]
fn a_limit_that_is_not_kept_keeps_its_key_out() {
    let limits = Limits { daily_cost: Some(NanoUsd::from_nanos(1)), ..Limits::default() };
    let limited = ApiKey { limits, ..key("k", [0; 32]) };
    let refused = check(&limited, &scan_request(BODY).unwrap(), Timestamp::EPOCH);
    assert!(matches!(refused, Err(EngineError::LimitNotKept(LimitKind::DailyCost))), "{refused:?}");
}
