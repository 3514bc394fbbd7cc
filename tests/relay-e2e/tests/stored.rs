//! What Relay has kept, read from the store itself: the only witness of what it recorded.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use relay_e2e::Relay;
use relay_testkit::{Deadline, eventually};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::redis_client::RedisClient;

/// What was counted for a key, an account or a model in all its time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) requests: i64,
    pub(crate) input: i64,
    pub(crate) output: i64,
    pub(crate) cost_nano: i64,
}

/// Whose usage.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    Key(&'a str),
    Account(&'a str),
    Model(&'a str),
}

/// The records of settled requests, oldest first.
pub(crate) fn records(relay: &Relay) -> Vec<Value> {
    let texts: Vec<String> = match relay.redis() {
        None => {
            let connection = open(relay);
            let mut read = connection.prepare("SELECT record FROM request ORDER BY seq").unwrap();
            read.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
        Some(redis) => {
            let mut client = RedisClient::connect(redis);
            let ids = client.texts(&["ZRANGE", "relay:records:index", "0", "-1"]);
            ids.iter().map(|id| client.text(&["HGET", "relay:records", id]).unwrap()).collect()
        }
    };
    texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// Waits until `count` requests are settled, and returns their records, oldest first.
pub(crate) async fn settled(relay: &Relay, count: usize) -> Vec<Value> {
    let mut found = Vec::new();
    eventually(&format!("{count} records"), async || {
        found = records(relay);
        assert!(found.len() <= count, "more than {count} records: {found:#?}");
        found.len() == count
    })
    .await;
    found
}

/// Waits until the only request is settled, and returns its record.
pub(crate) async fn the_record(relay: &Relay) -> Value {
    settled(relay, 1).await.remove(0)
}

/// What was counted for `scope`.
pub(crate) fn totals(relay: &Relay, scope: Scope<'_>) -> Totals {
    match relay.redis() {
        None => sqlite_totals(relay, scope),
        Some(redis) => redis_totals(&mut RedisClient::connect(redis), scope),
    }
}

/// How many requests are held in the store. The embedded one keeps a request's hold in memory until its
/// first checkpoint.
pub(crate) fn holds(relay: &Relay) -> usize {
    match relay.redis() {
        None => {
            let connection = open(relay);
            let count: i64 =
                connection.query_row("SELECT count(*) FROM hold", [], |row| row.get(0)).unwrap();
            usize::try_from(count).unwrap()
        }
        Some(redis) => {
            RedisClient::connect(redis).texts(&["ZRANGE", "relay:holds", "0", "-1"]).len()
        }
    }
}

/// Whether the store knows of some usage of the requests that it holds.
pub(crate) fn checkpointed(relay: &Relay) -> bool {
    checkpoints(relay) > 0
}

/// Of how many of the requests that it holds the store knows some usage.
pub(crate) fn checkpoints(relay: &Relay) -> usize {
    let holds: Vec<String> = match relay.redis() {
        None => {
            let connection = open(relay);
            let mut read = connection.prepare("SELECT hold FROM hold").unwrap();
            read.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
        Some(redis) => {
            let mut client = RedisClient::connect(redis);
            let names = client.texts(&["KEYS", "relay:hold:*"]);
            names.iter().flat_map(|name| client.texts(&["HVALS", name])).collect()
        }
    };
    holds.iter().filter(|hold| hold.contains("\"usage\"")).count()
}

/// Switches a key off as another program would: in the store, with the version raised.
pub(crate) fn revoke(relay: &Relay, key: &str) {
    match relay.redis() {
        None => {
            let connection = Connection::open(database(relay)).unwrap();
            let sql = "UPDATE api_key SET settings = replace(settings, '\"is_active\":true',
                '\"is_active\":false') WHERE id = ?1 AND settings LIKE '%\"is_active\":true%'";
            assert_eq!(connection.execute(sql, [key]).unwrap(), 1, "there is no such active key");
        }
        Some(redis) => {
            let mut client = RedisClient::connect(redis);
            let name = format!("apikey:{key}");
            assert_eq!(client.text(&["HGET", &name, "isActive"]).as_deref(), Some("true"));
            client.text(&["HSET", &name, "isActive", "false"]);
            client.text(&["INCR", "relay:version:keys"]);
        }
    }
}

/// What of a key the admin REST does not set yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Amendment {
    /// Its budgets cannot be passed.
    HardBudget,
    /// So many of its requests may wait, for so many milliseconds.
    Queue(u32, u64),
}

/// Changes a key as another program would: in the store, with the version raised.
pub(crate) fn amend(relay: &Relay, key: &str, amendment: Amendment) {
    match relay.redis() {
        None => {
            let connection = Connection::open(database(relay)).unwrap();
            let patch = match amendment {
                Amendment::HardBudget => json!({"limits": {"hard_budget": true}}),
                Amendment::Queue(max_waiting, deadline_ms) => {
                    json!({"queue": {"max_waiting": max_waiting, "deadline_ms": deadline_ms}})
                }
            };
            let sql = "UPDATE api_key SET settings = json_patch(settings, ?2) WHERE id = ?1";
            assert_eq!(connection.execute(sql, [key, &patch.to_string()]).unwrap(), 1);
        }
        Some(redis) => {
            let mut client = RedisClient::connect(redis);
            let name = format!("apikey:{key}");
            let (length, deadline);
            let fields: &[&str] = match amendment {
                Amendment::HardBudget => &["relayBudgetPolicy", "hard"],
                Amendment::Queue(max_waiting, deadline_ms) => {
                    (length, deadline) = (max_waiting.to_string(), deadline_ms.to_string());
                    &["relayQueueLength", &length, "relayQueueDeadlineMs", &deadline]
                }
            };
            client.text(&[&["HSET", name.as_str()], fields].concat());
            client.text(&["INCR", "relay:version:keys"]);
        }
    }
}

/// Everything that is kept, as bytes to search in: every file of the data folder and every value in
/// Redis, each with its name.
pub(crate) fn everything(relay: &Relay) -> Vec<(String, Vec<u8>)> {
    let mut kept = Vec::new();
    let mut folders = vec![relay.data_dir().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                kept.push((path.display().to_string(), fs::read(&path).unwrap()));
            }
        }
    }
    if let Some(redis) = relay.redis() {
        let mut client = RedisClient::connect(redis);
        for name in client.texts(&["KEYS", "*"]) {
            let values = match client.text(&["TYPE", &name]).unwrap().as_str() {
                "string" => client.text(&["GET", &name]).into_iter().collect(),
                "hash" => client.texts(&["HGETALL", &name]),
                "set" => client.texts(&["SMEMBERS", &name]),
                "zset" => client.texts(&["ZRANGE", &name, "0", "-1"]),
                "list" => client.texts(&["LRANGE", &name, "0", "-1"]),
                "stream" => client.nested_texts(&["XRANGE", &name, "-", "+"]),
                other => panic!("{name} is a {other}"),
            };
            let text = format!("{name}\n{}", values.join("\n"));
            kept.push((format!("redis {name}"), text.into_bytes()));
        }
    }
    kept
}

