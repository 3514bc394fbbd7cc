//! What groups of accounts owe their callers.

use std::collections::BTreeSet;

use relay_domain::{AccountBinding, AccountGroup, AccountGroupId, ApiKey, Platform};

use super::fixture::{account, account_group, account_id, at, at_once, key, signature};
use crate::{GroupRemoval, StoreError, Stores, Update};

/// A group reads back with its members, changes by revision, and is gone when it was deleted.
pub async fn a_group_of_accounts_reads_back_and_changes_by_revision(stores: &Stores) {
    add_accounts(stores, &["a", "b", "c", "z"]).await;
    let groups = &stores.account_groups;
    let one = account_group("one", &["a", "b"]);
    groups.create(&one).await.unwrap();
    let bare = AccountGroup {
        name: "a".to_owned(),
        description: String::new(),
        platform: Platform::Codex,
        updated_at: Some(at(4)),
        ..account_group("bare", &[])
    };
    groups.create(&bare).await.unwrap();
    let again = groups.create(&account_group("one", &["z"])).await;
    assert!(matches!(again, Err(StoreError::Duplicate { .. })), "{again:?}");
    assert_eq!(groups.get(&one.id).await.unwrap().as_ref(), Some(&one));
    assert_eq!(groups.list().await.unwrap(), [bare.clone(), one.clone()]);

    let changed = AccountGroup {
        name: "new".to_owned(),
        members: BTreeSet::from([account_id("b"), account_id("c")]),
        updated_at: Some(at(9)),
        ..one.clone()
    };
    let elsewhere = AccountGroup { platform: Platform::Codex, ..changed.clone() };
    assert_eq!(groups.update(&elsewhere).await.unwrap(), Update::Done { revision: 1 });
    assert_eq!(groups.update(&one).await.unwrap(), Update::Stale { current: 1 });
    let expected = AccountGroup { revision: 1, ..changed };
    assert_eq!(groups.get(&one.id).await.unwrap().as_ref(), Some(&expected));
    let empty = AccountGroup { members: BTreeSet::new(), ..expected };
    assert_eq!(groups.update(&empty).await.unwrap(), Update::Done { revision: 2 });
    let empty = AccountGroup { revision: 2, ..empty };
    assert_eq!(groups.get(&one.id).await.unwrap(), Some(empty));

    let stale = groups.delete(&one.id, 0).await.unwrap();
    assert_eq!(stale, GroupRemoval::Stale { current: 2 });
    assert!(groups.delete(&one.id, 2).await.unwrap().is_done());
    assert_eq!(groups.delete(&one.id, 2).await.unwrap(), GroupRemoval::Absent);
    assert_eq!(groups.update(&account_group("one", &[])).await.unwrap(), Update::Absent);
    assert_eq!(groups.get(&one.id).await.unwrap(), None);
    assert_eq!(groups.list().await.unwrap(), [bare]);
    groups.create(&account_group("one", &[])).await.unwrap();
    let anew = groups.get(&one.id).await.unwrap().unwrap();
    assert_eq!(anew.members, BTreeSet::new(), "who was in it before is not in it again");
}

/// Of changes that were decided on the same revision one is made.
pub async fn of_changes_of_a_group_of_accounts_at_once_one_is_made(stores: &Stores) {
    add_accounts(stores, &["a", "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"]).await;
    let one = account_group("one", &["a"]);
    stores.account_groups.create(&one).await.unwrap();
    let changes = (0..8).map(|number| {
        let groups = stores.account_groups.clone();
        let member = account_id(&format!("m{number}"));
        let changed = AccountGroup { members: BTreeSet::from([member]), ..one.clone() };
        async move { groups.update(&changed).await.unwrap() }
    });
    let outcomes = at_once(changes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_done()).count(), 1, "{outcomes:?}");
    let found = stores.account_groups.get(&one.id).await.unwrap().unwrap();
    assert_eq!((found.revision, found.members.len()), (1, 1));
}

