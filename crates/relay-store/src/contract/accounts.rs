//! What every [`AccountRepository`](crate::AccountRepository) owes its callers.

use std::time::Duration;

use relay_domain::{
    Account, AccountHealth, HealthEvent, Platform, Priority, Proxy, ProxyScheme, ProxySetting,
    Rest, SealedSecret,
};

use super::fixture::{account, account_id, at, at_once, model, rich_account};
use crate::{AccountSecrets, StoreError, Stores, Update};

/// What was created is what is read; a proxy that cannot be used does not become none.
pub async fn an_account_reads_back_in_every_field(stores: &Stores) {
    let open_proxy =
        Proxy { scheme: ProxyScheme::Http, host: "10.0.0.1".to_owned(), port: 3_128, auth: None };
    let accounts = [
        account("plain"),
        rich_account("rich"),
        Account { proxy: ProxySetting::Via(open_proxy), ..account("open-proxy") },
        Account { proxy: ProxySetting::Unusable, ..rich_account("unusable-proxy") },
    ];
    for account in &accounts {
        stores.accounts.create(account).await.unwrap();
    }
    for account in &accounts {
        assert_eq!(stores.accounts.get(&account.id).await.unwrap().as_ref(), Some(account));
    }
    let listed = stores.accounts.list().await.unwrap();
    assert_eq!(listed.len(), accounts.len());
    assert!(accounts.iter().all(|account| listed.contains(account)), "in the list");
}

/// Absence is an answer.
pub async fn an_absent_account_is_none(stores: &Stores) {
    let absent = account("absent");
    assert_eq!(stores.accounts.get(&absent.id).await.unwrap(), None);
    assert_eq!(stores.accounts.list().await.unwrap(), []);
    assert_eq!(stores.accounts.update(&absent).await.unwrap(), Update::Absent);
    assert_eq!(stores.accounts.delete(&absent.id).await.unwrap(), None);
    let health = stores
        .accounts
        .apply_health(&absent.id, &HealthEvent::Overloaded(Rest::BRIEF), at(0))
        .await;
    assert_eq!(health.unwrap(), None);
    assert_eq!(stores.accounts.list().await.unwrap(), [], "nothing of it created anything");
}

/// A second account under an id is refused, on whatever platform, and the first stays.
pub async fn an_account_id_is_taken_once(stores: &Stores) {
    let first = account("first");
    stores.accounts.create(&first).await.unwrap();
    for second in [rich_account("first"), Account { name: "second".to_owned(), ..first.clone() }] {
        let refused = stores.accounts.create(&second).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
    }
    assert_eq!(stores.accounts.list().await.unwrap(), [first]);
}

/// The order of the list: priority, then id, over all platforms.
pub async fn accounts_are_listed_by_priority_and_id(stores: &Stores) {
    for (id, platform, priority) in [
        ("c", Platform::ClaudeConsole, 50),
        ("a", Platform::Codex, 50),
        ("b", Platform::ClaudeConsole, 100),
        ("d", Platform::Codex, 9),
    ] {
        let priority = Priority::try_from(priority).unwrap();
        let account = Account { platform, priority, ..account(id) };
        stores.accounts.create(&account).await.unwrap();
    }
    let listed = stores.accounts.list().await.unwrap();
    let ids: Vec<_> = listed.iter().map(|account| account.id.as_str()).collect();
    assert_eq!(ids, ["d", "a", "c", "b"]);
}

/// An update changes all that an operator may change, and nothing else.
pub async fn an_update_of_an_account_writes_what_an_operator_may_change(stores: &Stores) {
    let platform = Platform::Codex;
    let before = Account { platform, ..account("changing") };
    stores.accounts.create(&before).await.unwrap();
    let asked =
        Account { created_at: at(99), last_used_at: Some(at(99)), ..rich_account("changing") };
    assert_eq!(stores.accounts.update(&asked).await.unwrap(), Update::Done { revision: 1 });
    let expected = Account {
        health: AccountHealth::default(),
        created_at: before.created_at,
        last_used_at: None,
        revision: 1,
        ..asked
    };
    assert_eq!(stores.accounts.get(&before.id).await.unwrap(), Some(expected));
    let back = Account { revision: 1, ..before };
    assert!(stores.accounts.update(&back).await.unwrap().is_done());
    let kept = stores.accounts.get(&back.id).await.unwrap();
    assert_eq!(kept, Some(Account { revision: 2, ..back }), "and back");
}

