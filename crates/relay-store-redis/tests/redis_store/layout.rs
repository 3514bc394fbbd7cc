//! What is really in Redis afterwards: v1's names, fields and lifetimes, and a bound for everything.

use std::collections::BTreeMap;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use relay_domain::{
    AccountKind, Actor, AdminToken, AdminTokenId, ApiKey, AuditEntry, Event, EventId, EventKind,
    HealthEvent, KeyDigest, Limits, PenaltyReason, RecordedEvent, Timestamp, TokenScope,
    UnpricedTreatment,
};
use relay_store::contract::fixture::{
    LEASE, account, account_id, admit_request, admitted, affinity, at, checkpoint, group, key,
    key_id, model, rebind, record, request_id, rich_account, rich_key, settlement, signature,
    usage,
};
use relay_store::{
    AdminCredentials, AdmitRequest, Checkpoint, PasswordHash, SettingsChange, SettingsName,
    Settlement, Stores,
};
use relay_store_redis::{RedisOptions, RedisStore};
use relay_testkit::RedisServer;

async fn opened() -> (RedisServer, Stores, MultiplexedConnection) {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    let raw = crate::raw(&server).await;
    (server, stores, raw)
}

async fn fields(raw: &mut MultiplexedConnection, name: &str) -> BTreeMap<String, String> {
    raw.hgetall(name).await.unwrap()
}

async fn check_fields(raw: &mut MultiplexedConnection, name: &str, expected: &[(&str, &str)]) {
    let written = fields(raw, name).await;
    for (field, value) in expected {
        assert_eq!(written.get(*field).map(String::as_str), Some(*value), "{name} {field}");
    }
}

async fn set(stores: &Stores, name: SettingsName, expected: Option<&str>, next: &str) {
    let expected = expected.map(str::to_owned);
    let change = SettingsChange { name, expected, next: next.to_owned() };
    assert!(stores.settings.replace(&change).await.unwrap());
}

/// Everything that one request with everything leaves.
async fn one_of_everything(stores: &Stores) {
    stores.groups.create(&group("team-one")).await.unwrap();
    stores.keys.create(&rich_key("rich", 1)).await.unwrap();
    stores.keys.create(&key("k", 2)).await.unwrap();
    stores.accounts.create(&rich_account("rich")).await.unwrap();
    stores.accounts.create(&account("account-one")).await.unwrap();
    let now = at(0);
    let login = AdminCredentials {
        username: "admin".to_owned(),
        password_hash: PasswordHash::new("$argon2id$x".to_owned()),
        session_epoch: 3,
        created_at: now,
        updated_at: now,
    };
    stores.admin.initialise(&login).await.unwrap();
    for name in SettingsName::ALL {
        set(stores, name, None, "{}").await;
    }
    stores.idempotency.claim("n", "f", now).await.unwrap();
    stores.idempotency.answer("m", "f", "answer", now).await.unwrap();
    let token = AdminToken {
        id: AdminTokenId::try_from("t").unwrap(),
        name: "ci".to_owned(),
        digest: KeyDigest::new([5; 32]),
        scopes: vec![TokenScope::Read],
        created_by: "admin".to_owned(),
        created_at: now,
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
    };
    stores.admin_tokens.create(&token).await.unwrap();
    let entry = AuditEntry {
        seq: 0,
        at: now,
        actor: Actor::shell(),
        action: "key.create".to_owned(),
        target_kind: "key".to_owned(),
        target_id: "k".to_owned(),
        before: None,
        after: None,
    };
    stores.audit.append(&entry).await.unwrap();
    let kind = EventKind::AccountRecovered {
        account: account_id("account-one"),
        reason: PenaltyReason::RateLimited,
    };
    let told = RecordedEvent { id: EventId::new(now, 0, 1), event: Event { at: now, kind } };
    stores.events.append(&[told]).await.unwrap();
    let kind = EventKind::ModelUnpriced {
        model: model("m"),
        key: key_id("k"),
        account: None,
        treatment: UnpricedTreatment::Unknown,
    };
    let told = RecordedEvent { id: EventId::new(now, 1, 1), event: Event { at: now, kind } };
    assert!(stores.events.append_of_the_day(&told).await.unwrap());
    let limits = Limits { concurrency: Some(3), ..rich_key("rich", 1).limits };
    let affinity = Some(affinity("aa"));
    for number in 0..3 {
        let asked =
            AdmitRequest { limits, affinity: affinity.clone(), ..admit_request(number, "k", now) };
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
        let told = checkpoint(number, now.plus(LEASE), usage(1));
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
    }
    let bind = Some(rebind("aa", "account-one", at(15 * 24 * 3_600_000)));
    let ended = Settlement { bind, ..settlement(record(0, "k"), at(1)) };
    assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    assert!(stores.ledger.settle(&settlement(record(1, "k"), at(2))).await.unwrap().is_first());
}

