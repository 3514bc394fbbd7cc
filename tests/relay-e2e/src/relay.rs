//! Relay as an operator runs it: the real binary, in a folder and with a store of its own.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use relay_testkit::{Deadline, Listen, Persistence, RedisServer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::account::{Account, AccountSettings, Upstream};
use crate::answer::Answer;
use crate::binary::{self, CommandOutput};
use crate::exchange::Exchange;
use crate::request::Request;
use crate::server_process::{Printed, ServerProcess};

/// The operator's password, unless a test sets another.
pub const ADMIN_PASSWORD: &str = "an operator's password";

/// How long a server may take to become ready; a machine that runs many tests is slow.
const START: Duration = Duration::from_secs(30);

/// Ports for servers: beyond 10,080, the last that `fetch` refuses to ask (the "bad ports" of its standard),
/// and below those that the system hands out to clients, so that nobody takes one by chance between two runs
/// of a server.
const FIRST_PORT: u32 = 11_000;
const PORTS: u32 = 20_000;

/// Where Relay keeps what it keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Store {
    /// In a file in its data folder.
    Sqlite,
    /// In a Redis that nobody else uses.
    Redis,
}

/// How a Relay is set up.
#[derive(Debug)]
pub struct RelaySettings {
    store: Store,
    persistence: Persistence,
    environment: BTreeMap<String, String>,
}

/// A running Relay. Ends with this value, and its data with it.
#[derive(Debug)]
pub struct Relay {
    process: Option<ServerProcess>,
    printed: Printed,
    environment: BTreeMap<String, String>,
    address: SocketAddr,
    data: TempDir,
    redis: Option<RedisServer>,
    token: OnceCell<String>,
}

/// A client's key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id.
    pub id: String,
    /// What the client presents.
    pub secret: String,
}

impl RelaySettings {
    /// Sets a variable of the server's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Its Redis keeps what it has acknowledged when it is restarted.
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.persistence = Persistence::AppendOnly;
        self
    }

    /// Leaves a variable out of the server's environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Sets up what the server needs, without starting it.
    ///
    /// # Panics
    ///
    /// If a folder, a port or a Redis cannot be had.
    #[must_use]
    pub fn prepare(self) -> Relay {
        let Self { store, persistence, mut environment } = self;
        let data = tempfile::tempdir().unwrap_or_else(|error| panic!("no folder: {error}"));
        let redis = (store == Store::Redis).then(|| RedisServer::private(Listen::Tcp, persistence));
        let address = free_address();
        let name = if redis.is_some() { "redis" } else { "sqlite" };
        let mut defaults = vec![
            ("RELAY_DATA_DIR", data.path().display().to_string()),
            ("RELAY_STORE", name.to_owned()),
            ("HOST", address.ip().to_string()),
            ("PORT", address.port().to_string()),
        ];
        defaults.extend(redis.as_ref().map(|redis| ("RELAY_REDIS_URL", redis.url().to_owned())));
        for (name, value) in defaults {
            environment.entry(name.to_owned()).or_insert(value);
        }
        let token = OnceCell::new();
        let printed = Printed::default();
        Relay { process: None, printed, environment, address, data, redis, token }
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not become ready, with what it printed.
    pub async fn start(self) -> Relay {
        let mut relay = self.prepare();
        relay.run().await;
        relay
    }
}

impl Relay {
    /// A Relay with this store, to be changed before it is started. The operator's password is
    /// [`ADMIN_PASSWORD`]; all else is as a user finds it.
    #[must_use]
    pub fn with(store: Store) -> RelaySettings {
        let persistence = Persistence::None;
        RelaySettings { store, persistence, environment: BTreeMap::new() }
            .env("ADMIN_USERNAME", "admin")
            .env("ADMIN_PASSWORD", ADMIN_PASSWORD)
    }

    /// A running Relay with this store.
    ///
    /// # Panics
    ///
    /// As [`RelaySettings::start`].
    pub async fn start(store: Store) -> Self {
        Self::with(store).start().await
    }

    /// Another instance beside this one, with the same settings and on the same Redis, with a folder and an
    /// address of its own. What is in the Redis is told by this one. The settings have to name an
    /// `ENCRYPTION_KEY`, or each would make its own.
    ///
    /// # Panics
    ///
    /// If the store is not Redis.
    #[must_use]
    pub fn beside(&self) -> RelaySettings {
        assert!(self.redis.is_some(), "its store is not Redis");
        let mut environment = self.environment.clone();
        environment.retain(|name, _| !matches!(name.as_str(), "RELAY_DATA_DIR" | "HOST" | "PORT"));
        // No Redis is started for it: the environment names this one's.
        RelaySettings { store: Store::Sqlite, persistence: Persistence::None, environment }
    }

    /// Starts the server, which is not running, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// As [`RelaySettings::start`].
    pub async fn run(&mut self) {
        self.begin().await;
        self.until_ready().await;
    }