/// Who is in a group decides who serves a key: a change of it is one of the accounts.
pub async fn changes_of_groups_of_accounts_raise_the_version_of_accounts(stores: &Stores) {
    add_accounts(stores, &["a"]).await;
    let one = account_group("one", &["a"]);
    let mut last = stores.ledger.version().await.unwrap();
    for (step, raises) in
        [("create", true), ("update", true), ("stale", false), ("read", false), ("delete", true)]
    {
        let groups = &stores.account_groups;
        match step {
            "create" => groups.create(&one).await.unwrap(),
            "update" => assert!(groups.update(&one).await.unwrap().is_done()),
            "stale" => assert!(!groups.update(&one).await.unwrap().is_done()),
            "read" => assert_eq!(groups.list().await.unwrap().len(), 1),
            _ => assert!(groups.delete(&one.id, 1).await.unwrap().is_done()),
        }
        let version = stores.ledger.version().await.unwrap();
        assert_eq!(last.accounts < version.accounts, raises, "{step}");
        assert_eq!(last.keys, version.keys, "{step}");
        last = version;
    }
}

/// An account that is removed leaves its groups, and comes back into none.
pub async fn a_removed_account_leaves_its_groups(stores: &Stores) {
    add_accounts(stores, &["a", "b"]).await;
    let groups = &stores.account_groups;
    let (one, two, three) = (
        account_group("one", &["a", "b"]),
        account_group("two", &["a"]),
        account_group("three", &["b"]),
    );
    for group in [&one, &two, &three] {
        groups.create(group).await.unwrap();
    }
    let mut left = stores.accounts.delete(&account_id("a")).await.unwrap().unwrap();
    left.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(left, [one.clone(), two.clone()], "as they were");
    let left = |group: &AccountGroup, revision, members: &[&str]| AccountGroup {
        members: members.iter().map(|member| account_id(member)).collect(),
        revision,
        ..group.clone()
    };
    for (group, revision, members) in
        [(&one, 1, &["b"][..]), (&two, 1, &[][..]), (&three, 0, &["b"][..])]
    {
        let found = groups.get(&group.id).await.unwrap();
        assert_eq!(found, Some(left(group, revision, members)), "{}", group.id);
    }
    stores.accounts.create(&account("a")).await.unwrap();
    assert_eq!(groups.get(&two.id).await.unwrap().unwrap().members, BTreeSet::new());
    assert_eq!(
        groups.update(&one).await.unwrap(),
        Update::Stale { current: 1 },
        "what was decided on the members before is not made"
    );
}

/// No account joins a group that is not there, whatever was looked at before. One that was in it stays:
/// v1 has members that Relay does not know.
pub async fn no_account_joins_a_group_that_is_not_there(stores: &Stores) {
    let groups = &stores.account_groups;
    add_accounts(stores, &["a"]).await;
    let refused = groups.create(&account_group("new", &["a", "gone"])).await;
    assert!(matches!(refused, Err(StoreError::Missing { .. })), "{refused:?}");
    let brought = account_group("one", &["of-v1-alone"]);
    groups.import(&brought).await.unwrap();
    let again = groups.import(&brought).await;
    assert!(matches!(again, Err(StoreError::Duplicate { .. })), "{again:?}");
    let before = stores.ledger.version().await.unwrap();
    let refused = groups.update(&account_group("one", &["of-v1-alone", "a", "gone"])).await;
    assert!(matches!(refused, Err(StoreError::Missing { .. })), "{refused:?}");
    assert_eq!(groups.list().await.unwrap(), [brought]);
    assert_eq!(stores.ledger.version().await.unwrap(), before);
    let wanted = account_group("one", &["of-v1-alone", "a"]);
    assert!(groups.update(&wanted).await.unwrap().is_done());
    let found = groups.get(&wanted.id).await.unwrap();
    assert_eq!(found, Some(AccountGroup { revision: 1, ..wanted }));
}