#[tokio::test]
async fn a_key_is_stored_as_v1_stores_it() {
    let (_server, stores, mut raw) = opened().await;
    let mut rich = rich_key("rich", 1);
    (rich.is_active, rich.deleted, rich.last_used_at) = (true, None, None);
    stores.groups.create(&group("team-one")).await.unwrap();
    stores.keys.create(&rich).await.unwrap();
    let digest = "01".repeat(32);
    check_fields(
        &mut raw,
        "apikey:rich",
        &[
            ("id", "rich"),
            ("name", "第一 key 🔑"),
            ("apiKey", &digest),
            ("isActive", "true"),
            ("isDeleted", "false"),
            ("permissions", r#"["openai","claude"]"#),
            ("enableModelRestriction", "true"),
            ("restrictedModels", r#"["claude-opus-4-1","模型"]"#),
            ("claudeConsoleAccountId", "account-one"),
            ("openaiAccountId", "responses:account-two"),
            ("codexAccountId", "account-two"),
            ("concurrencyLimit", "10"),
            ("rateLimitWindow", "90"),
            ("rateLimitRequests", "100"),
            ("tokenLimit", "1000000"),
            ("rateLimitCost", "1.50"),
            ("dailyCostLimit", "2.75"),
            ("totalCostLimit", "100.000000001"),
            ("weeklyOpusCostLimit", "10.00"),
            ("tags", r#"["team a","标签"]"#),
            ("expirationMode", "activation"),
            ("isActivated", "true"),
            ("activationDays", "36"),
            ("activationUnit", "hours"),
            ("serviceRates", r#"{"bedrock":1e-6,"claude":1.25}"#),
            ("enableClientRestriction", "false"),
            ("allowedClients", r#"["claude_code"]"#),
            ("relayGroup", "team-one"),
            ("expiresAt", "2040-01-01T16:30:00.123Z"),
            ("createdAt", "2039-12-31T16:30:00.000Z"),
            ("lastUsedAt", ""),
        ],
    )
    .await;
    let by_name: Vec<String> = raw.zrange("apikey:idx:name", 0, -1).await.unwrap();
    assert_eq!(by_name, ["第一 key 🔑\0rich"]);
    let created: u64 = raw.zscore("apikey:idx:createdAt", "rich").await.unwrap();
    assert_eq!(created, at(0).as_millis());
    for set in ["apikey:idx:all", "apikey:set:active", "apikey:tag:team a", "apikey:tag:标签"] {
        assert!(raw.sismember::<_, _, bool>(set, "rich").await.unwrap(), "{set}");
    }
    let mapped: String = raw.hget("apikey:hash_map", &digest).await.unwrap();
    assert_eq!(mapped, "rich");
}

#[tokio::test]
async fn a_retiring_secret_is_none_for_v1_and_a_purged_key_leaves_nothing() {
    let (_server, stores, mut raw) = opened().await;
    let mut key = ApiKey { deleted: None, ..rich_key("gone", 1) };
    key.group = None;
    stores.keys.create(&key).await.unwrap();
    let retiring = key.retiring.unwrap().digest.to_hex();
    assert!(!raw.hexists::<_, _, bool>("apikey:hash_map", &retiring).await.unwrap());
    let id: String = raw.hget("relay:retiring_key_digests", &retiring).await.unwrap();
    assert_eq!(id, "gone");

    let () = raw.zadd("cost_rank:today", "gone", 1).await.unwrap();
    let () = raw.hset("usage:gone", "totalRequests", 1).await.unwrap();
    (key.deleted, key.retiring) = (Some(signature(at(1), "admin")), None);
    assert!(stores.keys.update(&key).await.unwrap().is_done());
    assert!(!raw.exists::<_, bool>("cost_rank:today").await.unwrap(), "out of v1's rankings");
    assert!(stores.keys.purge(&key.id, 1).await.unwrap().is_done());
    let mut names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut raw).await.unwrap();
    names.sort_unstable();
    assert_eq!(names, ["apikey:tags:all", "relay:key_changes", "relay:version:keys"]);
}

#[tokio::test]
async fn an_account_is_stored_as_v1_stores_it() {
    let (_server, stores, mut raw) = opened().await;
    let shared = relay_domain::Account { kind: AccountKind::Shared, ..rich_account("codex") };
    stores.accounts.create(&shared).await.unwrap();
    let proxy = concat!(
        r#"{"type":"socks5","host":"proxy.example","port":1080,"#,
        r#""username":"user:name","password":"sealed-password"}"#
    );
    check_fields(
        &mut raw,
        "openai_responses_account:codex",
        &[
            ("id", "codex"),
            ("platform", "openai-responses"),
            ("baseApi", "http://127.0.0.1:8080/base/path"),
            ("apiKey", "v1:other:sealed=secret"),
            ("priority", "7"),
            ("proxy", proxy),
            ("accountType", "shared"),
            ("status", "unauthorized"),
            ("rateLimitDuration", "0"),
            ("dailyQuota", "25.50"),
        ],
    )
    .await;
    let console = account("console");
    stores.accounts.create(&console).await.unwrap();
    let now = at(0);
    let until = Some(at(60_000));
    let limited = HealthEvent::RateLimited { until, rest: None, model: None };
    stores.accounts.apply_health(&console.id, &limited, now).await.unwrap().unwrap();
    check_fields(
        &mut raw,
        "claude_console_account:console",
        &[
            ("platform", "claude-console"),
            ("apiUrl", "https://upstream.example"),
            ("supportedModels", "{}"),
            ("proxy", ""),
            ("status", "rate_limited"),
            ("rateLimitedAt", &now.to_string()),
            ("rateLimitStatus", "limited"),
            ("isActive", "true"),
            ("schedulable", "true"),
        ],
    )
    .await;
    for (set, id) in [
        ("claude_console_account:index", "console"),
        ("shared_claude_console_accounts", "console"),
        ("openai_responses_account:index", "codex"),
        ("shared_openai_responses_accounts", "codex"),
    ] {
        assert!(raw.sismember::<_, _, bool>(set, id).await.unwrap(), "{set}");
    }
}

#[tokio::test]
async fn a_slot_is_a_member_of_the_set_of_v1() {
    let (_server, stores, mut raw) = opened().await;
    let limits = Limits { concurrency: Some(3), ..Limits::default() };
    let asked = AdmitRequest { limits, ..admit_request(0, "k", at(0)) };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let slots: Vec<(String, u64)> = raw.zrange_withscores("concurrency:k", 0, -1).await.unwrap();
    assert_eq!(slots, [(request_id(0).to_string(), at(0).plus(LEASE).as_millis())]);
    let long = Checkpoint { lease_until: at(900_000), ..checkpoint(0, at(0), usage(1)) };
    let brief = admit_request(1, "k", at(0));
    for (step, last) in [("admitted", at(0).plus(LEASE)), ("extended", at(900_000))] {
        let kept_until: u64 = raw.pexpire_time("concurrency:k").await.unwrap();
        assert_eq!(kept_until, last.as_millis() + 30_000, "{step}");
        assert!(stores.ledger.checkpoint(&long).await.unwrap());
    }
    for step in ["another one", "and its checkpoint"] {
        let asked = AdmitRequest { limits, ..brief.clone() };
        assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
        let told = checkpoint(1, at(0).plus(LEASE), usage(1));
        assert!(stores.ledger.checkpoint(&told).await.unwrap());
        let kept_until: u64 = raw.pexpire_time("concurrency:k").await.unwrap();
        assert_eq!(kept_until, at(930_000).as_millis(), "{step} cuts no lease short");
    }
    assert!(stores.ledger.settle(&settlement(record(1, "k"), at(1))).await.unwrap().is_first());
    assert!(stores.ledger.settle(&settlement(record(0, "k"), at(1))).await.unwrap().is_first());
    assert!(!raw.exists::<_, bool>("concurrency:k").await.unwrap());

    admitted(&stores, 2, "k", at(0)).await;
    assert!(!raw.exists::<_, bool>("concurrency:k").await.unwrap(), "no limit, no slot");
}

#[tokio::test]
async fn service_rates_are_read_and_written_where_v1_keeps_them() {
    let (_server, stores, mut raw) = opened().await;
    let of_v1 = r#"{"baseService":"claude","rates":{"claude":1.5},"updatedBy":"admin"}"#;
    let () = raw.set("system:service_rates", of_v1).await.unwrap();
    let read = stores.settings.read(SettingsName::ServiceRates).await.unwrap();
    assert_eq!(read.as_deref(), Some(of_v1));
    let next = r#"{"baseService":"claude","rates":{"claude":2}}"#;
    set(&stores, SettingsName::ServiceRates, Some(of_v1), next).await;
    assert_eq!(raw.get::<_, String>("system:service_rates").await.unwrap(), next);
    assert_eq!(raw.ttl::<_, i64>("system:service_rates").await.unwrap(), -1, "as v1's");
    set(&stores, SettingsName::PriceOverrides, None, "{}").await;
    assert_eq!(raw.get::<_, String>("relay:settings:price_overrides").await.unwrap(), "{}");
}

#[tokio::test]
async fn everything_has_a_bound_and_redis_is_never_asked_for_all_names() {
    let (_server, stores, mut raw) = opened().await;
    one_of_everything(&stores).await;
    stores.keys.list().await.unwrap();
    stores.accounts.list().await.unwrap();
    stores.ledger.reap(at(0), 10).await.unwrap();
    stores.usage.recent(10).await.unwrap();

    // What is configured, totals, what is capped or swept (holds, by the reaper), and a few fields for each who
    // has limits: everything else has a lifetime.
    let bounded = [
        "admin:credentials",
        "apikey:hash_map",
        "apikey:idx:",
        "apikey:set:",
        "apikey:tag:",
        "apikey:tags:all",
        "claude_console_account:",
        "openai_responses_account:",
        "shared_openai_responses_accounts",
        "shared_claude_console_accounts",
        "usage:k",
        "usage:cost:total:k",
        "usage:cost:real:total:k",
        "usage:opus:total:k",
        "usage:opus:real:total:k",
        "usage:global:total",
        "usage:model:monthly:months",
        "billing:events",
        "account_usage:account-one",
        "relay:hold:",
        "relay:meter:",
        "relay:usage:model:total:",
        "relay:version:",
        "relay:settings:",
        "system:service_rates",
        "relay:deleted_key_digests",
        "relay:retiring_key_digests",
        "relay:key_changes",
        "relay:key_groups",
        "relay:admin_token",
        "relay:audit",
        "relay:holds",
        "relay:records",
        "relay:stats:",
    ];
    let names: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut raw).await.unwrap();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let lifetime: i64 = raw.ttl(&name).await.unwrap();
        let is_bounded =
            name == "relay:events" || bounded.iter().any(|prefix| name.starts_with(prefix));
        assert!(lifetime > 0 || is_bounded, "{name} lives forever");
    }
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut raw).await.unwrap();
    assert!(stats.contains("cmdstat_keys:calls=1,"), "the only KEYS is this test's: {stats}");
}

#[tokio::test]
async fn the_oldest_records_go_first() {
    let server = RedisServer::start();
    let options = RedisOptions { record_capacity: 3, ..crate::options(&server) };
    let stores = RedisStore::connect(&options).await.unwrap().stores();
    let mut raw = crate::raw(&server).await;
    for number in 0..5 {
        admitted(&stores, number, "k", at(0)).await;
        assert!(
            stores.ledger.settle(&settlement(record(number, "k"), at(1))).await.unwrap().is_first()
        );
    }
    let recent = stores.usage.recent(10).await.unwrap();
    let ids: Vec<_> = recent.iter().map(|record| record.id).collect();
    assert_eq!(ids, [request_id(4), request_id(3), request_id(2)]);
    assert_eq!(stores.usage.record(request_id(1)).await.unwrap(), None);
    assert_eq!(raw.hlen::<_, u64>("relay:records").await.unwrap(), 3);

    let later = |days: u64| Timestamp::from_millis(at(0).as_millis() + days * 24 * 3_600_000);
    stores.ledger.reap(later(29), 10).await.unwrap();
    assert_eq!(stores.usage.recent(10).await.unwrap().len(), 3);
    stores.ledger.reap(later(31), 10).await.unwrap();
    assert_eq!(stores.usage.recent(10).await.unwrap(), []);
    assert!(!raw.exists::<_, bool>("relay:records").await.unwrap());
}

#[tokio::test]
async fn a_smaller_capacity_is_reached_in_bounded_steps() {
    let (_server, stores, mut raw) = opened().await;
    let old: Vec<_> = (0..1_300).map(|number| (number, format!("old-{number}"))).collect();
    let () = raw.zadd_multiple("relay:records:index", &old).await.unwrap();
    for (number, left) in [(0, 1_199), (1, 1_098), (2, 1_000), (3, 1_000)] {
        admitted(&stores, number, "k", at(0)).await;
        assert!(
            stores.ledger.settle(&settlement(record(number, "k"), at(1))).await.unwrap().is_first()
        );
        assert_eq!(raw.zcard::<_, u64>("relay:records:index").await.unwrap(), left);
    }
}
