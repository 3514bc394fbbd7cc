//! Databases that a v1 and a v2 left behind (rows of real ones), read and carried on.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use relay_domain::{
    Account, AccountId, AccountKind, AffinityKey, ApiKey, HealthEvent, KeyDigest, KeyId, NanoUsd,
    PenaltyReason, Period, Permissions, Platform, ProxySetting, Timestamp, TokenCount, TokenUsage,
    UserStanding,
};
use relay_store::contract::fixture::{
    admit_request, at, key, rebind, record, settlement, signature, user,
};
use relay_store::{
    AdminCredentials, AdmitRequest, KeyQuery, PasswordHash, Settlement, Stores, Update, UsageScope,
};
use relay_store_redis::Traces;
use relay_testkit::RedisServer;

const V1: &str = include_str!("../fixtures/v1.tsv");
const V2: &str = include_str!("../fixtures/v2.tsv");

const V1_KEY: &str = "ed32293a-3b89-473b-ac89-d2287c65052b";
const V1_ACCOUNT: &str = "9587c04b-d968-4df8-81a7-48f8307b10d1";
const V1_LIMITED_ACCOUNT: &str = "73dd5758-e82c-4fbb-a4d4-ae0cd7da5dbc";
const V1_CODEX_ACCOUNT: &str = "bdd3a26f-1155-4e4b-8f38-933467ee1e1b";
const V2_KEY: &str = "564245ffbb9c1c6f";
const V2_CODEX_ACCOUNT: &str = "e7d357ded0e3b8c4";

/// Puts rows of a database (type, lifetime in seconds, name, value; the last two as JSON) into Redis.
async fn load(raw: &mut MultiplexedConnection, rows: &str) {
    for row in rows.lines() {
        let columns: Vec<&str> = row.split('\t').collect();
        let [kind, lifetime, name, value] = columns[..] else { panic!("a row has four columns") };
        let name: String = serde_json::from_str(name).unwrap();
        let texts = || serde_json::from_str::<Vec<String>>(value).unwrap();
        match kind {
            "string" => {
                let text: String = serde_json::from_str(value).unwrap();
                raw.set::<_, _, ()>(&name, text).await.unwrap();
            }
            "hash" => {
                let fields: BTreeMap<String, String> = serde_json::from_str(value).unwrap();
                let fields: Vec<_> = fields.into_iter().collect();
                raw.hset_multiple::<_, _, _, ()>(&name, &fields).await.unwrap();
            }
            "set" => raw.sadd::<_, _, ()>(&name, texts()).await.unwrap(),
            "zset" => {
                for pair in texts().chunks(2) {
                    raw.zadd::<_, _, _, ()>(&name, &pair[0], &pair[1]).await.unwrap();
                }
            }
            other => panic!("no such type: {other}"),
        }
        let lifetime: i64 = lifetime.strip_prefix("ttl=").unwrap().parse().unwrap();
        if lifetime > 0 {
            raw.expire::<_, ()>(&name, lifetime).await.unwrap();
        }
    }
}

async fn left_by(rows: &str) -> (RedisServer, Stores, MultiplexedConnection) {
    let server = RedisServer::start();
    let mut raw = crate::raw(&server).await;
    load(&mut raw, rows).await;
    let stores = crate::store(&server).await.stores();
    (server, stores, raw)
}

fn moment(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

fn key_id(id: &str) -> KeyId {
    KeyId::try_from(id).unwrap()
}

fn account_id(id: &str) -> AccountId {
    AccountId::try_from(id).unwrap()
}

async fn fields(raw: &mut MultiplexedConnection, name: &str) -> BTreeMap<String, String> {
    raw.hgetall(name).await.unwrap()
}

#[tokio::test]
async fn a_key_of_v1_is_read() {
    let (_server, stores, _raw) = left_by(V1).await;
    let key = stores.keys.get(&key_id(V1_KEY)).await.unwrap().unwrap();
    assert_eq!(key.name, "k-one");
    assert!(key.is_active);
    assert_eq!(key.deleted, None);
    assert_eq!(key.expiry.end(), None);
    let both = Permissions::Only(vec![Platform::ClaudeConsole, Platform::Codex]);
    assert_eq!(key.permissions, both);
    assert_eq!(key.limits.concurrency, Some(3));
    let window = key.limits.window.unwrap();
    assert_eq!((window.length, window.requests), (Duration::from_hours(1), Some(100)));
    assert_eq!((window.tokens, window.cost), (None, Some(NanoUsd::from_nanos(5_000_000_000))));
    assert_eq!(key.limits.daily_cost, Some(NanoUsd::from_nanos(10_000_000_000)));
    assert_eq!(key.limits.total_cost, Some(NanoUsd::from_nanos(100_000_000_000)));
    assert_eq!(key.limits.weekly_claude_cost, Some(NanoUsd::from_nanos(50_000_000_000)));
    assert_eq!(key.tags, ["t1"]);
    assert_eq!(key.created_at, moment("2026-11-23T04:22:33.255Z"));
    assert_eq!(key.last_used_at, Some(moment("2026-11-23T04:23:35.884Z")));
    let digest = "ce95c5732a820f41e40f17e872eb58a615087e7df10979929d59e73c5a3b3a71";
    assert_eq!(key.digest, KeyDigest::from_hex(digest).unwrap());
    assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap(), Some(key.clone()));
    assert_eq!(stores.keys.list().await.unwrap(), [key], "ids whose keys are gone are passed over");
}

