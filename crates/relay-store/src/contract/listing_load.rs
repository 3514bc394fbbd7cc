//! Listings with as many keys and accounts as Relay promises to be fast with: for the adapters' examples,
//! which print how long each takes. It asserts no time.

use std::time::{Duration, Instant};

use relay_domain::{Account, Actor, ApiKey, AuditEntry, KeyDigest, Permissions, Platform};

use super::fixture::{account, at, group, group_id, key, rich_account, rich_key, signature};
use crate::{AuditQuery, KeyFilter, KeyQuery, KeySort, Order, Stores};

/// How long each call of one kind took.
pub struct Timed {
    /// What was called.
    pub name: &'static str,
    /// How long it took, the shortest first.
    pub took: Vec<Duration>,
}

impl Timed {
    /// The time that so many percent of the calls did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.took.len().saturating_sub(1);
        self.took.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// The `number`th of many keys: each different, some deleted, off, in a group or bound.
pub fn one_of_many(number: u64) -> ApiKey {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    let id = format!("0f8fad5b-d9cb-469f-a165-{number:012}");
    let claude = Permissions::Only(vec![Platform::ClaudeConsole]);
    ApiKey {
        digest: KeyDigest::new(digest),
        retiring: None,
        name: format!("Team {} key {number}", number % 97),
        is_active: !number.is_multiple_of(11),
        deleted: number.is_multiple_of(13).then(|| signature(at(7), "admin")),
        permissions: if number.is_multiple_of(3) { claude } else { Permissions::All },
        group: number.is_multiple_of(5).then(|| group_id(&format!("group-{}", number % 50))),
        tags: vec![format!("tag-{}", number % 20)],
        created_at: at(number),
        last_used_at: number.is_multiple_of(2).then(|| at(1_000_000 - number)),
        ..if number.is_multiple_of(4) { rich_key(&id, 0) } else { key(&id, 0) }
    }
}

/// The `number`th of many changes, as large as that of a key.
fn one_change(number: u64) -> AuditEntry {
    let settings = |field| format!("{{\"{field}\":\"{}\"}}", "setting ".repeat(150));
    let action = if number.is_multiple_of(100) { "key.create" } else { "key.update" };
    AuditEntry {
        seq: 0,
        at: at(number),
        actor: Actor::admin(if number.is_multiple_of(70) { "automation" } else { "admin" }),
        action: action.to_owned(),
        target_kind: "key".to_owned(),
        target_id: format!("key-{}", number % 1_000),
        before: Some(settings("before")),
        after: Some(settings("after")),
    }
}

/// Fills a store with so many keys, as many changes in the trail, and accounts.
pub async fn fill(stores: &Stores, keys: u64, accounts: u32) {
    for name in (0..50).step_by(5).map(|number| format!("group-{number}")) {
        stores.groups.create(&group(&name)).await.unwrap();
    }
    stores.groups.create(&group("team-one")).await.unwrap();
    let many: Vec<_> = (0..keys).map(one_of_many).collect();
    stores.keys.create_many(&many).await.unwrap();
    for number in 0..keys {
        stores.audit.append(&one_change(number)).await.unwrap();
    }
    for number in 0..accounts {
        let id = format!("account-{number:04}");
        let account: Account = if number % 2 == 0 { account(&id) } else { rich_account(&id) };
        stores.accounts.create(&account).await.unwrap();
    }
}

/// Times the first listing, and then `rounds` calls of each kind.
pub async fn time(stores: &Stores, keys: u64, rounds: u64) -> Vec<Timed> {
    let filter = |filter: KeyFilter| KeyQuery { filter, limit: 50, ..KeyQuery::default() };
    let text = KeyFilter { text: Some("team 42".to_owned()), ..KeyFilter::default() };
    let tag = KeyFilter {
        tag: Some("tag-7".to_owned()),
        is_deleted: Some(false),
        is_active: Some(true),
        ..KeyFilter::default()
    };
    let group = KeyFilter { group: Some(group_id("group-5")), ..KeyFilter::default() };
    let by = |sort, order| KeyQuery { sort, order, limit: 50, ..KeyQuery::default() };
    let queries = [
        ("a page, the newest first", filter(KeyFilter::default())),
        ("a page of 200", KeyQuery { limit: 200, ..KeyQuery::default() }),
        ("a page by name", by(KeySort::Name, Order::Ascending)),
        ("a page by last use", by(KeySort::LastUsedAt, Order::Descending)),
        ("a search in names", filter(text)),
        ("by tag and switches", filter(tag)),
        ("by group", filter(group)),
    ];
    let mut all = Vec::new();
    let began = Instant::now();
    stores.keys.page(&queries[0].1).await.unwrap();
    all.push(Timed { name: "the first page of all", took: vec![began.elapsed()] });
    for (name, query) in queries {
        let mut took = Vec::new();
        let mut query = query;
        for _ in 0..rounds {
            let began = Instant::now();
            let page = stores.keys.page(&query).await.unwrap();
            took.push(began.elapsed());
            query.after = page.next;
        }
        all.push(sorted(name, took));
    }
    let mut took = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let all = stores.keys.all(&KeyQuery::default()).await.unwrap();
        took.push(began.elapsed());
        assert_eq!(all.total, Some(keys));
    }
    all.push(sorted("all keys at once", took));
    all.extend(time_the_trail(stores, rounds).await);
    let mut took = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for round in 0..rounds {
        let asked = one_of_many(round * 7 % keys);
        let mut timed = Instant::now();
        let found = stores.keys.get(&asked.id).await.unwrap().unwrap();
        took[0].push(timed.elapsed());
        timed = Instant::now();
        stores.keys.find_by_digest(&[asked.digest]).await.unwrap().unwrap();
        took[1].push(timed.elapsed());
        let renamed = ApiKey { name: format!("renamed {round}"), ..found };
        assert!(stores.keys.update(&renamed).await.unwrap().is_done());
        timed = Instant::now();
        stores.keys.page(&KeyQuery { limit: 50, ..KeyQuery::default() }).await.unwrap();
        took[2].push(timed.elapsed());
        timed = Instant::now();
        stores.accounts.list().await.unwrap();
        took[3].push(timed.elapsed());
    }
    let names = ["a key by id", "a key by digest", "a page after a change", "all accounts"];
    all.extend(names.into_iter().zip(took).map(|(name, took)| sorted(name, took)));
    all
}

/// Times the trail of changes: a page of it, and of what is seldom found in it.
async fn time_the_trail(stores: &Stores, rounds: u64) -> Vec<Timed> {
    let is = |text: &str| Some(text.to_owned());
    let page = AuditQuery { limit: 50, ..AuditQuery::default() };
    let key = AuditQuery { target_kind: is("key"), target_id: is("key-7"), ..page.clone() };
    let queries = [
        ("changes by action", AuditQuery { action: is("key.create"), ..page.clone() }),
        ("changes by who made them", AuditQuery { actor: is("automation"), ..page.clone() }),
        ("changes of what is not there", AuditQuery { target_kind: is("group"), ..page.clone() }),
        ("changes of one key", key),
        ("the latest changes", page),
    ];
    let mut all = Vec::new();
    for (name, query) in queries {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            stores.audit.page(&query).await.unwrap();
            took.push(began.elapsed());
        }
        all.push(sorted(name, took));
    }
    all
}

fn sorted(name: &'static str, mut took: Vec<Duration>) -> Timed {
    took.sort_unstable();
    Timed { name, took }
}
