//! Reads a database as a v1 does, by the rules of its contract and with nothing of Relay's: what it finds by
//! its indexes alone, and what it would trip over.

use std::collections::{BTreeMap, BTreeSet};

use relay_e2e::sha256;
use relay_testkit::RedisServer;
use serde_json::Value;

use crate::redis_client::RedisClient;

/// A v1 that looks and changes nothing.
pub(super) struct V1Reader {
    client: RedisClient,
    complaints: Vec<String>,
}

type Fields = BTreeMap<String, String>;

impl V1Reader {
    pub(super) fn on(redis: &RedisServer) -> Self {
        Self { client: RedisClient::connect(redis), complaints: Vec::new() }
    }

    /// The id of the key that a client presents: by the salted digest, in v1's map.
    pub(super) fn find_key(&mut self, presented: &str, encryption_key: &str) -> Option<String> {
        let digest = sha256(format!("{presented}{encryption_key}").as_bytes());
        let id = self.client.text(&["HGET", "apikey:hash_map", &digest])?;
        let key = self.hash(&format!("apikey:{id}"));
        (key.get("isActive").map(String::as_str) == Some("true")).then_some(id)
    }

    /// Whatever is not as v1 needs it.
    pub(super) fn complaints(&mut self) -> Vec<String> {
        self.keys();
        self.accounts();
        self.account_groups();
        self.bindings();
        self.usage();
        std::mem::take(&mut self.complaints)
    }

    /// The accounts of the group that a key is bound to, as v1 chooses among them.
    pub(super) fn group_of(&mut self, key: &str) -> Option<BTreeSet<String>> {
        let key = self.hash(&format!("apikey:{key}"));
        self.members(key.get("claudeAccountId")?.strip_prefix("group:")?)
    }

    /// The accounts of a group: v1 knows it by its hash.
    pub(super) fn members(&mut self, group: &str) -> Option<BTreeSet<String>> {
        let fields = self.hash(&format!("account_group:{group}"));
        (!fields.is_empty()).then(|| self.set(&format!("account_group_members:{group}")))
    }

    fn expect(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        if !holds {
            self.complaints.push(complaint());
        }
    }

    fn keys(&mut self) {
        let version = self.client.text(&["GET", "apikey:index:version"]);
        self.expect(version.as_deref() == Some("2"), || format!("index version {version:?}"));
        let ids: BTreeSet<String> = self
            .names("apikey:*")
            .into_iter()
            .filter_map(|name| Some(name.strip_prefix("apikey:")?.to_owned()))
            .filter(|id| !id.contains(':') && id != "hash_map")
            .collect();
        let all = self.set("apikey:idx:all");
        self.expect(all == ids, || format!("apikey:idx:all has {all:?} of {ids:?}"));
        let by_name = self.client.texts(&["ZRANGE", "apikey:idx:name", "0", "-1"]);
        self.expect(by_name.len() == ids.len(), || format!("names {by_name:?} of {ids:?}"));
        for id in &ids {
            self.key(id, &by_name);
        }
        for (digest, id) in self.hash("apikey:hash_map") {
            self.expect(ids.contains(&id), || format!("digest {digest} leads to no key {id}"));
        }
        for set in ["apikey:set:active", "apikey:set:deleted"] {
            let stray: Vec<_> = self.set(set).difference(&ids).cloned().collect();
            self.expect(stray.is_empty(), || format!("{set} has {stray:?}"));
        }
    }

    fn key(&mut self, id: &str, by_name: &[String]) {
        let key = self.hash(&format!("apikey:{id}"));
        let field = |name: &str| key.get(name).map_or("", String::as_str);
        let is_deleted = field("isDeleted") == "true";
        let is_active = field("isActive") == "true" && !is_deleted;
        self.expect(field("id") == id, || format!("{id} has id {}", field("id")));
        let member = format!("{}\0{id}", field("name").to_lowercase());
        self.expect(by_name.contains(&member), || format!("{member:?} is not in the names"));
        for (set, expected) in
            [("apikey:set:active", is_active), ("apikey:set:deleted", is_deleted)]
        {
            let is_in = self.set(set).contains(id);
            self.expect(is_in == expected, || format!("{id} in {set}: {is_in}"));
        }
        for (index, moment) in
            [("apikey:idx:createdAt", "createdAt"), ("apikey:idx:lastUsedAt", "lastUsedAt")]
        {
            let score = self.client.text(&["ZSCORE", index, id]);
            let expected = match field(moment) {
                "" => "0".to_owned(),
                text => {
                    let parsed = relay_domain::Timestamp::parse_rfc3339(text).unwrap();
                    parsed.as_millis().to_string()
                }
            };
            self.expect(score.as_deref() == Some(&expected), || {
                format!("{index} says {score:?} of {id}, not {expected}")
            });
        }
        let digest = field("apiKey").to_owned();
        let mapped = self.client.text(&["HGET", "apikey:hash_map", &digest]);
        let expected = (!is_deleted).then_some(id);
        self.expect(mapped.as_deref() == expected, || format!("the digest of {id}: {mapped:?}"));
        let tags: Vec<String> = serde_json::from_str(field("tags")).unwrap_or_default();
        for tag in tags {
            let has = self.set(&format!("apikey:tag:{tag}")).contains(id)
                && self.set("apikey:tags:all").contains(&tag);
            self.expect(has, || format!("{id} is not under its tag {tag}"));
        }
        let lifetime = self.client.text(&["TTL", &format!("apikey:{id}")]).unwrap();
        self.expect(lifetime != "-2", || format!("{id} is gone"));
        // A list as JSON, or a word that v1 makes a list of.
        let permissions = field("permissions");
        let reads = !permissions.starts_with('[')
            || serde_json::from_str::<Vec<String>>(permissions).is_ok();
        self.expect(reads, || format!("the permissions of {id}: {permissions}"));
    }

