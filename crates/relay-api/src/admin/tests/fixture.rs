//! An admin REST on an empty store with one operator, at a moment that only the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use relay_crypto::{ApiKeyMinter, KeyHasher, Keyring, SealFormat, TokenSigner};
use relay_domain::{Calendar, Timestamp};
use relay_engine::alerts::{AlertParts, Alerts};
use relay_engine::operator::{Operator, OperatorParts};
use relay_engine::prices::{PriceKeeper, PriceKeeperParts, PriceSource};
use relay_engine::{Clock, Engine, EngineConfig, EngineParts};
use relay_store::{AdminCredentials, PasswordHash, Stores};
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};
use serde_json::Value;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::admin::{AdminConfig, AdminParts, PeerAddress, router};
use crate::health::Draining;

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub(super) const PASSWORD: &str = "correct horse";

#[derive(Debug)]
pub(super) struct StoppedClock(AtomicU64);

impl StoppedClock {
    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// What an answer said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(super) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(super) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

/// The router and what it works with.
pub(super) struct Office {
    pub(super) router: Router,
    pub(super) operator: Arc<Operator>,
    pub(super) stores: Stores,
    pub(super) clock: Arc<StoppedClock>,
    pub(super) draining: Draining,
}

impl Office {
    /// With an operator `root` whose password is [`PASSWORD`].
    pub(super) async fn open() -> Self {
        let stores = memory();
        let office = Self::on(stores.clone(), stores).await;
        office.operator.initialise_admin("root", Some(PASSWORD.into())).await.unwrap();
        office
    }

    /// On `stores`, as they are, with an engine that works on others.
    pub(super) async fn on(stores: Stores, of_engine: Stores) -> Self {
        let config = AdminConfig { environment: Some("test".to_owned()), ..AdminConfig::default() };
        Self::set_up(stores, of_engine, config, (signer(), NOW)).await
    }

    /// On an empty store, with an operator whose login is as a predecessor stored it.
    pub(super) async fn taken_over(
        username: &str,
        password_hash: &str,
        signer: TokenSigner,
        now: Timestamp,
    ) -> Self {
        let stores = memory();
        let login = AdminCredentials {
            username: username.to_owned(),
            password_hash: PasswordHash::new(password_hash.to_owned()),
            session_epoch: 0,
            created_at: now,
            updated_at: now,
        };
        assert!(stores.admin.initialise(&login).await.unwrap());
        Self::set_up(stores.clone(), stores, AdminConfig::default(), (signer, now)).await
    }

    pub(super) async fn set_up(
        stores: Stores,
        of_engine: Stores,
        config: AdminConfig,
        moment: (TokenSigner, Timestamp),
    ) -> Self {
        Self::with_prices(stores, of_engine, config, moment, PriceSource::Builtin).await
    }

    /// The same with prices from `source`, when they are reloaded.
    pub(super) async fn with_prices(
        stores: Stores,
        of_engine: Stores,
        config: AdminConfig,
        (signer, now): (TokenSigner, Timestamp),
        source: PriceSource,
    ) -> Self {
        let clock = Arc::new(StoppedClock(AtomicU64::new(now.as_millis())));
        let shared_clock = || Arc::clone(&clock) as Arc<dyn Clock>;
        let operator = Arc::new(Operator::new(OperatorParts {
            stores: stores.clone(),
            keyring: Keyring::new(&"an encryption key".into(), SealFormat::Aead),
            minter: ApiKeyMinter::default(),
            hasher: KeyHasher::new(&"an encryption key".into()),
            clock: shared_clock(),
        }));
        let prices = PriceKeeper::new(PriceKeeperParts {
            source,
            refresh: Duration::from_hours(1),
            settings: Arc::clone(&stores.settings),
            audit: Arc::clone(&stores.audit),
            clock: shared_clock(),
        });
        let prices = Arc::new(prices.unwrap());
        let engine = Engine::start(EngineParts {
            config: EngineConfig::default(),
            clock: shared_clock(),
            stores: of_engine,
            hasher: KeyHasher::new(&"an encryption key".into()),
            keyring: Keyring::new(&"an encryption key".into(), SealFormat::Aead),
            prices: Arc::clone(prices.prices()),
            journal: None,
            events: Arc::new(relay_engine::Unheard),
            tasks: TaskTracker::new(),
        });
        let (alerts, _work) = Alerts::new(AlertParts {
            repository: Arc::clone(&stores.events),
            clock: shared_clock(),
            webhooks: None,
        });
        let draining = Draining::default();
        let router = router(AdminParts {
            config,
            operator: Arc::clone(&operator),
            engine: Arc::new(engine.await.unwrap()),
            prices,
            alerts: Arc::new(alerts),
            stores: stores.clone(),
            store_kind: "sqlite",
            signer,
            clock: shared_clock(),
            draining: draining.clone(),
        });
        Self { router, operator, stores, clock, draining }
    }

    /// Logs `root` in.
    pub(super) async fn token(&self) -> String {
        let body = format!(r#"{{"username":"root","password":"{PASSWORD}"}}"#);
        let answer = self.post("/api/v2/auth/admin/login", None, &body).await.expect(200);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    pub(super) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        self.send(request(Method::GET, path, token, Body::empty())).await
    }

    /// Posts JSON.
    pub(super) async fn post(&self, path: &str, token: Option<&str>, body: &str) -> Answer {
        self.send_json(Method::POST, path, token, body).await
    }

    /// Sends JSON.
    pub(super) async fn send_json(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Answer {
        let mut request = request(method, path, token, Body::from(body.to_owned()));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        request.extensions_mut().insert(PeerAddress([127, 0, 0, 1].into()));
        self.send(request).await
    }

    /// Sends JSON with another header.
    pub(super) async fn send_with(
        &self,
        header: (&'static str, &str),
        (method, path): (Method, &str),
        token: &str,
        body: &Value,
    ) -> Answer {
        let mut request = request(method, path, Some(token), Body::from(body.to_string()));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        request.headers_mut().insert(header.0, header.1.parse().unwrap());
        self.send(request).await
    }

    /// Tries to log in from the address `127.0.0.{from}`.
    pub(super) async fn log_in(&self, from: u8, token: Option<&str>, password: &str) -> Answer {
        let body = serde_json::json!({"username": "root", "password": password}).to_string();
        let path = "/api/v2/auth/admin/login";
        let mut request = request(Method::POST, path, token, Body::from(body));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        request.extensions_mut().insert(PeerAddress([127, 0, 0, from].into()));
        self.send(request).await
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }
}

/// An empty store.
pub(super) fn memory() -> Stores {
    let options = SqliteOptions {
        calendar: Calendar::UTC,
        record_capacity: 10,
        record_lifetime: Duration::from_hours(24),
        access: Access::Serve,
    };
    SqliteStore::in_memory(options).unwrap().stores()
}

pub(super) fn signer() -> TokenSigner {
    TokenSigner::new(&"a secret that signs sessions of tests".into())
}

pub(super) fn request(
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Body,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(body).unwrap()
}
