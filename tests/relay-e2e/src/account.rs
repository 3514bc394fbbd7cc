//! Upstream accounts, each with a sandbox of its own behind it.

use std::net::SocketAddr;

use relay_sandbox::{RecordedRequest, Sandbox, SandboxHandle, Script};
use relay_testkit::eventually;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::exchange::Exchange;
use crate::request::Request;

/// A sandbox that is served until this is dropped.
#[derive(Debug)]
pub struct Upstream {
    handle: SandboxHandle,
    _stop: DropGuard,
}

impl Upstream {
    /// Serves a new sandbox on a free loopback port.
    ///
    /// # Panics
    ///
    /// If there is no such port.
    pub async fn start() -> Self {
        let sandbox = Sandbox::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap_or_else(|error| panic!("no port for a sandbox: {error}"));
        let (handle, stop) = (sandbox.handle(), CancellationToken::new());
        TaskTracker::new().spawn(sandbox.serve(stop.clone()));
        Self { handle, _stop: stop.drop_guard() }
    }

    /// Scripts it and reads its records.
    pub fn sandbox(&self) -> &SandboxHandle {
        &self.handle
    }

    /// What a client without a relay gets for `request` from a sandbox that plays `script`. The sandbox
    /// counts the requests that it answers, and the ids in its answers tell their number: to compare, ask
    /// this one as often as the other.
    pub async fn answer(&self, script: impl Into<Script>, body: impl AsRef<[u8]>) -> Answer {
        set_script(&self.handle, "sk-direct", script);
        let request = Request::messages("sk-direct", body);
        Exchange::open(self.handle.address(), &request).await.finish().await
    }

    /// What a client without a relay gets from a new sandbox.
    pub async fn first_answer(script: impl Into<Script>, body: impl AsRef<[u8]>) -> Answer {
        Self::start().await.answer(script, body).await
    }
}

/// How an account differs from a usual one.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    name: String,
    priority: u8,
    models: Value,
    more: Value,
}

impl AccountSettings {
    /// An account of this name, with its upstream key made from it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), priority: 50, models: Value::Null, more: json!({}) }
    }

    /// Accounts with a lower number are asked first.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// The models that it serves, and their names upstream.
    #[must_use]
    pub fn models(mut self, models: Value) -> Self {
        self.models = models;
        self
    }

    /// Anything else, in the words of the admin REST.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.more[field] = value;
        self
    }

    /// The upstream key of the account.
    pub(crate) fn upstream_key(&self) -> String {
        format!("sk-upstream-{}-5f1d7a", self.name)
    }

    /// The body of the request that creates it.
    pub(crate) fn creation(&self, url: &str) -> Value {
        let mut body = json!({
            "name": self.name,
            "apiUrl": url,
            "apiKey": self.upstream_key(),
            "priority": self.priority,
        });
        if !self.models.is_null() {
            body["supportedModels"] = self.models.clone();
        }
        for (field, value) in self.more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        body
    }
}

impl From<&str> for AccountSettings {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// An account, and the sandbox that answers for it until this is dropped.
#[must_use = "its sandbox ends with it"]
#[derive(Debug)]
pub struct Account {
    /// Its id in Relay.
    pub id: String,
    /// The key that Relay presents upstream.
    pub upstream_key: String,
    pub(crate) upstream: Upstream,
}

impl Account {
    /// Plays `script` from its start.
    ///
    /// # Panics
    ///
    /// If HTTP cannot carry what it asks for.
    pub fn script(&self, script: impl Into<Script>) {
        set_script(&self.upstream.handle, &self.upstream_key, script);
    }

    /// The sandbox behind it.
    pub fn sandbox(&self) -> &SandboxHandle {
        &self.upstream.handle
    }

    /// Every request that its sandbox has received, oldest first, whatever the key.
    #[must_use]
    pub fn received(&self) -> Vec<RecordedRequest> {
        self.upstream.handle.requests().requests
    }

    /// The only request that its sandbox has received.
    ///
    /// # Panics
    ///
    /// If there is none, or another.
    #[must_use]
    pub fn the_request(&self) -> RecordedRequest {
        let mut received = self.received();
        assert_eq!(received.len(), 1, "requests at the upstream: {received:#?}");
        received.remove(0)
    }

    /// Waits until its sandbox holds `count` requests whose answers are not over.
    pub async fn holds(&self, count: u64) {
        eventually(&format!("{count} requests are upstream"), async || {
            self.upstream.handle.state().requests_in_flight == count
        })
        .await;
    }
}

fn set_script(sandbox: &SandboxHandle, key: &str, script: impl Into<Script>) {
    if let Err(error) = sandbox.set_script(key, script) {
        panic!("the script cannot be played: {error}");
    }
}