fn sqlite_totals(relay: &Relay, scope: Scope<'_>) -> Totals {
    let (kind, id) = match scope {
        Scope::Key(id) => (0, id),
        Scope::Account(id) => (1, id),
        Scope::Model(name) => (2, name),
    };
    let connection = open(relay);
    // The server counts a moment after it has settled.
    let counted = "SELECT (SELECT coalesce(max(seq), 0) FROM request) <= (SELECT seq FROM counted)";
    let is_counted = || connection.query_row(counted, [], |row| row.get(0)).unwrap();
    Deadline::after(Duration::from_secs(10)).until_blocking("counters", is_counted);
    let sql = "SELECT sum(requests), sum(input), sum(output), sum(cost) FROM usage
        WHERE kind = 0 AND scope = ?1 AND id = ?2";
    let number = |row: &rusqlite::Row<'_>, column: usize| {
        row.get::<_, Option<i64>>(column).map(Option::unwrap_or_default)
    };
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Totals {
            requests: number(row, 0)?,
            input: number(row, 1)?,
            output: number(row, 2)?,
            cost_nano: number(row, 3)?,
        })
    };
    connection.query_row(sql, (kind, id), read).unwrap()
}

fn redis_totals(client: &mut RedisClient, scope: Scope<'_>) -> Totals {
    let (name, fields) = match scope {
        Scope::Key(id) => (format!("usage:{id}"), TOTAL_FIELDS),
        Scope::Account(id) => (format!("account_usage:{id}"), TOTAL_FIELDS),
        Scope::Model(model) => (format!("relay:usage:model:total:{model}"), MODEL_FIELDS),
    };
    let [requests, input, output, cost_nano] = fields.map(|field| {
        client.text(&["HGET", &name, field]).map_or(0, |number| number.parse().unwrap())
    });
    Totals { requests, input, output, cost_nano }
}

const TOTAL_FIELDS: [&str; 4] =
    ["totalRequests", "totalInputTokens", "totalOutputTokens", "costNano"];
const MODEL_FIELDS: [&str; 4] = ["requests", "inputTokens", "outputTokens", "costNano"];

/// The embedded store, to be read beside the server.
fn open(relay: &Relay) -> Connection {
    Connection::open_with_flags(database(relay), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn database(relay: &Relay) -> PathBuf {
    let files: Vec<PathBuf> =
        fs::read_dir(relay.data_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_database =
        |path: &PathBuf| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3"));
    let database = files.iter().find(|path| is_database(path));
    database.unwrap_or_else(|| panic!("no database among {files:?}")).clone()
}
