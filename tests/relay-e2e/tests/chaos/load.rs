//! Clients that never stop asking, whatever happens to the server, and note what they saw finished.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relay_e2e::{ApiKey, End, Exchange, Relay, Request};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::conversation::{streamed, whole};

/// A client that was not let in, or found nobody, takes a breath before it asks again.
const BREATH: Duration = Duration::from_millis(5);

/// Clients at work. They end with this value.
pub(crate) struct Load {
    clients: JoinSet<()>,
    stop: CancellationToken,
    seen: Arc<Seen>,
}

/// What the clients saw.
struct Seen {
    finished: Mutex<BTreeSet<String>>,
    /// A permit for everything that a client saw: an answer that began, and one that ended.
    events: Semaphore,
}

impl Load {
    /// Sets `clients` clients to work with each of `keys`.
    pub(crate) fn begin(relay: &Relay, keys: &[&ApiKey], clients: usize) -> Self {
        let seen = Seen { finished: Mutex::default(), events: Semaphore::new(0) };
        let (seen, stop) = (Arc::new(seen), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for client in 0..clients * keys.len() {
            let secret = keys[client % keys.len()].secret.clone();
            let (address, seen, stop) = (relay.address(), Arc::clone(&seen), stop.clone());
            tasks.spawn(async move {
                let mut number = client;
                while !stop.is_cancelled() {
                    let body = if number.is_multiple_of(2) { whole() } else { streamed() };
                    number += 1;
                    if !ask(address, &Request::messages(&secret, body), &seen).await {
                        tokio::time::sleep(BREATH).await;
                    }
                }
            });
        }
        Self { clients: tasks, stop, seen }
    }

    /// Returns when the clients have seen so many more answers begin or end.
    pub(crate) async fn goes_on_for(&self, events: u32) {
        self.seen.events.acquire_many(events).await.unwrap().forget();
    }

    /// From now on counts what the clients see.
    pub(crate) fn count_from_here(&self) {
        self.seen.events.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets every client finish what it is at, and returns the ids of all requests that were seen to
    /// finish well.
    pub(crate) async fn end(mut self) -> BTreeSet<String> {
        self.stop.cancel();
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        std::mem::take(&mut self.seen.finished.lock().unwrap())
    }
}

/// Asks once. `false`: the client got no answer that it may count.
async fn ask(address: SocketAddr, request: &Request, seen: &Seen) -> bool {
    let Some(exchange) = Exchange::try_open(address, request).await else { return false };
    if exchange.status() != 200 {
        return false;
    }
    seen.events.add_permits(1);
    let answer = exchange.finish().await;
    let is_whole = answer.end == End::Clean;
    if is_whole {
        let id = answer.header("x-relay-request-id").unwrap().to_owned();
        assert!(seen.finished.lock().unwrap().insert(id), "two answers of one id");
        seen.events.add_permits(1);
    }
    is_whole
}

/// A random number below `bound`.
pub(crate) fn random(bound: u32) -> u32 {
    let random = RandomState::new().hash_one(0);
    u32::try_from(random % u64::from(bound)).unwrap()
}