    /// Starts the server, which is not running, and waits until it listens.
    ///
    /// # Panics
    ///
    /// If it does not, with what it printed.
    pub async fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs");
        self.process = Some(ServerProcess::spawn(&self.environment, &self.printed));
        self.until("listens", Self::listens).await;
    }

    /// Waits until the server is ready.
    ///
    /// # Panics
    ///
    /// As [`RelaySettings::start`].
    pub async fn until_ready(&mut self) {
        self.until("is ready", Self::is_ready).await;
    }

    async fn until(&mut self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let deadline = Deadline::after(START);
        while !is_so(self).await {
            assert!(!self.running().has_ended(), "relay-server ended:\n{}", self.printed());
            assert!(!deadline.has_passed(), "nobody {what}:\n{}", self.printed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the server with SIGKILL.
    ///
    /// # Panics
    ///
    /// If it is not running.
    pub fn kill9(&mut self) {
        self.running().kill();
        self.process = None;
    }

    /// Ends the server with SIGTERM. `true`: it said that all went well.
    ///
    /// # Panics
    ///
    /// If it is not running, or does not stop.
    pub fn stop(&mut self) -> bool {
        let well = self.running().terminate();
        self.process = None;
        well
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, as clients are configured with it.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its data folder.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// Its Redis, if that is its store.
    pub fn redis(&self) -> Option<&RedisServer> {
        self.redis.as_ref()
    }

    /// Its Redis, to be frozen or restarted.
    ///
    /// # Panics
    ///
    /// If that is not its store.
    pub fn redis_mut(&mut self) -> &mut RedisServer {
        match &mut self.redis {
            Some(redis) => redis,
            None => panic!("its store is not Redis"),
        }
    }

    /// Everything that its servers have printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        self.printed.text()
    }

    /// Runs another command of the binary on the same configuration.
    pub async fn command(&self, words: &[&str]) -> CommandOutput {
        binary::run(&self.environment, words).await
    }

    /// Sends a request and reads the head of the answer.
    pub async fn open(&self, request: &Request) -> Exchange {
        Exchange::open(self.address, request).await
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: &Request) -> Answer {
        self.open(request).await.finish().await
    }

    /// Logs the operator in, once, and returns the token.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn admin_token(&self) -> &str {
        let log_in = async || {
            let password = self.environment.get("ADMIN_PASSWORD").cloned();
            let body = json!({"username": "admin", "password": password});
            let request = Request::post("/api/v2/auth/admin/login", body.to_string());
            let answer = self.send(&request).await;
            assert_eq!(answer.status, 200, "login: {}", answer.text());
            answer.json()["token"].as_str().map(str::to_owned).unwrap_or_default()
        };
        self.token.get_or_init(log_in).await
    }

    /// Calls the admin REST as the operator. A body of `null` is none.
    pub async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let token = format!("Bearer {}", self.admin_token().await);
        let request = Request::new(method, path).header("authorization", &token);
        let request = if body.is_null() {
            request
        } else {
            request.header("content-type", "application/json").body(body.to_string())
        };
        self.send(&request).await
    }

    /// Adds an account with a sandbox of its own.
    ///
    /// # Panics
    ///
    /// If Relay refuses it.
    pub async fn account(&self, settings: impl Into<AccountSettings>) -> Account {
        let upstream = Upstream::start().await;
        let url = format!("http://{}", upstream.sandbox().address());
        self.account_at(settings, upstream, &url).await
    }

    /// Adds an account at an address where nobody listens. Its sandbox never hears of anything.
    ///
    /// # Panics
    ///
    /// If Relay refuses it.
    pub async fn unreachable_account(&self, settings: impl Into<AccountSettings>) -> Account {
        let upstream = Upstream::start().await;
        let url = format!("http://{}", free_address());
        self.account_at(settings, upstream, &url).await
    }

    /// Adds a key; `fields` are those of the admin REST.
    ///
    /// # Panics
    ///
    /// If Relay refuses it.
    pub async fn key_with(&self, mut fields: Value) -> ApiKey {
        if fields["name"].is_null() {
            fields["name"] = json!("a key");
        }
        let answer = self.admin("POST", "/api/v2/keys", &fields).await;
        assert_eq!(answer.status, 201, "create a key: {}", answer.text());
        let created = answer.json();
        ApiKey { id: text(&created["key"]["id"]), secret: text(&created["rawKey"]) }
    }

    /// Adds a key without limits.
    ///
    /// # Panics
    ///
    /// If Relay refuses it.
    pub async fn key(&self) -> ApiKey {
        self.key_with(json!({})).await
    }

    async fn account_at(
        &self,
        settings: impl Into<AccountSettings>,
        upstream: Upstream,
        url: &str,
    ) -> Account {
        let settings = settings.into();
        let body = settings.creation(url);
        let answer = self.admin("POST", "/api/v2/accounts/claude-console", &body).await;
        assert_eq!(answer.status, 201, "create an account: {}", answer.text());
        let id = text(&answer.json()["account"]["id"]);
        Account { id, upstream_key: settings.upstream_key(), upstream }
    }

    async fn listens(&self) -> bool {
        tokio::net::TcpStream::connect(self.address).await.is_ok()
    }

    async fn is_ready(&self) -> bool {
        // Who listens while it starts leaves the socket to another, and may break off in between.
        let exchange = Exchange::try_open(self.address, &Request::get("/readyz")).await;
        exchange.is_some_and(|exchange| exchange.status() == 200)
    }

    fn running(&mut self) -> &mut ServerProcess {
        match &mut self.process {
            Some(process) => process,
            None => panic!("it is not running"),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| panic!("not a text: {value}"), str::to_owned)
}

/// A loopback address where nobody listens.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Tests run as processes side by side: each begins at ports of its own.
        let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST_PORT + number % PORTS).unwrap_or_default();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