    fn accounts(&mut self) {
        for family in ["claude_console_account", "openai_responses_account"] {
            let index = format!("{family}:index");
            let listed = self.set(&index);
            let names = self.names(&format!("{family}:*"));
            let ids = names.iter().filter_map(|name| name.strip_prefix(&format!("{family}:")));
            let ids: Vec<String> =
                ids.filter(|id| !id.contains(':') && *id != "index").map(str::to_owned).collect();
            let is_empty = self.client.text(&["GET", &format!("{index}:empty")]).is_some();
            self.expect(!is_empty || ids.is_empty(), || format!("{family} is marked empty"));
            for id in ids {
                let account = self.hash(&format!("{family}:{id}"));
                if !account.contains_key("id") {
                    continue; // v1 drops these itself.
                }
                self.expect(listed.contains(&id), || format!("{id} is not in {index}"));
                let is_shared = account.get("accountType").map(String::as_str) == Some("shared");
                let shared = self.set(&format!("shared_{family}s")).contains(&id);
                self.expect(is_shared == shared, || format!("{id} is shared: {shared}"));
                let secret = account.get("apiKey").map_or("", String::as_str);
                let parts: Vec<_> = secret.split(':').collect();
                let is_sealed = parts.len() == 2
                    && parts[0].len() == 32
                    && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
                self.expect(secret.is_empty() || is_sealed, || format!("the secret of {id}"));
                let url = account.contains_key("apiUrl") || account.contains_key("baseApi");
                self.expect(url, || format!("{id} has no address"));
            }
            for id in listed {
                let there = !self.hash(&format!("{family}:{id}")).is_empty();
                self.expect(there, || format!("{index} has {id}, which is gone"));
            }
        }
    }

    /// Groups of accounts are listed, whole, and found from their members.
    fn account_groups(&mut self) {
        let listed = self.set("account_groups");
        let names = self.names("account_group:*").into_iter();
        let ids: BTreeSet<_> =
            names.map(|name| name.trim_start_matches("account_group:").to_owned()).collect();
        self.expect(listed == ids, || format!("account_groups has {listed:?} of {ids:?}"));
        let mut expected = BTreeSet::new();
        for id in ids {
            let group = self.hash(&format!("account_group:{id}"));
            for field in ["id", "name", "platform", "description", "createdAt", "updatedAt"] {
                self.expect(group.contains_key(field), || format!("group {id} has no {field}"));
            }
            let platform = group.get("platform").cloned().unwrap_or_default();
            for member in self.members(&id).unwrap_or_default() {
                expected
                    .insert((format!("account_groups_reverse:{platform}:{member}"), id.clone()));
            }
        }
        let mut found = BTreeSet::new();
        for name in self.names("account_groups_reverse:*:*") {
            found.extend(self.set(&name).into_iter().map(|id| (name.clone(), id)));
        }
        self.expect(found == expected, || format!("members find {found:?}, not {expected:?}"));
    }

    /// Bindings that Relay wrote are texts with an account and its kind. Those of a v2 it leaves alone.
    fn bindings(&mut self) {
        for stem in ["unified_claude_session_mapping:*", "unified_openai_session_mapping:*"] {
            for name in self.names(stem) {
                if self.client.text(&["TYPE", &name]).as_deref() != Some("string") {
                    continue;
                }
                let text = self.client.text(&["GET", &name]).unwrap();
                let binding: Value = serde_json::from_str(&text).unwrap_or_default();
                let whole = binding["accountId"].is_string() && binding["accountType"].is_string();
                self.expect(whole, || format!("{name}: {text}"));
            }
        }
    }

    /// A key's counters agree with each other: no day holds more than all time.
    fn usage(&mut self) {
        for name in self.names("usage:daily:*") {
            let Some(rest) = name.strip_prefix("usage:daily:") else { continue };
            let Some((id, _)) = rest.rsplit_once(':') else { continue };
            if self.client.text(&["TYPE", &name]).as_deref() != Some("hash") {
                continue;
            }
            let (day, total) = (self.hash(&name), self.hash(&format!("usage:{id}")));
            let number = |fields: &Fields, field: &str| -> u64 {
                fields.get(field).and_then(|text| text.parse().ok()).unwrap_or(0)
            };
            for (of_day, of_total) in [
                ("requests", "totalRequests"),
                ("inputTokens", "totalInputTokens"),
                ("outputTokens", "totalOutputTokens"),
                ("cacheReadTokens", "totalCacheReadTokens"),
                ("allTokens", "totalAllTokens"),
            ] {
                let fits = number(&day, of_day) <= number(&total, of_total);
                self.expect(fits, || format!("{name} counts more {of_day} than usage:{id}"));
            }
        }
    }

    fn names(&mut self, pattern: &str) -> Vec<String> {
        self.client.texts(&["KEYS", pattern])
    }

    fn set(&mut self, name: &str) -> BTreeSet<String> {
        self.client.texts(&["SMEMBERS", name]).into_iter().collect()
    }

    fn hash(&mut self, name: &str) -> Fields {
        let flat = self.client.texts(&["HGETALL", name]);
        flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }
}
