//! A database file that takes no writes, because another process has it locked: what a client sees finished
//! is kept all the same, nobody with limits is let in, and it passes without a restart.

use std::collections::BTreeSet;

use relay_e2e::{Account, ApiKey, Relay, Request, Store};
use relay_sandbox::{Step, Usage};
use relay_testkit::eventually;
use rusqlite::Connection;
use serde_json::json;

use crate::conversation::{streamed, whole};
use crate::stored::{Scope, records, settled, totals};

/// A Relay whose file is locked, and what clients saw finished since.
struct Locked {
    relay: Relay,
    _account: Account,
    free: ApiKey,
    limited: ApiKey,
    lock: Connection,
    finished: BTreeSet<String>,
}

impl Locked {
    async fn begin() -> Self {
        let relay = Relay::with(Store::Sqlite).env("RELAY_LEASE_SECONDS", "3").start().await;
        let account = relay.account("a").await;
        let usage = Usage { input: Some(100), output: Some(20), ..Usage::default() };
        account.script(Step::new().deltas(4).usage(usage));
        let free = relay.key().await;
        let limited = relay.key_with(json!({"totalCostLimit": 50, "concurrencyLimit": 9})).await;
        let mut finished = BTreeSet::new();
        for key in [&free, &limited] {
            let (status, id) = ask(&relay, key, whole()).await;
            assert_eq!(status, 200);
            finished.insert(id);
        }
        settled(&relay, 2).await;
        let lock = Connection::open(relay.data_dir().join("relay.db")).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { relay, _account: account, free, limited, lock, finished }
    }

    /// Asks with both keys until nobody with limits is let in any more.
    async fn until_refused(&mut self) {
        let Self { relay, free, limited, finished, .. } = self;
        eventually("nobody with limits is let in", async || {
            for body in [whole(), streamed()] {
                let (status, id) = ask(relay, free, body.clone()).await;
                assert_eq!(status, 200, "who has no limits is served");
                finished.insert(id);
                let (status, id) = ask(relay, limited, body).await;
                if status == 503 {
                    return true;
                }
                assert_eq!(status, 200);
                finished.insert(id);
            }
            false
        })
        .await;
        let refused = relay.send(&Request::messages(&limited.secret, whole())).await;
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert_eq!(refused.json()["error"]["code"], "store_unavailable");
        let ready = relay.send(&Request::get("/readyz")).await;
        assert_eq!(
            (ready.status, ready.json()),
            (503, json!({"status": "the store takes no writes"}))
        );
        assert_eq!(relay.send(&Request::get("/livez")).await.status, 200);
    }

    fn unlock(&self) {
        self.lock.execute_batch("ROLLBACK").unwrap();
    }

    /// What clients saw finished is recorded as that, once, and counted as often.
    async fn add_up(&self) {
        let Self { relay, free, limited, finished, .. } = self;
        let records = settled(relay, finished.len()).await;
        let ids: BTreeSet<_> =
            records.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids, *finished);
        for record in &records {
            assert_eq!(record["outcome"], "completed", "{record}");
            assert_eq!(record["usage_source"], "final", "{record}");
        }
        for key in [free, limited] {
            let own = records.iter().filter(|record| record["key"] == json!(key.id)).count();
            let totals = totals(relay, Scope::Key(&key.id));
            assert_eq!(totals.requests, i64::try_from(own).unwrap());
            assert_eq!(totals.input, 100 * totals.requests);
        }
    }
}

/// Asks once. Returns the status and the request's id.
async fn ask(relay: &Relay, key: &ApiKey, body: String) -> (u16, String) {
    let answer = relay.send(&Request::messages(&key.secret, body)).await;
    (answer.status, answer.header("x-relay-request-id").unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_while_the_file_is_locked_is_recorded_once_when_it_is_free() {
    let mut locked = Locked::begin().await;
    locked.until_refused().await;
    assert_eq!(records(&locked.relay).len(), 2, "nothing can be written");
    locked.unlock();
    locked.add_up().await;
    let relay = &locked.relay;
    eventually("it is ready", async || relay.send(&Request::get("/readyz")).await.status == 200)
        .await;
    let (status, id) = ask(relay, &locked.limited, whole()).await;
    assert_eq!(status, 200, "without a restart");
    locked.finished.insert(id);
    locked.add_up().await;
    let journal = locked.relay.data_dir().join("journal.log");
    eventually("nothing is left in the journal but its header", async || {
        std::fs::metadata(&journal).is_ok_and(|file| file.len() == 8)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_saw_finished_before_a_kill_is_recorded_though_the_file_was_locked() {
    let mut locked = Locked::begin().await;
    locked.until_refused().await;
    locked.relay.kill9();
    locked.unlock();
    locked.relay.run().await;
    locked.add_up().await;
}