#[tokio::test]
async fn a_change_of_a_key_leaves_what_relay_does_not_know() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let name = format!("apikey:{V1_KEY}");
    let before = fields(&mut raw, &name).await;
    let key = stores.keys.get(&key_id(V1_KEY)).await.unwrap().unwrap();
    let updated_at = Some(at(0));
    let renamed = ApiKey { name: "New Name".to_owned(), tags: Vec::new(), updated_at, ..key };
    assert!(stores.keys.update(&renamed).await.unwrap().is_done());
    let mut expected = before;
    expected.insert("name".to_owned(), "New Name".to_owned());
    expected.insert("tags".to_owned(), "[]".to_owned());
    expected.insert("updatedAt".to_owned(), at(0).to_string());
    expected.insert("relayRevision".to_owned(), "1".to_owned());
    assert_eq!(fields(&mut raw, &name).await, expected);

    let by_name: Vec<String> = raw.zrange("apikey:idx:name", 0, -1).await.unwrap();
    assert!(by_name.contains(&format!("new name\0{V1_KEY}")), "{by_name:?}");
    assert!(!by_name.iter().any(|entry| entry.starts_with("k-one")), "{by_name:?}");
    assert!(!raw.exists::<_, bool>("apikey:tag:t1").await.unwrap(), "nobody has the tag any more");
    let lifetime: i64 = raw.ttl(&name).await.unwrap();
    assert!(31_535_900 < lifetime && lifetime <= 31_536_000, "renewed: {lifetime}");
}

#[tokio::test]
async fn a_deleted_key_is_out_for_v1_and_comes_back() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let key = stores.keys.get(&key_id(V1_KEY)).await.unwrap().unwrap();
    let digest = key.digest.to_hex();
    let deletion = signature(at(0), "admin");
    let deleted = ApiKey { deleted: Some(deletion), ..key.clone() };
    assert!(stores.keys.update(&deleted).await.unwrap().is_done());
    let deleted = ApiKey { revision: 1, ..deleted };
    assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap(), Some(deleted));
    let written = fields(&mut raw, &format!("apikey:{V1_KEY}")).await;
    assert_eq!((&*written["isDeleted"], &*written["isActive"]), ("true", "false"));
    assert!(!raw.hexists::<_, _, bool>("apikey:hash_map", &digest).await.unwrap());
    assert!(!raw.sismember::<_, _, bool>("apikey:set:active", V1_KEY).await.unwrap());
    assert!(raw.sismember::<_, _, bool>("apikey:set:deleted", V1_KEY).await.unwrap());

    let key = ApiKey { revision: 1, ..key };
    assert!(stores.keys.update(&key).await.unwrap().is_done());
    let restored = Some(ApiKey { revision: 2, ..key.clone() });
    assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap(), restored);
    let mapped: String = raw.hget("apikey:hash_map", &digest).await.unwrap();
    assert_eq!(mapped, V1_KEY);
    assert!(raw.sismember::<_, _, bool>("apikey:set:active", V1_KEY).await.unwrap());
    assert!(!raw.sismember::<_, _, bool>("apikey:set:deleted", V1_KEY).await.unwrap());
}

#[tokio::test]
async fn accounts_of_v1_are_read() {
    let (_server, stores, _raw) = left_by(V1).await;
    let listed = stores.accounts.list().await.unwrap();
    let names: Vec<_> = listed.iter().map(|account| account.name.as_str()).collect();
    assert_eq!(names, ["cons1", "c429", "oai1"]);

    let account = stores.accounts.get(&account_id(V1_ACCOUNT)).await.unwrap().unwrap();
    assert_eq!(account.platform, Platform::ClaudeConsole);
    assert_eq!(account.base_url, "http://127.0.0.1:18080/api");
    assert!(account.secret.as_stored().starts_with("e0237ade62c8e7292633bc17c3a3d514:"));
    assert_eq!(u8::from(account.priority), 10);
    assert_eq!(account.models.upstream_name("claude-sonnet-4-20250514"), Some("mapped-sonnet"));
    assert_eq!(account.proxy, ProxySetting::Direct);
    assert_eq!(account.limits.daily_cost, Some(NanoUsd::from_nanos(100_000_000_000)));
    assert_eq!(account.limits.concurrency, Some(5));
    assert_eq!(account.kind, AccountKind::Shared);
    assert_eq!(account.health.status(), "active");

    let codex = stores.accounts.get(&account_id(V1_CODEX_ACCOUNT)).await.unwrap().unwrap();
    assert_eq!(codex.platform, Platform::Codex);
    assert_eq!(codex.base_url, "http://127.0.0.1:18080/oai");
    assert_eq!(codex.user_agent, None);
}

