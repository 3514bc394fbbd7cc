//! The databases: one name a row (type, lifetime in seconds, name, value; the last two as JSON).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::redis_client::RedisClient;

/// What all of them were made with.
pub(super) const ENCRYPTION_KEY: &str = "12345678901234567890123456789012";
/// A key of v1's, and its id.
pub(super) const V1_KEY: &str =
    "cr_c3ecd37077d330477971fe33b78278f74a5bde7ffd1f7b7078aabc4da1058ce2";
pub(super) const V1_KEY_ID: &str = "ed32293a-3b89-473b-ac89-d2287c65052b";
/// A key of v2's, which is switched off.
pub(super) const V2_KEY: &str = "cr_50ba78e0a339f0dedb39256c5c8bf4f7";

const FAMILIES: [&str; 3] =
    ["claude_console_account:", "openai_responses_account:", "codex_account:"];

/// A database of a predecessor.
pub(super) struct Fixture {
    rows: &'static str,
    is_v1: bool,
}

impl Fixture {
    pub(super) fn v1_after_admin_setup() -> Self {
        Self { rows: include_str!("../../fixtures/v1_keyspace_after_admin_setup.tsv"), is_v1: true }
    }

    pub(super) fn v1_after_two_requests() -> Self {
        Self {
            rows: include_str!("../../fixtures/v1_keyspace_after_two_requests.tsv"),
            is_v1: true,
        }
    }

    pub(super) fn v1_full() -> Self {
        Self { rows: include_str!("../../fixtures/v1_keyspace_full.tsv"), is_v1: true }
    }

    pub(super) fn v2_after_admin_setup() -> Self {
        Self {
            rows: include_str!("../../fixtures/v2_keyspace_after_admin_setup.tsv"),
            is_v1: false,
        }
    }

    pub(super) fn v2_after_requests() -> Self {
        Self { rows: include_str!("../../fixtures/v2_keyspace_after_requests.tsv"), is_v1: false }
    }

    pub(super) fn is_v1(&self) -> bool {
        self.is_v1
    }

    /// The administrator's name and password.
    pub(super) fn login(&self) -> (&'static str, &'static str) {
        if self.is_v1 { ("cr_admin_abcd1234", "S3cretPassw0rd") } else { ("admin", "adminpass123") }
    }

    /// Who has written it.
    pub(super) fn writers(&self) -> Value {
        json!({"v1": self.is_v1, "v2": !self.is_v1, "relay": false})
    }

    /// The ids of its API keys, sorted.
    pub(super) fn keys(&self) -> Vec<String> {
        self.hashes("apikey:").filter(|(id, _)| id != "hash_map").map(|(id, _)| id).collect()
    }

    /// The ids of its accounts, sorted. A hash without an id is none.
    pub(super) fn accounts(&self) -> Vec<String> {
        let accounts = FAMILIES.iter().flat_map(|family| self.hashes(family));
        let mut ids: Vec<_> =
            accounts.filter(|(_, fields)| fields.contains_key("id")).map(|(id, _)| id).collect();
        ids.sort();
        ids
    }

    /// Puts it into Redis.
    pub(super) fn load(&self, client: &mut RedisClient) {
        for (kind, lifetime, name, value) in self.rows() {
            let texts = || -> Vec<String> {
                let items = value.as_array().unwrap().iter();
                items.map(|item| item.as_str().unwrap().to_owned()).collect()
            };
            let mut command: Vec<String> = match kind {
                "string" => vec!["SET".into(), name.clone(), value.as_str().unwrap().into()],
                "hash" => {
                    let fields = value.as_object().unwrap().iter();
                    let pairs = fields.flat_map(|(field, value)| {
                        [field.clone(), value.as_str().unwrap().to_owned()]
                    });
                    ["HSET".to_owned(), name.clone()].into_iter().chain(pairs).collect()
                }
                "set" => vec!["SADD".into(), name.clone()],
                "list" => vec!["RPUSH".into(), name.clone()],
                "zset" => vec!["ZADD".into(), name.clone()],
                // A list of entries, of which nothing here is read.
                "stream" => {
                    vec!["XADD".into(), name.clone(), "*".into(), "data".into(), "{}".into()]
                }
                other => panic!("{name} is a {other}"),
            };
            match kind {
                "set" | "list" => command.extend(texts()),
                "zset" => {
                    let texts = texts();
                    let pairs = texts.chunks(2).flat_map(|pair| [pair[1].clone(), pair[0].clone()]);
                    command.extend(pairs);
                }
                _ => {}
            }
            client.text(&command.iter().map(String::as_str).collect::<Vec<_>>());
            if lifetime > 0 {
                client.text(&["EXPIRE", &name, &lifetime.to_string()]);
            }
        }
    }

    /// Moves the accounts to another address, as if the provider had moved.
    pub(super) fn move_accounts(&self, client: &mut RedisClient, url: &str) {
        for family in FAMILIES {
            for (id, fields) in self.hashes(family) {
                for field in
                    ["apiUrl", "baseApi"].iter().filter(|field| fields.contains_key(**field))
                {
                    client.text(&["HSET", &format!("{family}{id}"), field, url]);
                }
            }
        }
    }

    fn hashes(&self, prefix: &str) -> impl Iterator<Item = (String, BTreeMap<String, Value>)> {
        let hashes = self.rows().filter(|(kind, ..)| *kind == "hash");
        let mut found: Vec<_> = hashes
            .filter_map(|(_, _, name, value)| {
                let id = name.strip_prefix(prefix).filter(|id| !id.contains(':'))?.to_owned();
                Some((id, serde_json::from_value(value).unwrap()))
            })
            .collect();
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found.into_iter()
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, i64, String, Value)> + use<> {
        self.rows.lines().map(|row| {
            let columns: Vec<&str> = row.split('\t').collect();
            let [kind, lifetime, name, value] = columns[..] else { panic!("four columns: {row}") };
            let lifetime = lifetime.strip_prefix("ttl=").unwrap().parse().unwrap();
            (
                kind,
                lifetime,
                serde_json::from_str(name).unwrap(),
                serde_json::from_str(value).unwrap(),
            )
        })
    }
}