/// Who changes an account as it was before another change changes nothing. Its health is no such change.
pub async fn an_update_of_an_account_on_old_knowledge_is_refused(stores: &Stores) {
    let first = account("one");
    stores.accounts.create(&first).await.unwrap();
    stores
        .accounts
        .apply_health(&first.id, &HealthEvent::Overloaded(Rest::BRIEF), at(0))
        .await
        .unwrap();
    let updates = at_once((0..10).map(|n| {
        let accounts = stores.accounts.clone();
        let asked = Account { name: format!("name {n}"), ..first.clone() };
        async move { accounts.update(&asked).await.unwrap() }
    }))
    .await;
    let stale = Update::Stale { current: 1 };
    assert_eq!(updates.iter().filter(|update| update.is_done()).count(), 1, "{updates:?}");
    assert_eq!(updates.iter().filter(|update| **update == stale).count(), 9, "{updates:?}");
    let kept = stores.accounts.get(&first.id).await.unwrap().unwrap();
    assert!(kept.health.penalty.is_some(), "a change leaves the health alone");
}

/// Deleted is deleted.
pub async fn a_deleted_account_is_gone(stores: &Stores) {
    stores.accounts.create(&account("gone")).await.unwrap();
    stores.accounts.create(&account("stays")).await.unwrap();
    assert_eq!(stores.accounts.delete(&account_id("gone")).await.unwrap(), Some(Vec::new()));
    assert_eq!(stores.accounts.delete(&account_id("gone")).await.unwrap(), None);
    assert_eq!(stores.accounts.get(&account_id("gone")).await.unwrap(), None);
    assert_eq!(stores.accounts.list().await.unwrap(), [account("stays")]);
    stores.accounts.create(&rich_account("gone")).await.unwrap();
    let again = stores.accounts.get(&account_id("gone")).await.unwrap();
    assert_eq!(again, Some(rich_account("gone")), "its id is free again");
}

/// Health is what the domain says that it is after each event, and is stored.
pub async fn health_follows_events(stores: &Stores) {
    let id = account_id("one");
    stores.accounts.create(&account("one")).await.unwrap();
    stores.accounts.create(&account("two")).await.unwrap();
    let limited = HealthEvent::RateLimited { until: Some(at(60_000)), rest: None, model: None };
    let mut expected = AccountHealth::default();
    for (event, millis) in [
        (HealthEvent::Overloaded(Rest::BRIEF), 0),
        (HealthEvent::Overloaded(Rest::BRIEF), 6_000),
        (limited, 7_000),
        (HealthEvent::ModelUnknown(model("m")), 8_000),
        (HealthEvent::Succeeded, 9_000),
        (HealthEvent::Succeeded, 61_000),
        (HealthEvent::Unauthorized { recheck: Duration::from_secs(30) }, 62_000),
        (HealthEvent::Reset, 63_000),
    ] {
        expected = expected.on(event.clone(), at(millis));
        let told = stores.accounts.apply_health(&id, &event, at(millis)).await.unwrap();
        assert_eq!(told.as_ref(), Some(&expected), "{event:?}");
        let kept = stores.accounts.get(&id).await.unwrap().unwrap();
        assert_eq!(kept, Account { health: expected.clone(), ..account("one") }, "{event:?}");
    }
    let other = stores.accounts.get(&account_id("two")).await.unwrap();
    assert_eq!(other, Some(account("two")), "another account's health is its own");
}

