//! What the suite stores: a test states only what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use relay_domain::{
    Account, AccountBinding, AccountGroup, AccountGroupId, AccountHealth, AccountId, AccountKind,
    AffinityKey, ApiKey, AttemptOutcome, AttemptRecord, BudgetPolicy, Calendar, CostBreakdown,
    Edit, Expiry, ExpiryMode, GroupId, KeyDigest, KeyGroup, KeyId, KeyUser, Lifetime, Limits,
    ModelMap, ModelName, Multiplier, NanoUsd, OnDisconnect, Outcome, Penalty, PenaltyReason,
    PeriodStarts, Permissions, Platform, Priority, Proxy, ProxyAuth, ProxyScheme, ProxySetting,
    RateWindow, RequestId, RequestRecord, RequestTimes, Restriction, RetiringSecret, SealedSecret,
    ServedTerms, Service, ServiceRates, ServiceTier, Signature, Timestamp, TokenCount, TokenUsage,
    UnpricedPolicy, UsageSource, UserStanding, VerdictRecord, WaitQueue, WindowCaps,
};
use tokio::task::JoinSet;

use crate::{
    AdmitRequest, Binding, Charge, Checkpoint, Estimate, Progress, Rebind, Settlement, Stores,
};

/// 2039-12-31T16:30:00Z: in the fixture's calendar half past midnight of the first day of 2040.
pub const NOW: Timestamp = Timestamp::from_millis(2_208_961_800_000);
/// How long the fixture's requests are held.
pub const LEASE: Duration = Duration::from_mins(1);

/// How long every store of the suite is told to keep records.
pub const RECORD_LIFETIME: Duration = Duration::from_hours(24 * 30);

/// The calendar that every store of the suite is made with: eight hours ahead of UTC.
pub fn calendar() -> Calendar {
    Calendar::with_offset_minutes(480).unwrap()
}

/// So many milliseconds after [`NOW`].
pub fn at(millis: u64) -> Timestamp {
    NOW.plus(Duration::from_millis(millis))
}

/// A key's id.
pub fn key_id(raw: &str) -> KeyId {
    KeyId::try_from(raw).unwrap()
}

/// An account's id.
pub fn account_id(raw: &str) -> AccountId {
    AccountId::try_from(raw).unwrap()
}

/// A group's id.
pub fn group_id(raw: &str) -> GroupId {
    GroupId::try_from(raw).unwrap()
}

/// A model's name.
pub fn model(raw: &str) -> ModelName {
    ModelName::try_from(raw).unwrap()
}

/// A conversation.
pub fn affinity(raw: &str) -> AffinityKey {
    AffinityKey::try_from(raw).unwrap()
}

/// The `number`th request's id; a greater number is a later request.
pub fn request_id(number: u8) -> RequestId {
    RequestId::new(at(u64::from(number)), u128::from(number))
}

/// When and by whom, as an operator.
pub fn signature(at: Timestamp, by: &str) -> Signature {
    Signature { at, by: by.to_owned(), by_type: "admin".to_owned() }
}

/// A user of v1's, who is not in the store.
pub fn user(standing: UserStanding) -> KeyUser {
    KeyUser::new("user-one".to_owned(), "王".to_owned(), standing)
}

/// A group with a budget.
pub fn group(id: &str) -> KeyGroup {
    KeyGroup {
        id: group_id(id),
        name: "团队 one".to_owned(),
        description: "two\nlines".to_owned(),
        limits: rich_key(id, 0).limits,
        created_at: NOW,
        updated_at: None,
        revision: 0,
    }
}

/// A key that may do everything, under a digest made of `digest`.
pub fn key(id: &str, digest: u8) -> ApiKey {
    ApiKey {
        id: key_id(id),
        digest: KeyDigest::new([digest; 32]),
        retiring: None,
        name: id.to_owned(),
        description: String::new(),
        icon: String::new(),
        is_active: true,
        deleted: None,
        restored: None,
        expiry: Expiry::NEVER,
        permissions: Permissions::All,
        restricted_models: Restriction::default(),
        allowed_clients: Restriction::default(),
        claude_binding: AccountBinding::Pool,
        codex_binding: AccountBinding::Pool,
        group: None,
        limits: Limits::default(),
        idle_window: WindowCaps::default(),
        service_rates: ServiceRates::default(),
        unpriced: None,
        queue: None,
        tags: Vec::new(),
        user: KeyUser::default(),
        created_by: "admin".to_owned(),
        created_at: NOW,
        updated_at: None,
        last_used_at: None,
        revision: 0,
    }
}