#[tokio::test]
async fn an_account_that_v1_stopped_by_itself_rests_and_comes_back() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let id = account_id(V1_LIMITED_ACCOUNT);
    let account = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(account.is_active && account.schedulable, "no operator switched it off");
    let penalty = account.health.penalty.unwrap();
    assert_eq!(penalty.reason, PenaltyReason::RateLimited);
    let end = moment("2026-11-23T05:24:03.447Z");
    assert_eq!(penalty.until, Some(end), "v1's hour");

    let health = stores.accounts.apply_health(&id, &HealthEvent::Succeeded, end).await.unwrap();
    assert_eq!(health.unwrap().status(), "active");
    let written = fields(&mut raw, &format!("claude_console_account:{V1_LIMITED_ACCOUNT}")).await;
    for (field, value) in [
        ("status", "active"),
        ("isActive", "true"),
        ("schedulable", "true"),
        ("rateLimitedAt", ""),
        ("rateLimitStatus", ""),
        ("rateLimitAutoStopped", ""),
        ("quotaResetTime", "00:00"),
    ] {
        assert_eq!(written[field], value, "{field}");
    }

    let account = stores.accounts.get(&id).await.unwrap().unwrap();
    let off = Account { is_active: false, ..account };
    assert!(stores.accounts.update(&off).await.unwrap().is_done());
    assert!(
        !stores.accounts.get(&id).await.unwrap().unwrap().is_active,
        "an operator's word holds"
    );
}

#[tokio::test]
async fn usage_of_v1_is_read_and_carried_on() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let key = UsageScope::Key(key_id(V1_KEY));
    let day = Period::Day { year: 2026, month: 11, day: 23 };
    let hour = Period::Hour { year: 2026, month: 11, day: 23, hour: 12 };
    let usage = TokenUsage {
        input: TokenCount::new(2_140),
        output: TokenCount::new(194),
        cache_read: TokenCount::new(10_060),
        cache_write_5m: TokenCount::new(200),
        cache_write_1h: TokenCount::new(400),
    };
    for period in [Period::Total, day, hour] {
        let totals = stores.usage.totals(&key, period).await.unwrap();
        assert_eq!((totals.requests, totals.tokens), (4, usage), "{period:?}");
    }
    let account = UsageScope::Account(account_id(V1_ACCOUNT));
    assert_eq!(stores.usage.totals(&account, day).await.unwrap().requests, 2);

    let asked = AdmitRequest { key: key_id(V1_KEY), ..admit_request(0, "k", at(0)) };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let mut ended = record(0, V1_KEY);
    ended.account = Some(account_id(V1_ACCOUNT));
    let spent = ended.usage;
    assert!(stores.ledger.settle(&settlement(ended, at(1))).await.unwrap().is_first());
    let total = stores.usage.totals(&key, Period::Total).await.unwrap();
    assert_eq!((total.requests, total.tokens), (5, usage + spent));
    let written = fields(&mut raw, &format!("usage:{V1_KEY}")).await;
    assert_eq!(written["totalAllTokens"], (12_994 + spent.total().get()).to_string());
    assert_eq!(written["totalTokens"], (2_334 + 21).to_string());
    let used = fields(&mut raw, &format!("apikey:{V1_KEY}")).await;
    assert_eq!(used["lastUsedAt"], at(1).to_string());
    let score: u64 = raw.zscore("apikey:idx:lastUsedAt", V1_KEY).await.unwrap();
    assert_eq!(score, at(1).as_millis());
}

#[tokio::test]
async fn a_binding_of_v1_lasts_as_long_as_its_name() {
    let (_server, stores, _raw) = left_by(V1).await;
    let affinity = AffinityKey::try_from("9b96a1fe1d548cbbc960cc6a0286668f").unwrap();
    let asked = AdmitRequest { affinity: Some(affinity), ..admit_request(0, "k", at(0)) };
    let grant = stores.ledger.admit(&asked).await.unwrap().decision.unwrap();
    let binding = grant.binding.unwrap();
    assert_eq!(binding.account, account_id(V1_ACCOUNT));
    let left = binding.until.since(at(0)).as_secs();
    assert!(3_000 < left && left <= 3_292, "{left}");
}

#[tokio::test]
async fn keys_of_v2_are_found_without_an_index() {
    let (_server, stores, mut raw) = left_by(V2).await;
    let listed = stores.keys.list().await.unwrap();
    let ids: Vec<_> = listed.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["564245ffbb9c1c6f", "879efb2a3eb273f0"]);
    let key = stores.keys.get(&key_id(V2_KEY)).await.unwrap().unwrap();
    assert_eq!(key.name, "n2");
    assert!(!key.is_active);
    assert_eq!(key.deleted, None);
    assert_eq!(key.permissions, Permissions::Only(vec![Platform::ClaudeConsole]));
    assert_eq!(key.restricted_models.in_force(), ["m1"]);
    assert_eq!((key.expiry.due(), key.expiry.end()), (Some(Duration::from_hours(30)), None));
    assert_eq!(key.limits.daily_cost, Some(NanoUsd::from_nanos(1_250_000_000)));
    assert_eq!(key.limits.window, None);
    assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap(), Some(key.clone()));
    let indexed: Vec<String> = raw.smembers("apikey:idx:all").await.unwrap();
    assert_eq!(indexed.len(), 2, "they are in v1's indexes now");

    let end = stores.keys.activate(&key.id, at(0), at(9)).await.unwrap();
    assert_eq!(end, Some(at(9)));
    let written = fields(&mut raw, &format!("apikey:{V2_KEY}")).await;
    assert_eq!(written["icon"], "i");
    assert_eq!((&*written["isActivated"], &*written["expiresAt"]), ("true", &*at(9).to_string()));
}