/// What several instances learn at once is all kept.
pub async fn events_at_once_all_take_effect(stores: &Stores) {
    let id = account_id("busy");
    stores.accounts.create(&account("busy")).await.unwrap();
    let healths = at_once((0..20).map(|n| {
        let (accounts, id) = (stores.accounts.clone(), id.clone());
        let event = HealthEvent::ModelUnknown(model(&format!("model-{n}")));
        async move { accounts.apply_health(&id, &event, at(0)).await.unwrap() }
    }))
    .await;
    assert!(healths.iter().all(Option::is_some));
    let kept = stores.accounts.get(&id).await.unwrap().unwrap();
    assert_eq!(kept.health.models.len(), 20);
}

/// Every change of an account or its health raises the version of accounts, and of nothing else; what
/// changes nothing does not.
pub async fn changes_of_accounts_raise_their_version(stores: &Stores) {
    let one = account("one");
    let mut last = stores.ledger.version().await.unwrap();
    for (step, raises) in [
        ("create", true),
        ("create again", false),
        ("update", true),
        ("update what is not there", false),
        ("an event that changes nothing", false),
        ("an event that penalises", true),
        ("an event about what is not there", false),
        ("read", false),
        ("delete", true),
        ("delete again", false),
    ] {
        match step {
            "create" => stores.accounts.create(&one).await.unwrap(),
            "create again" => assert!(stores.accounts.create(&one).await.is_err()),
            "update" => assert!(stores.accounts.update(&one).await.unwrap().is_done()),
            "update what is not there" => {
                assert!(!stores.accounts.update(&account("absent")).await.unwrap().is_done());
            }
            "an event that changes nothing" => {
                let event = HealthEvent::Succeeded;
                stores.accounts.apply_health(&one.id, &event, at(0)).await.unwrap().unwrap();
            }
            "an event that penalises" => {
                let event = HealthEvent::Overloaded(Rest::BRIEF);
                stores.accounts.apply_health(&one.id, &event, at(0)).await.unwrap().unwrap();
            }
            "an event about what is not there" => {
                let (absent, event) = (account_id("absent"), HealthEvent::Overloaded(Rest::BRIEF));
                let health = stores.accounts.apply_health(&absent, &event, at(0)).await.unwrap();
                assert_eq!(health, None);
            }
            "read" => assert_eq!(stores.accounts.list().await.unwrap().len(), 1),
            _ => assert_eq!(stores.accounts.delete(&one.id).await.unwrap().is_some(), raises),
        }
        let version = stores.ledger.version().await.unwrap();
        assert_eq!(last.accounts < version.accounts, raises, "{step}: {last:?}, {version:?}");
        assert_eq!(last.keys, version.keys, "{step}");
        last = version;
    }
}

/// What is sealed changes form only if it still is what was opened, and nothing else changes with it.
pub async fn secrets_are_replaced_if_they_still_are_as_they_were(stores: &Stores) {
    let sealed = |text: &str| SealedSecret::new(text.to_owned());
    for account in [account("plain"), rich_account("rich")] {
        stores.accounts.create(&account).await.unwrap();
        let now = AccountSecrets::of(&account);
        let next = AccountSecrets {
            credential: sealed("v1.aead:00"),
            proxy_password: now.proxy_password.as_ref().map(|_| sealed("v1.aead:01")),
        };
        let before = stores.ledger.version().await.unwrap().accounts;
        let other = AccountSecrets { credential: sealed("another"), ..now.clone() };
        assert!(!stores.accounts.reseal(&account.id, &other, &next).await.unwrap());
        assert!(stores.accounts.reseal(&account.id, &now, &next).await.unwrap());
        assert!(!stores.accounts.reseal(&account.id, &now, &next).await.unwrap(), "not twice");
        let revision = account.revision + 1;
        let expected = Account { revision, ..next.put_into(account.clone()) };
        assert_ne!(expected, account);
        assert_eq!(stores.accounts.get(&account.id).await.unwrap(), Some(expected));
        assert!(before < stores.ledger.version().await.unwrap().accounts);
    }
    let absent = AccountSecrets::of(&account("absent"));
    assert!(!stores.accounts.reseal(&account_id("absent"), &absent, &absent).await.unwrap());
}