/// A key with something in every field.
pub fn rich_key(id: &str, digest: u8) -> ApiKey {
    ApiKey {
        name: "第一 key 🔑".to_owned(),
        description: "two\nlines, \"quoted\"".to_owned(),
        icon: "🔑".to_owned(),
        is_active: false,
        deleted: Some(signature(at(7), "someone else")),
        restored: Some(signature(at(6), "another one")),
        retiring: Some(RetiringSecret { digest: KeyDigest::new([!digest; 32]), until: at(9_000) }),
        expiry: Expiry {
            mode: ExpiryMode::Activation,
            at: Some(at(86_400_123)),
            lifetime: Lifetime::hours(36),
            is_activated: true,
            activated_at: Some(at(123)),
        },
        permissions: Permissions::Only(vec![Platform::Codex, Platform::ClaudeConsole]),
        restricted_models: Restriction::of(vec!["claude-opus-4-1".to_owned(), "模型".to_owned()]),
        allowed_clients: Restriction { is_on: false, names: vec!["claude_code".to_owned()] },
        group: Some(group_id("team-one")),
        claude_binding: AccountBinding::Account(account_id("account-one")),
        codex_binding: AccountBinding::Account(account_id("account-two")),
        limits: Limits {
            concurrency: Some(10),
            window: Some(RateWindow {
                length: Duration::from_mins(90),
                requests: Some(100),
                tokens: Some(1_000_000),
                cost: Some(NanoUsd::from_nanos(1_500_000_000)),
            }),
            daily_cost: Some(NanoUsd::from_nanos(2_750_000_000)),
            weekly_cost: Some(NanoUsd::from_nanos(7_000_000_000)),
            monthly_cost: Some(NanoUsd::from_nanos(30_000_000_000)),
            total_cost: Some(NanoUsd::from_nanos(100_000_000_001)),
            weekly_claude_cost: Some(NanoUsd::from_nanos(10_000_000_000)),
            starts: PeriodStarts { day_minute: 0, week_day: 3, week_hour: 10 },
            budget_policy: BudgetPolicy::Hard,
        },
        service_rates: [
            (Service::Claude, Multiplier::from_micros(1_250_000)),
            (Service::Bedrock, Multiplier::from_micros(1)),
        ]
        .into_iter()
        .collect(),
        unpriced: Some(UnpricedPolicy::Fallback),
        queue: Some(WaitQueue { max_waiting: 3, deadline: Duration::from_millis(12_500) }),
        tags: vec!["team a".to_owned(), "标签".to_owned()],
        user: user(UserStanding::Disabled),
        created_by: "operator".to_owned(),
        updated_at: Some(at(5)),
        last_used_at: Some(at(6)),
        ..key(id, digest)
    }
}

/// A group of Claude Console accounts.
pub fn account_group(id: &str, members: &[&str]) -> AccountGroup {
    AccountGroup {
        id: AccountGroupId::try_from(id).unwrap(),
        name: format!("组 {id}"),
        platform: Platform::ClaudeConsole,
        description: "two\nlines, \"quoted\"".to_owned(),
        members: members.iter().map(|member| account_id(member)).collect(),
        created_at: at(3),
        updated_at: None,
        revision: 0,
    }
}

/// A healthy account that is reached directly.
pub fn account(id: &str) -> Account {
    Account {
        id: account_id(id),
        platform: Platform::ClaudeConsole,
        name: id.to_owned(),
        description: String::new(),
        base_url: "https://upstream.example".to_owned(),
        secret: SealedSecret::new("sealed-secret".to_owned()),
        priority: Priority::DEFAULT,
        models: ModelMap::default(),
        user_agent: None,
        proxy: ProxySetting::Direct,
        is_active: true,
        schedulable: true,
        kind: AccountKind::Shared,
        rate_limit_minutes: 60,
        limits: Limits::default(),
        rate: Multiplier::ONE,
        subscription_ends: None,
        on_disconnect: OnDisconnect::Abort,
        error_message: String::new(),
        health: AccountHealth::default(),
        created_at: NOW,
        updated_at: None,
        last_used_at: None,
        revision: 0,
    }
}