/// Of joining a group and the account's removal at once one is refused, or it has left again.
pub async fn an_account_that_joins_and_its_removal_at_once_agree(stores: &Stores) {
    for round in 0..20 {
        let member = format!("a{round}");
        add_accounts(stores, &[&member]).await;
        let empty = account_group(&format!("g{round}"), &[]);
        stores.account_groups.create(&empty).await.unwrap();
        let joined = account_group(&format!("g{round}"), &[&member]);
        let made = account_group(&format!("m{round}"), &[&member]);
        let calls = (0..3).map(|number| {
            let (stores, joined, made) = (stores.clone(), joined.clone(), made.clone());
            let member = account_id(&member);
            async move {
                match number {
                    0 => drop(stores.account_groups.update(&joined).await),
                    1 => drop(stores.accounts.delete(&member).await.unwrap()),
                    _ => drop(stores.account_groups.create(&made).await),
                }
            }
        });
        at_once(calls).await;
        let groups = stores.account_groups.list().await.unwrap();
        let left: Vec<_> = groups.iter().filter(|group| !group.members.is_empty()).collect();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

/// Every kind of binding of a key reads back, also after it was another one.
pub async fn every_binding_of_a_key_reads_back(stores: &Stores) {
    let one = account_group("one", &[]);
    stores.account_groups.create(&one).await.unwrap();
    let group = || AccountBinding::Group(one.id.clone());
    let single = || AccountBinding::Account(account_id("a"));
    let pairs = [
        (AccountBinding::Pool, AccountBinding::Pool),
        (group(), single()),
        (single(), group()),
        (group(), group()),
        (AccountBinding::Unusable, AccountBinding::Unusable),
        (AccountBinding::Pool, AccountBinding::Pool),
        (single(), single()),
        (AccountBinding::Pool, group()),
        (group(), AccountBinding::Pool),
    ];
    let mut known = ApiKey { revision: 0, ..key("k", 1) };
    stores.keys.create(&known).await.unwrap();
    for (number, (claude_binding, codex_binding)) in pairs.into_iter().enumerate() {
        let wanted = ApiKey { claude_binding, codex_binding, ..known };
        assert!(stores.keys.update(&wanted).await.unwrap().is_done());
        known = stores.keys.get(&wanted.id).await.unwrap().unwrap();
        assert_eq!(known.claude_binding, wanted.claude_binding, "{number}");
        assert_eq!(known.codex_binding, wanted.codex_binding, "{number}");
        let id = format!("k{number}");
        let made = ApiKey { revision: 0, ..key(&id, 100 + u8::try_from(number).unwrap()) };
        let made = ApiKey {
            claude_binding: wanted.claude_binding,
            codex_binding: wanted.codex_binding,
            ..made
        };
        stores.keys.create(&made).await.unwrap();
        assert_eq!(stores.keys.get(&made.id).await.unwrap(), Some(made));
    }
}

/// A key is bound to no group that is not there, whatever was looked at before; nothing is written then.
pub async fn a_key_is_bound_to_no_group_that_is_not_there(stores: &Stores) {
    let keys = &stores.keys;
    let there = account_group("there", &[]);
    stores.account_groups.create(&there).await.unwrap();
    let gone = AccountGroupId::try_from("gone").unwrap();
    let (to_it, in_vain) = (|| AccountBinding::Group(there.id.clone()), bound_to(&gone));
    let mut known = ApiKey { claude_binding: to_it(), ..key("k", 1) };
    keys.create(&known).await.unwrap();
    let before = stores.ledger.version().await.unwrap();
    for platform in [Platform::ClaudeConsole, Platform::Codex] {
        let bind = |key: ApiKey| match platform {
            Platform::ClaudeConsole => ApiKey { claude_binding: in_vain.clone(), ..key },
            Platform::Codex => ApiKey { codex_binding: in_vain.clone(), ..key },
        };
        let asked = [
            keys.create(&bind(key("new", 2))).await,
            keys.create_many(&[key("other", 3), bind(key("new", 2))]).await,
            keys.update(&bind(known.clone())).await.map(drop),
        ];
        for (number, refused) in asked.into_iter().enumerate() {
            let is_told = matches!(refused, Err(StoreError::Missing { .. }));
            assert!(is_told, "{platform:?}, {number}: {refused:?}");
        }
    }
    assert_eq!(keys.list().await.unwrap(), [known.clone()]);
    assert_eq!(stores.ledger.version().await.unwrap(), before);
    known.codex_binding = to_it();
    assert!(keys.update(&known).await.unwrap().is_done());
}

/// A key of another store comes as it was there; what it is bound to in vain is not held against changes.
pub async fn a_key_is_imported_though_its_group_is_not_there(stores: &Stores) {
    let keys = &stores.keys;
    let gone = AccountGroupId::try_from("gone").unwrap();
    let brought = ApiKey { claude_binding: bound_to(&gone), ..key("k", 1) };
    keys.import(&brought).await.unwrap();
    assert_eq!(keys.get(&brought.id).await.unwrap().as_ref(), Some(&brought));
    let again = keys.import(&brought).await;
    assert!(matches!(again, Err(StoreError::Duplicate { .. })), "{again:?}");
    let renamed = ApiKey { name: "renamed".to_owned(), ..brought };
    assert!(keys.update(&renamed).await.unwrap().is_done());
    let twice = ApiKey { codex_binding: bound_to(&gone), revision: 1, ..renamed.clone() };
    let refused = keys.update(&twice).await;
    assert!(matches!(refused, Err(StoreError::Missing { .. })), "{refused:?}");
    let freed = ApiKey { claude_binding: AccountBinding::Pool, revision: 1, ..renamed };
    assert!(keys.update(&freed).await.unwrap().is_done());
}

/// A group stays while keys that are not deleted are bound to it.
pub async fn a_group_that_keys_are_bound_to_is_not_removed(stores: &Stores) {
    add_accounts(stores, &["a", "b"]).await;
    let (groups, keys) = (&stores.account_groups, &stores.keys);
    let claude = account_group("one", &["a"]);
    let codex = AccountGroup { platform: Platform::Codex, ..account_group("two", &["b"]) };
    for group in [&claude, &codex] {
        groups.create(group).await.unwrap();
        let free = key(&format!("free-{}", group.id), 10 + u8::from(group == &codex));
        keys.create(&free).await.unwrap();
        let bind = |key: ApiKey| match group.platform {
            Platform::ClaudeConsole => ApiKey { claude_binding: bound_to(&group.id), ..key },
            Platform::Codex => ApiKey { codex_binding: bound_to(&group.id), ..key },
        };
        let made = bind(key(&format!("made-{}", group.id), 20 + u8::from(group == &codex)));
        keys.create(&made).await.unwrap();
        assert!(keys.update(&bind(free.clone())).await.unwrap().is_done());
        let before = stores.ledger.version().await.unwrap();
        let stays = groups.delete(&group.id, 0).await.unwrap();
        assert_eq!(stays, GroupRemoval::InUse { keys: 2 });
        let stale = groups.delete(&group.id, 7).await.unwrap();
        assert_eq!(stale, GroupRemoval::Stale { current: 0 });
        assert_eq!(groups.get(&group.id).await.unwrap().as_ref(), Some(group));
        assert_eq!(stores.ledger.version().await.unwrap(), before);

        assert!(keys.update(&ApiKey { revision: 1, ..free }).await.unwrap().is_done());
        let stays = groups.delete(&group.id, 0).await.unwrap();
        assert_eq!(stays, GroupRemoval::InUse { keys: 1 });
        let deleted = ApiKey { deleted: Some(signature(at(9), "admin")), ..made.clone() };
        assert!(keys.update(&deleted).await.unwrap().is_done());
        assert!(groups.delete(&group.id, 0).await.unwrap().is_done());
        let restored = ApiKey { revision: 1, ..made };
        assert!(keys.update(&restored).await.unwrap().is_done(), "its binding is not a new one");
    }
}

/// Of a binding and a removal at once one is refused: no key is left with a group that is not there.
pub async fn a_key_and_the_removal_of_its_group_at_once_agree(stores: &Stores) {
    for round in 0..20 {
        let group = account_group(&format!("g{round}"), &[]);
        stores.account_groups.create(&group).await.unwrap();
        let to_be_bound = key(&format!("k{round}"), round);
        stores.keys.create(&to_be_bound).await.unwrap();
        let bound = ApiKey { claude_binding: bound_to(&group.id), ..to_be_bound };
        let made = ApiKey {
            claude_binding: bound_to(&group.id),
            ..key(&format!("m{round}"), 100 + round)
        };
        let calls = (0..3).map(|number| {
            let (stores, group, bound, made) =
                (stores.clone(), group.clone(), bound.clone(), made.clone());
            async move {
                match number {
                    0 => drop(stores.keys.update(&bound).await),
                    1 => drop(stores.account_groups.delete(&group.id, 0).await),
                    _ => drop(stores.keys.create(&made).await),
                }
            }
        });
        at_once(calls).await;
        let keys = stores.keys.list().await.unwrap();
        let bound = keys.iter().filter(|key| key.claude_binding.group() == Some(&group.id)).count();
        let is_there = stores.account_groups.get(&group.id).await.unwrap().is_some();
        assert_eq!(bound, if is_there { 2 } else { 0 }, "round {round}");
    }
}

async fn add_accounts(stores: &Stores, ids: &[&str]) {
    for id in ids {
        stores.accounts.create(&account(id)).await.unwrap();
    }
}

fn bound_to(group: &AccountGroupId) -> AccountBinding {
    AccountBinding::Group(group.clone())
}