#[tokio::test]
async fn accounts_of_v2_are_found_without_an_index() {
    let (_server, stores, mut raw) = left_by(V2).await;
    let listed = stores.accounts.list().await.unwrap();
    let ids: Vec<_> = listed.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids, ["08a03886bddea1d5", V2_CODEX_ACCOUNT, "2826fefc97caa164"]);
    let codex = stores.accounts.get(&account_id(V2_CODEX_ACCOUNT)).await.unwrap().unwrap();
    assert_eq!(codex.platform, Platform::Codex);
    assert_eq!(codex.base_url, "http://127.0.0.1:18080/s429");
    let penalty = codex.health.penalty.unwrap();
    assert_eq!(penalty.until, Some(moment("2026-11-23T05:27:37.058Z")), "no longer forever");

    let renamed = Account { name: "renamed".to_owned(), ..codex };
    assert!(stores.accounts.update(&renamed).await.unwrap().is_done());
    let written = fields(&mut raw, &format!("codex_account:{V2_CODEX_ACCOUNT}")).await;
    assert_eq!(written["name"], "renamed", "changed where it is");
    assert!(stores.accounts.delete(&renamed.id).await.unwrap().is_some());
    assert_eq!(stores.accounts.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_binding_of_v2_is_none_and_is_replaced() {
    let (_server, stores, mut raw) = left_by(V2).await;
    let conversation = "7a72131bf1ec0604107dcf201fb2274e";
    let affinity = AffinityKey::try_from(conversation).unwrap();
    let asked = |number| AdmitRequest {
        affinity: Some(affinity.clone()),
        ..admit_request(number, "k", at(0))
    };
    let grant = stores.ledger.admit(&asked(0)).await.unwrap().decision.unwrap();
    assert_eq!(grant.binding, None);
    let bind = Some(rebind(conversation, "account-one", at(60_000)));
    let ended = Settlement { bind, ..settlement(record(0, "k"), at(1)) };
    assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    let name = format!("unified_claude_session_mapping:{conversation}");
    let json: String = raw.get(&name).await.unwrap();
    let expected = format!(
        r#"{{"accountId":"account-one","accountType":"claude-console","until":{}}}"#,
        at(60_000).as_millis()
    );
    assert_eq!(json, expected);
    let grant = stores.ledger.admit(&asked(1)).await.unwrap().decision.unwrap();
    assert_eq!(grant.binding.unwrap().account, account_id("account-one"));
}

#[tokio::test]
async fn the_login_of_v2_is_read() {
    let (_server, stores, _raw) = left_by(V2).await;
    let login = stores.admin.credentials().await.unwrap().unwrap();
    assert_eq!(login.username, "admin");
    assert!(login.password_hash.as_stored().starts_with("682c214c02786a4d1238d06a844fa1b8."));
    assert_eq!(login.created_at, Timestamp::from_millis(1_795_407_888_686));
    assert_eq!(login.session_epoch, 0);
}

async fn store_left_by(rows: &str) -> (RedisServer, relay_store_redis::RedisStore) {
    let server = RedisServer::start();
    load(&mut crate::raw(&server).await, rows).await;
    let store = crate::store(&server).await;
    (server, store)
}

#[tokio::test]
async fn a_survey_tells_what_is_there_and_changes_nothing() {
    for (rows, is_v1, keys) in [(V1, true, 1), (V2, false, 2)] {
        let (server, store) = store_left_by(rows).await;
        let mut raw = crate::raw(&server).await;
        let before: u64 = redis::cmd("DBSIZE").query_async(&mut raw).await.unwrap();
        let survey = store.survey().await.unwrap();
        assert_eq!(
            (survey.traces.v1, survey.traces.v2, survey.traces.relay),
            (is_v1, !is_v1, false)
        );
        assert_eq!(survey.keys, keys);
        assert_eq!(store.survey().await.unwrap(), survey);
        let after: u64 = redis::cmd("DBSIZE").query_async(&mut raw).await.unwrap();
        assert_eq!(before, after);
    }
}

#[tokio::test]
async fn adopting_makes_the_indexes_right_and_is_done_once() {
    let (server, store) = store_left_by(V2).await;
    let mut raw = crate::raw(&server).await;
    // About nothing, wrong, and marked empty though it is not.
    raw.sadd::<_, _, ()>("apikey:idx:all", "gone").await.unwrap();
    raw.zadd::<_, _, _, ()>("apikey:idx:name", format!("old name\0{V2_KEY}"), 0).await.unwrap();
    raw.sadd::<_, _, ()>("apikey:set:active", V2_KEY).await.unwrap();
    raw.sadd::<_, _, ()>("apikey:tag:gone", V2_KEY).await.unwrap();
    raw.hset::<_, _, _, ()>("apikey:hash_map", "00", "gone").await.unwrap();
    raw.set::<_, _, ()>("claude_console_account:index:empty", "1").await.unwrap();
    // A secret that was replaced, in no index, and entries about a key that has none and about no key.
    let retiring =
        relay_domain::key::RetiringSecret { digest: KeyDigest::new([9; 32]), until: at(1_000) };
    let rotated = ApiKey { retiring: Some(retiring), ..key("rotated", 7) };
    store.stores().keys.create(&rotated).await.unwrap();
    let index = "relay:retiring_key_digests";
    raw.del::<_, ()>(index).await.unwrap();
    for (digest, id) in [("01", "rotated"), ("02", "gone")] {
        raw.hset::<_, _, _, ()>(index, digest, id).await.unwrap();
    }
    let found = store.adopt().await.unwrap();
    assert!(!found.repairs.is_empty());
    assert_eq!(store.survey().await.unwrap().repairs, []);
    let all: Vec<String> = raw.smembers("apikey:idx:all").await.unwrap();
    assert_eq!(all.len(), 3, "{all:?}");
    let retiring: BTreeMap<String, String> = raw.hgetall(index).await.unwrap();
    assert_eq!(retiring, BTreeMap::from([("09".repeat(32), "rotated".to_owned())]));
    let names: Vec<String> = raw.zrange("apikey:idx:name", 0, -1).await.unwrap();
    assert!(names.contains(&format!("n2\0{V2_KEY}")) && names.len() == 3, "{names:?}");
    assert!(!raw.sismember::<_, _, bool>("apikey:set:active", V2_KEY).await.unwrap());
    assert!(!raw.exists::<_, bool>("apikey:tag:gone").await.unwrap());
    assert!(!raw.hexists::<_, _, bool>("apikey:hash_map", "00").await.unwrap());
    assert!(!raw.exists::<_, bool>("claude_console_account:index:empty").await.unwrap());
    let version: String = raw.get("apikey:index:version").await.unwrap();
    assert_eq!(version, "2");
}

#[tokio::test]
async fn what_v1_charged_is_told_where_relay_has_counted_nothing() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let key = KeyId::try_from("of-v1").unwrap();
    let day = Period::Day { year: 2026, month: 11, day: 23 };
    let hour = Period::Hour { year: 2026, month: 11, day: 23, hour: 9 };
    for name in ["usage:of-v1", "usage:daily:of-v1:2026-11-23", "usage:hourly:of-v1:2026-11-23:09"]
    {
        raw.hset::<_, _, _, ()>(name, "requests", 1).await.unwrap();
    }
    for (name, dollars) in [
        ("usage:cost:total:of-v1", "2.5"),
        ("usage:cost:real:total:of-v1", "1.25"),
        ("usage:cost:daily:of-v1:2026-11-23", "0.5"),
        ("usage:cost:real:daily:of-v1:2026-11-23", "0.25"),
        ("usage:cost:hourly:of-v1:2026-11-23:09", "1e-7"),
    ] {
        raw.set::<_, _, ()>(name, dollars).await.unwrap();
    }
    let scope = UsageScope::Key(key);
    for (period, charged, cost) in [
        (Period::Total, 2_500_000_000, 1_250_000_000),
        (day, 500_000_000, 250_000_000),
        (hour, 100, 100),
    ] {
        let totals = stores.usage.totals(&scope, period).await.unwrap();
        let amounts = (totals.charged.as_nanos(), totals.cost.as_nanos());
        assert_eq!(amounts, (charged, cost), "{period:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_told_and_left_alone() {
    let (server, store) = store_left_by(V1).await;
    let mut raw = crate::raw(&server).await;
    raw.hset::<_, _, _, ()>("apikey:broken", "name", "no digest").await.unwrap();
    raw.hset::<_, _, _, ()>("claude_console_account:ghost", "status", "active").await.unwrap();
    raw.sadd::<_, _, ()>("apikey:idx:all", "broken").await.unwrap();
    let told: Vec<_> =
        store.adopt().await.unwrap().unreadable.into_iter().map(|entry| entry.name).collect();
    assert_eq!(told, ["apikey:broken", "claude_console_account:ghost"]);
    assert!(raw.sismember::<_, _, bool>("apikey:idx:all", "broken").await.unwrap());
}

#[tokio::test]
async fn the_end_of_a_key_is_read_as_v1_reads_it_and_stays_as_it_was_written() {
    let (server, store) = store_left_by(V1).await;
    let mut raw = crate::raw(&server).await;
    let keys = store.stores().keys;
    let name = format!("apikey:{V1_KEY}");
    for (text, end) in [
        (
            "Wed Dec 31 2031 10:00:00 GMT+0800 (China Standard Time)",
            Some("2031-12-31T02:00:00.000Z"),
        ),
        ("2031-12-31T10:00:00+0800", Some("2031-12-31T02:00:00.000Z")),
        // In the operator's time.
        ("2031/12/31", Some("2031-12-30T16:00:00.000Z")),
        ("Dec 31, 2031", Some("2031-12-30T16:00:00.000Z")),
        ("12/31/2031", Some("2031-12-30T16:00:00.000Z")),
        ("1/1/1960", Some("1970-01-01T00:00:00.000Z")),
        ("never\u{7}", None),
    ] {
        raw.hset::<_, _, _, ()>(&name, "expiresAt", text).await.unwrap();
        let key = keys.get(&key_id(V1_KEY)).await.unwrap().unwrap();
        assert_eq!(keys.find_by_digest(&[key.digest]).await.unwrap(), Some(key.clone()));
        assert_eq!(key.expiry.end(), end.map(moment), "{text:?}");
        let told = store.survey().await.unwrap().unreadable_ends;
        let named = if end.is_none() { vec![(V1_KEY.to_owned(), text.to_owned())] } else { vec![] };
        assert_eq!((told.keys, told.first), (named.len(), named), "{text:?}");

        let renamed = ApiKey { name: format!("now {text}"), ..key };
        assert!(keys.update(&renamed).await.unwrap().is_done());
        store.adopt().await.unwrap();
        assert_eq!(fields(&mut raw, &name).await["expiresAt"], text);
    }
}

#[tokio::test]
async fn keys_that_are_served_otherwise_than_before_are_named() {
    let (server, store) = store_left_by(V2).await;
    let mut raw = crate::raw(&server).await;
    let name = format!("apikey:{V2_KEY}");
    let told = async || {
        let survey = store.survey().await.unwrap();
        [survey.token_limits_of_v2, survey.users_in_vain, survey.groups_in_vain]
            .map(|remark| (remark.keys, remark.first))
    };
    let about = |what: &str| (1, vec![(V2_KEY.to_owned(), what.to_owned())]);
    let none = || (0, Vec::new());
    assert_eq!(told().await, [none(), about("u1"), none()], "a user who is not there");
    raw.set::<_, _, ()>("user:u1", r#"{"id":"u1","isActive":false}"#).await.unwrap();
    raw.hset::<_, _, _, ()>(&name, "rateLimitWindow", "60").await.unwrap();
    raw.hset::<_, _, _, ()>(&name, "relayGroup", "team").await.unwrap();
    assert_eq!(told().await, [about("1000000"), about("u1"), about("team")]);
    raw.set::<_, _, ()>("user:u1", r#"{"id":"u1","isActive":true}"#).await.unwrap();
    raw.hset::<_, _, _, ()>(&name, "tokenLimit", "0").await.unwrap();
    raw.hset::<_, _, _, ()>("relay:key_groups", "team", "{}").await.unwrap();
    assert_eq!(told().await, [none(), none(), none()]);
    raw.del::<_, ()>(&["user:u1", "relay:key_groups"]).await.unwrap();
    raw.hset::<_, _, _, ()>(&name, "isDeleted", "true").await.unwrap();
    assert_eq!(told().await, [none(), none(), none()], "a deleted key serves nobody");
}

#[tokio::test]
async fn an_index_of_keys_is_no_key() {
    let (_server, stores, _raw) = left_by(V1).await;
    let id = key_id("hash_map");
    assert_eq!(stores.keys.get(&id).await.unwrap(), None);
    assert_eq!(stores.keys.update(&key("hash_map", 1)).await.unwrap(), Update::Absent);
    assert_eq!(stores.keys.purge(&id, 0).await.unwrap(), Update::Absent);
    assert_eq!(stores.keys.activate(&id, at(0), at(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_key_is_refused_whose_user_is_not_there_or_not_active() {
    let (_server, stores, mut raw) = left_by(V2).await;
    let keys = &stores.keys;
    let name = format!("apikey:{V2_KEY}");
    let key = keys.get(&key_id(V2_KEY)).await.unwrap().unwrap();
    assert_eq!(key.user.id(), "u1");
    let user = fields(&mut raw, &name).await["userUsername"].clone();
    assert_eq!(key.user.username, user);
    for (json, standing) in [
        (None, UserStanding::Disabled),
        (Some(r#"{"id":"u1","isActive":false}"#), UserStanding::Disabled),
        (Some("no JSON"), UserStanding::Disabled),
        (Some(r#"{"id":"u1","isActive":true}"#), UserStanding::Active),
    ] {
        match json {
            Some(json) => raw.set::<_, _, ()>("user:u1", json).await.unwrap(),
            None => raw.del::<_, ()>("user:u1").await.unwrap(),
        }
        let query = KeyQuery { limit: 10, ..KeyQuery::default() };
        let page = keys.page(&query).await.unwrap();
        for key in [
            keys.get(&key.id).await.unwrap(),
            keys.find_by_digest(&[key.digest]).await.unwrap(),
            keys.list().await.unwrap().into_iter().find(|listed| listed.id == key.id),
            page.items.into_iter().find(|listed| listed.id == key.id),
        ] {
            assert_eq!(key.unwrap().user.standing(), Some(standing), "{json:?}");
        }
        let kept: Option<String> = raw.get("user:u1").await.unwrap();
        assert_eq!(kept.as_deref(), json, "it is never written");
    }

    // Of a user whom nothing is known of, the key's new one is no better.
    let mut given = keys.get(&key.id).await.unwrap().unwrap();
    given.user.set_id("u2".to_owned());
    assert!(keys.update(&given).await.unwrap().is_done());
    let given = keys.get(&key.id).await.unwrap().unwrap();
    assert!(given.user.is_disabled());
    let mut freed = given;
    freed.user.set_id(String::new());
    assert!(keys.update(&freed).await.unwrap().is_done());
    assert_eq!(keys.get(&key.id).await.unwrap().unwrap().user.standing(), None);
}

#[tokio::test]
async fn an_imported_key_stands_as_its_user_did_until_this_store_knows_the_user() {
    let server = RedisServer::start();
    let mut raw = crate::raw(&server).await;
    let keys = crate::store(&server).await.stores().keys;
    let key = ApiKey { user: user(UserStanding::Active), ..key("moved", 1) };
    keys.import(&key).await.unwrap();
    let standing = async || keys.get(&key.id).await.unwrap().unwrap().user.standing();
    assert_eq!(standing().await, Some(UserStanding::Active));
    raw.set::<_, _, ()>("user:user-one", r#"{"isActive":false}"#).await.unwrap();
    assert_eq!(standing().await, Some(UserStanding::Disabled), "v1's word counts");
    raw.del::<_, ()>("user:user-one").await.unwrap();
    let mut given = keys.get(&key.id).await.unwrap().unwrap();
    for id in ["other", "user-one"] {
        given.user.set_id(id.to_owned());
        assert!(keys.update(&given).await.unwrap().is_done());
        assert_eq!(standing().await, Some(UserStanding::Disabled), "it was said of another user");
        given = keys.get(&key.id).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_short_rest_of_v1_is_kept_until_it_ends_or_an_operator_comes() {
    let (server, stores, mut raw) = left_by(V1).await;
    let rest = |kind: &str, at: Timestamp| {
        format!(
            r#"{{"statusCode":529,"errorType":"{kind}","markedAt":"{at}","ttlSeconds":600,"cooldownSeconds":600,"expiresAt":""}}"#
        )
    };
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(&mut raw).await.unwrap();
    let at = Timestamp::from_millis(seconds * 1_000 + micros / 1_000);
    let end = at.plus(Duration::from_mins(10));
    let names = [
        (V1_ACCOUNT, format!("temp_unavailable:claude-console:{V1_ACCOUNT}")),
        (V1_CODEX_ACCOUNT, format!("temp_unavailable:openai-responses:{V1_CODEX_ACCOUNT}")),
    ];
    for (id, name) in &names {
        let id = account_id(id);
        raw.set::<_, _, ()>(name, rest("overload", at)).await.unwrap();
        let account = stores.accounts.get(&id).await.unwrap().unwrap();
        assert_eq!(account.health.penalty, None, "one that would never end is none");
        let survey = crate::store(&server).await.survey().await.unwrap();
        assert_eq!(survey.endless_rests_of_v1, 1, "and is told as none");
        let end_ms = i64::try_from(end.as_millis()).unwrap();
        raw.pexpire_at::<_, ()>(name, end_ms).await.unwrap();
        let account = stores.accounts.get(&id).await.unwrap().unwrap();
        let penalty = account.health.penalty.unwrap();
        assert_eq!((penalty.reason, penalty.until), (PenaltyReason::Overloaded, Some(end)));
        let listed = stores.accounts.list().await.unwrap();
        assert!(listed.contains(&account), "in the list");
        let before: i64 = raw.ttl(name).await.unwrap();
        assert!(0 < before, "it is not written");
    }
    assert_eq!(crate::store(&server).await.survey().await.unwrap().rests_of_v1, 2);

    let id = account_id(V1_ACCOUNT);
    let late = at.plus(Duration::from_mins(1));
    let health = stores.accounts.apply_health(&id, &HealthEvent::Succeeded, late).await.unwrap();
    assert_eq!(health.unwrap().status(), "overloaded", "a late success heals nothing");
    let health = stores.accounts.apply_health(&id, &HealthEvent::Reset, late).await.unwrap();
    assert_eq!(health.unwrap().status(), "active");
    let account = stores.accounts.get(&id).await.unwrap().unwrap();
    assert_eq!(account.health.penalty, None);
    assert!(!raw.exists::<_, bool>(&names[0].1).await.unwrap(), "to v1 it is well too");
    assert!(raw.exists::<_, bool>(&names[1].1).await.unwrap(), "the other one rests on");
}

#[tokio::test]
async fn an_account_that_v1_found_unauthorized_waits_for_an_operator() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let id = account_id(V1_ACCOUNT);
    let name = format!("claude_console_account:{V1_ACCOUNT}");
    let marked = [
        ("status", "unauthorized"),
        ("schedulable", "false"),
        ("unauthorizedAt", "2026-11-23T04:24:04.480Z"),
    ];
    raw.hset_multiple::<_, _, _, ()>(&name, &marked).await.unwrap();
    let account = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(account.schedulable, "no operator switched it off");
    let penalty = account.health.penalty.unwrap();
    assert_eq!((penalty.reason, penalty.until), (PenaltyReason::Unauthorized, None));

    let described = Account { description: "described".to_owned(), ..account.clone() };
    assert!(stores.accounts.update(&described).await.unwrap().is_done());
    let written = fields(&mut raw, &name).await;
    for (field, value) in marked {
        assert_eq!(written[field], value, "{field} is v1's");
    }

    let described = stores.accounts.get(&id).await.unwrap().unwrap();
    let off = Account { schedulable: false, ..described };
    assert!(stores.accounts.update(&off).await.unwrap().is_done());
    let off = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(!off.schedulable, "an operator's word holds");
    assert_eq!(off.health.status(), "unauthorized");
    assert_eq!(off.health.penalty.unwrap().since, penalty.since, "since then, as before");
    let marked = [marked[0], marked[1], ("unauthorizedAt", "2026-11-23T04:25:00.000Z")];
    raw.hset_multiple::<_, _, _, ()>(&name, &marked).await.unwrap();
    let health = stores.accounts.apply_health(&id, &HealthEvent::Reset, at(0)).await.unwrap();
    assert_eq!(health.unwrap().status(), "active");
    let well = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(well.schedulable && well.health.penalty.is_none());
    let written = fields(&mut raw, &name).await;
    assert_eq!((&*written["status"], &*written["schedulable"]), ("active", "true"));
}

#[tokio::test]
async fn an_account_that_an_operator_switched_off_stays_off_though_v1_found_it_unauthorized() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let id = account_id(V1_ACCOUNT);
    let name = format!("claude_console_account:{V1_ACCOUNT}");
    let marked = [
        ("status", "unauthorized"),
        ("isActive", "false"),
        ("schedulable", "false"),
        ("unauthorizedAt", "2026-11-23T04:24:04.480Z"),
    ];
    raw.hset_multiple::<_, _, _, ()>(&name, &marked).await.unwrap();
    let account = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(!account.is_active);
    let described = Account { description: "described".to_owned(), ..account };
    assert!(stores.accounts.update(&described).await.unwrap().is_done());
    let written = fields(&mut raw, &name).await;
    for (field, value) in marked {
        assert_eq!(written[field], value, "{field}");
    }
    stores.accounts.apply_health(&id, &HealthEvent::Reset, at(0)).await.unwrap();
    let well = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(!well.is_active && well.health.penalty.is_none(), "well, and off");
    assert_eq!(fields(&mut raw, &name).await["isActive"], "false");

    raw.hset_multiple::<_, _, _, ()>(&name, &marked).await.unwrap();
    let off = stores.accounts.get(&id).await.unwrap().unwrap();
    let on = Account { is_active: true, ..off };
    assert!(stores.accounts.update(&on).await.unwrap().is_done());
    let on = stores.accounts.get(&id).await.unwrap().unwrap();
    assert!(on.is_active && on.schedulable, "the operator switched it on");
    assert_eq!(on.health.status(), "unauthorized");
    assert_eq!(on.health.penalty.unwrap().since, moment("2026-11-23T04:24:04.480Z"));
}

#[tokio::test]
async fn a_survey_is_true_after_relay_itself_has_run() {
    let server = RedisServer::start();
    let store = crate::store(&server).await;
    let stores = store.stores();
    let login = AdminCredentials {
        username: "admin".to_owned(),
        password_hash: PasswordHash::new("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".to_owned()),
        session_epoch: 0,
        created_at: at(0),
        updated_at: at(0),
    };
    assert!(stores.admin.initialise(&login).await.unwrap());
    let traces = store.survey().await.unwrap().traces;
    assert_eq!((traces.v1, traces.v2, traces.relay), (false, false, true), "a login alone");

    stores.keys.create(&key("k", 1)).await.unwrap();
    let mut asked = admit_request(0, "k", at(0));
    asked.affinity = None;
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    store.adopt().await.unwrap();
    let survey = store.survey().await.unwrap();
    let Traces { v1, v2, relay, .. } = survey.traces;
    assert_eq!((v1, v2, relay), (false, false, true));
    assert_eq!(survey.untouched, BTreeMap::new(), "it leaves nothing alone that it writes");
    assert_eq!(survey.repairs, []);
    assert!(10 < survey.kept_in_step, "{}", survey.kept_in_step);
}

#[tokio::test]
async fn the_login_of_v1_is_found_in_its_own_place() {
    let (_server, stores, mut raw) = left_by(V1).await;
    let fields = [
        ("username", "cr_admin"),
        ("passwordHash", "$2a$10$x"),
        ("createdAt", "2026-11-23T04:21:58.000Z"),
    ];
    raw.hset_multiple::<_, _, _, ()>("session:admin_credentials", &fields).await.unwrap();
    let login = stores.admin.predecessor().await.unwrap().unwrap();
    assert_eq!((login.username.as_str(), login.session_epoch), ("cr_admin", 0));
    assert_eq!(login.password_hash.as_stored(), "$2a$10$x");
    assert_eq!(stores.admin.credentials().await.unwrap(), None, "it is not taken by looking");
}