/// An account with something in every field.
pub fn rich_account(id: &str) -> Account {
    let auth = ProxyAuth {
        username: "user:name".to_owned(),
        password: SealedSecret::new("sealed-password".to_owned()),
    };
    let penalty = |reason, until, streak| Penalty { reason, since: at(3), until, streak };
    let models = BTreeMap::from([
        ("claude-sonnet-4-5".to_owned(), "sonnet 🚀".to_owned()),
        ("claude-opus-4-1".to_owned(), String::new()),
    ]);
    Account {
        platform: Platform::Codex,
        name: "账户 👍".to_owned(),
        description: "of the\nteam".to_owned(),
        base_url: "http://127.0.0.1:8080/base/path".to_owned(),
        secret: SealedSecret::new("v1:other:sealed=secret".to_owned()),
        priority: Priority::try_from(7).unwrap(),
        models: ModelMap::new(models),
        user_agent: Some("claude-cli/2.0.0 (external, cli)".to_owned()),
        proxy: ProxySetting::Via(Proxy {
            scheme: ProxyScheme::Socks5,
            host: "proxy.example".to_owned(),
            port: 1_080,
            auth: Some(auth),
        }),
        is_active: false,
        schedulable: false,
        kind: AccountKind::Dedicated,
        rate_limit_minutes: 0,
        limits: Limits {
            concurrency: Some(4),
            window: Some(RateWindow {
                length: Duration::from_mins(5),
                requests: Some(7),
                tokens: None,
                cost: Some(NanoUsd::from_nanos(1)),
            }),
            daily_cost: Some(NanoUsd::from_nanos(25_500_000_000)),
            weekly_cost: Some(NanoUsd::from_nanos(70_000_000_000)),
            monthly_cost: Some(NanoUsd::from_nanos(300_000_000_000)),
            total_cost: Some(NanoUsd::from_nanos(1_000_000_000_000)),
            weekly_claude_cost: Some(NanoUsd::from_nanos(60_000_000_000)),
            starts: PeriodStarts { day_minute: 8 * 60 + 30, week_day: 7, week_hour: 23 },
            budget_policy: BudgetPolicy::Hard,
        },
        rate: Multiplier::from_micros(800_000),
        subscription_ends: Some(at(999_000)),
        on_disconnect: OnDisconnect::Drain,
        error_message: "see ticket 5".to_owned(),
        health: AccountHealth {
            penalty: Some(penalty(PenaltyReason::Unauthorized, None, 2)),
            models: BTreeMap::from([(
                model("claude-opus-4-1"),
                penalty(PenaltyReason::RateLimited, Some(at(90_001)), 1),
            )]),
        },
        updated_at: Some(at(5)),
        last_used_at: Some(at(6)),
        ..account(id)
    }
}

/// What a provider counted: a different number of each kind.
pub fn usage(scale: u64) -> TokenUsage {
    let count = |base: u64| TokenCount::new(base * scale);
    TokenUsage {
        input: count(1),
        output: count(20),
        cache_read: count(300),
        cache_write_5m: count(4_000),
        cache_write_1h: count(50_000),
    }
}

/// The `number`th request of a key without limits, at `now`, with a lease of [`LEASE`].
pub fn admit_request(number: u8, key: &str, now: Timestamp) -> AdmitRequest {
    AdmitRequest {
        request: request_id(number),
        key: key_id(key),
        limits: Limits::default(),
        group: None,
        platform: Platform::ClaudeConsole,
        model: model("claude-sonnet-4-5"),
        may_be_claude: true,
        stream: true,
        estimate: Estimate {
            tokens: 1_000,
            cost: NanoUsd::from_nanos(5_000_000),
            charged: NanoUsd::from_nanos(6_000_000),
        },
        affinity: None,
        now,
        lease_until: now.plus(LEASE),
    }
}

/// The record of the `number`th request of a key: completed by `account-one` under the model's own name.
pub fn record(number: u8, key: &str) -> RequestRecord {
    RequestRecord {
        id: request_id(number),
        key: key_id(key),
        group: None,
        platform: Platform::ClaudeConsole,
        model: model("claude-sonnet-4-5"),
        served_model: Some(model("claude-sonnet-4-5-20250929")),
        account: Some(account_id("account-one")),
        stream: true,
        outcome: Outcome::Completed,
        status: 200,
        started_at: NOW,
        times: RequestTimes::default(),
        usage: usage(1),
        usage_source: UsageSource::Final,
        terms: ServedTerms::default(),
        settled_at: None,
        cost: Some(NanoUsd::from_nanos(10_500_001)),
        cost_by_kind: None,
        presumed_cost: None,
        charged: Some(NanoUsd::from_nanos(12_600_001)),
        attempts: Vec::new(),
        edits: Vec::new(),
        decision: Vec::new(),
    }
}

/// A record with something in every field.
pub fn rich_record(number: u8, key: &str) -> RequestRecord {
    let attempt = |account: &str, outcome, status, started_us| AttemptRecord {
        account: account_id(account),
        outcome,
        status,
        started_us,
        took_us: 1_234_567,
    };
    RequestRecord {
        group: Some(group_id("team-one")),
        times: RequestTimes {
            queued_us: Some(9),
            connected_us: Some(200_000),
            admitted_us: Some(1),
            sent_us: Some(2),
            head_us: Some(300_000),
            first_content_us: Some(400_000),
            end_us: Some(5_000_000),
            longest_stall_us: 77,
            added_us: Some(88),
        },
        attempts: vec![
            attempt("account-two", AttemptOutcome::Unreachable, None, 10),
            attempt("account-three", AttemptOutcome::Overloaded, Some(529), 20),
            attempt("account-one", AttemptOutcome::Answered, Some(200), 30),
        ],
        edits: vec![Edit::Model { to: "sonnet \"four\" 五".to_owned() }],
        terms: ServedTerms {
            tier: ServiceTier::Priority,
            fast: true,
            us_residency: true,
            web_searches: 3,
        },
        settled_at: Some(at(5_001)),
        cost_by_kind: Some(CostBreakdown::of_kinds(
            [10_500_000, 1, 0, 0, 0, 0].map(NanoUsd::from_nanos),
        )),
        decision: vec![
            VerdictRecord {
                account: account_id("account-one"),
                verdict: "sticky".into(),
                until: None,
            },
            VerdictRecord {
                account: account_id("account-four"),
                verdict: "quota_spent".into(),
                until: Some(at(60_000)),
            },
        ],
        ..record(number, key)
    }
}

/// The end of a request that counts, at `now`.
pub fn settlement(record: RequestRecord, now: Timestamp) -> Settlement {
    Settlement { record, charge: Charge::Count, bind: None, budgets: Vec::new(), now }
}

/// A binding to write.
pub fn rebind(conversation: &str, account: &str, until: Timestamp) -> Rebind {
    Rebind {
        affinity: affinity(conversation),
        binding: Binding { account: account_id(account), until },
    }
}

/// A checkpoint of the `number`th request, with what is known of its usage.
pub fn checkpoint(number: u8, lease_until: Timestamp, usage: TokenUsage) -> Checkpoint {
    let progress = Progress {
        account: account_id("account-one"),
        served_model: Some(model("claude-sonnet-4-5-20250929")),
        usage,
        usage_source: UsageSource::Partial,
        terms: ServedTerms { fast: true, ..ServedTerms::default() },
        cost: Some(NanoUsd::from_nanos(4_200)),
        cost_by_kind: Some(CostBreakdown::of_kinds(
            [4_000, 200, 0, 0, 0, 0].map(NanoUsd::from_nanos),
        )),
        presumed_cost: Some(NanoUsd::from_nanos(4_300)),
        charged: Some(NanoUsd::from_nanos(5_000)),
        edits: vec![Edit::Model { to: "claude-fable-5".to_owned() }],
    };
    Checkpoint { request: request_id(number), lease_until, progress: Some(progress) }
}

/// Lets the `number`th request of a key in, at `now`.
pub async fn admitted(stores: &Stores, number: u8, key: &str, now: Timestamp) {
    let admission = stores.ledger.admit(&admit_request(number, key, now)).await.unwrap();
    assert!(admission.decision.is_ok(), "a key without limits lets every request in");
}

/// Runs `calls` at once and returns what they return.
pub async fn at_once<T: Send + 'static>(
    calls: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let mut running = JoinSet::new();
    for call in calls {
        running.spawn(call);
    }
    running.join_all().await
}
