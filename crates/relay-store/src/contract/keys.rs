//! What every [`KeyRepository`](crate::KeyRepository) owes its callers.

use std::time::Duration;

use relay_domain::{
    ApiKey, Expiry, KeyDigest, Lifetime, Limits, Permissions, RateWindow, Restriction,
    RetiringSecret, UserStanding, WindowCaps,
};

use super::fixture::{at, at_once, group, key, key_id, rich_key, signature, user};
use crate::{KeyQuery, StoreError, Stores, Update};

/// What was created is what is read.
pub async fn a_key_reads_back_in_every_field(stores: &Stores) {
    stores.groups.create(&group("team-one")).await.unwrap();
    let window =
        RateWindow { length: Duration::from_mins(5), requests: None, tokens: None, cost: None };
    let keys = [
        key("plain", 1),
        rich_key("rich", 2),
        ApiKey { expiry: Expiry::after_first_use(Lifetime::days(30)), ..key("later", 3) },
        ApiKey {
            expiry: Expiry { lifetime: Lifetime::hours(5), ..Expiry::at(at(7)) },
            idle_window: WindowCaps { tokens: Some(1_000_000), ..WindowCaps::default() },
            restricted_models: Restriction { is_on: false, names: vec!["m".to_owned()] },
            allowed_clients: Restriction { is_on: true, names: Vec::new() },
            ..key("v2", 6)
        },
        ApiKey { permissions: Permissions::Only(Vec::new()), ..key("nothing-allowed", 4) },
        ApiKey {
            limits: Limits { window: Some(window), ..Limits::default() },
            ..key("0f8fad5b-d9cb-469f-a165-70867728950e", 5)
        },
    ];
    for key in &keys {
        stores.keys.create(key).await.unwrap();
    }
    for key in &keys {
        assert_eq!(stores.keys.get(&key.id).await.unwrap().as_ref(), Some(key));
        let found = stores.keys.find_by_digest(&[key.digest]).await.unwrap();
        assert_eq!(found.as_ref(), Some(key), "by digest");
    }
    let listed = stores.keys.list().await.unwrap();
    assert_eq!(listed.len(), keys.len());
    assert!(keys.iter().all(|key| listed.contains(key)), "in the list");
}

/// Absence is an answer.
pub async fn an_absent_key_is_none(stores: &Stores) {
    let absent = key("absent", 1);
    assert_eq!(stores.keys.get(&absent.id).await.unwrap(), None);
    assert_eq!(stores.keys.find_by_digest(&[absent.digest]).await.unwrap(), None);
    assert_eq!(stores.keys.find_by_digest(&[]).await.unwrap(), None);
    assert_eq!(stores.keys.list().await.unwrap(), []);
    assert_eq!(stores.keys.update(&absent).await.unwrap(), Update::Absent);
    assert_eq!(stores.keys.purge(&absent.id, 0).await.unwrap(), Update::Absent);
    assert_eq!(stores.keys.get(&absent.id).await.unwrap(), None, "an update creates nothing");
    assert_eq!(stores.keys.activate(&absent.id, at(0), at(1)).await.unwrap(), None);
}

/// A second key under an id or a digest is refused, and the first stays as it is.
pub async fn a_key_id_and_a_digest_are_taken_once(stores: &Stores) {
    let first = key("first", 1);
    stores.keys.create(&first).await.unwrap();
    for second in [key("first", 2), key("second", 1)] {
        let refused = stores.keys.create(&second).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
    }
    assert_eq!(stores.keys.find_by_digest(&[first.digest]).await.unwrap(), Some(first.clone()));
    assert_eq!(stores.keys.find_by_digest(&[KeyDigest::new([2; 32])]).await.unwrap(), None);
    assert_eq!(stores.keys.list().await.unwrap(), [first]);
}

/// Of several digests the first that is known decides; a deleted key is found too.
pub async fn digests_are_tried_in_their_order(stores: &Stores) {
    stores.groups.create(&group("team-one")).await.unwrap();
    let (salted, plain) = (key("salted", 1), rich_key("plain-and-deleted", 2));
    stores.keys.create(&salted).await.unwrap();
    stores.keys.create(&plain).await.unwrap();
    let unknown = KeyDigest::new([3; 32]);
    let cases = [
        ("the first of two", vec![salted.digest, plain.digest], Some(&salted)),
        ("the other way round", vec![plain.digest, salted.digest], Some(&plain)),
        ("an unknown one is passed over", vec![unknown, plain.digest], Some(&plain)),
        ("none is known", vec![unknown], None),
    ];
    for (name, digests, expected) in cases {
        let found = stores.keys.find_by_digest(&digests).await.unwrap();
        assert_eq!(found.as_ref(), expected, "{name}");
    }
}

/// The order of the list is that of creation, backwards.
pub async fn keys_are_listed_newest_first(stores: &Stores) {
    for (id, digest, created_at) in [("b", 1, at(20)), ("c", 2, at(10)), ("a", 3, at(30))] {
        stores.keys.create(&ApiKey { created_at, ..key(id, digest) }).await.unwrap();
    }
    let listed = stores.keys.list().await.unwrap();
    let ids: Vec<_> = listed.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
}

/// An update changes all that an operator may change, and nothing else.
pub async fn an_update_of_a_key_writes_what_an_operator_may_change(stores: &Stores) {
    stores.groups.create(&group("team-one")).await.unwrap();
    let before = key("changing", 1);
    stores.keys.create(&before).await.unwrap();
    stores.keys.create(&key("other", 2)).await.unwrap();
    let asked =
        ApiKey { created_at: at(99), last_used_at: Some(at(99)), ..rich_key("changing", 3) };
    assert_eq!(stores.keys.update(&asked).await.unwrap(), Update::Done { revision: 1 });
    let expected =
        ApiKey { created_at: before.created_at, last_used_at: None, revision: 1, ..asked };
    assert_eq!(stores.keys.get(&before.id).await.unwrap().as_ref(), Some(&expected));
    assert_eq!(stores.keys.find_by_digest(&[before.digest]).await.unwrap(), None);
    let found = stores.keys.find_by_digest(&[expected.digest]).await.unwrap();
    assert_eq!(found, Some(expected), "by its new secret");
    assert_eq!(stores.keys.get(&key_id("other")).await.unwrap(), Some(key("other", 2)));

    let back = ApiKey { revision: 1, ..before.clone() };
    assert!(stores.keys.update(&back).await.unwrap().is_done());
    let restored = stores.keys.find_by_digest(&[before.digest]).await.unwrap();
    assert_eq!(restored, Some(ApiKey { revision: 2, ..before }), "and back");
    let secrets = [rich_key("k", 3).digest, rich_key("k", 3).retiring.unwrap().digest];
    assert_eq!(stores.keys.find_by_digest(&secrets).await.unwrap(), None);
}

/// Deleting and restoring are updates; the secret is known all the time.
pub async fn a_deleted_key_comes_back(stores: &Stores) {
    let mut key = key("k", 1);
    stores.keys.create(&key).await.unwrap();
    for round in 0..2 {
        key.deleted = Some(signature(at(round), "admin"));
        assert!(stores.keys.update(&key).await.unwrap().is_done());
        key.revision += 1;
        assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap().as_ref(), Some(&key));
        (key.deleted, key.restored) = (None, Some(signature(at(round + 1), "admin")));
        assert!(stores.keys.update(&key).await.unwrap().is_done());
        key.revision += 1;
        assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap().as_ref(), Some(&key));
    }
}

/// Purged is purged, on the last word about it.
pub async fn a_purged_key_is_gone_and_its_secret_free(stores: &Stores) {
    stores.groups.create(&group("team-one")).await.unwrap();
    let gone = rich_key("gone", 1);
    stores.keys.create(&gone).await.unwrap();
    stores.keys.create(&key("stays", 2)).await.unwrap();
    assert!(stores.keys.update(&gone).await.unwrap().is_done());
    assert_eq!(stores.keys.purge(&gone.id, 0).await.unwrap(), Update::Stale { current: 1 });
    assert!(stores.keys.purge(&gone.id, 1).await.unwrap().is_done());
    assert_eq!(stores.keys.purge(&gone.id, 1).await.unwrap(), Update::Absent);
    assert_eq!(stores.keys.get(&gone.id).await.unwrap(), None);
    let secrets = [gone.digest, gone.retiring.unwrap().digest];
    assert_eq!(stores.keys.find_by_digest(&secrets).await.unwrap(), None);
    assert_eq!(stores.keys.list().await.unwrap(), [key("stays", 2)]);
    stores.keys.create(&gone).await.unwrap();
}

/// A secret that was replaced is found as long as the key names it, and nobody else can have it.
pub async fn a_secret_may_be_replaced_and_retire(stores: &Stores) {
    let (old, new) = (KeyDigest::new([1; 32]), KeyDigest::new([2; 32]));
    let first = key("k", 1);
    stores.keys.create(&first).await.unwrap();
    stores.keys.create(&key("other", 9)).await.unwrap();
    let taken = ApiKey { digest: KeyDigest::new([9; 32]), ..first.clone() };
    let refused = stores.keys.update(&taken).await;
    assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");

    let retiring = Some(RetiringSecret { digest: old, until: at(5_000) });
    let rotated = ApiKey { digest: new, retiring, ..first.clone() };
    assert!(stores.keys.update(&rotated).await.unwrap().is_done());
    let rotated = ApiKey { revision: 1, ..rotated };
    for digest in [old, new] {
        let found = stores.keys.find_by_digest(&[digest]).await.unwrap();
        assert_eq!(found.as_ref(), Some(&rotated));
    }
    let refused = stores.keys.create(&key("thief", 1)).await;
    assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");

    let done = ApiKey { retiring: None, ..rotated };
    assert!(stores.keys.update(&done).await.unwrap().is_done());
    assert_eq!(stores.keys.find_by_digest(&[old]).await.unwrap(), None);
    assert!(stores.keys.find_by_digest(&[new]).await.unwrap().is_some());
    stores.keys.create(&key("next", 1)).await.unwrap();
}

/// Many keys are added in one call; one that is taken is told.
pub async fn many_keys_are_added_at_once(stores: &Stores) {
    let keys: Vec<_> = (1..=130).map(|n| key(&format!("k{n}"), n)).collect();
    stores.keys.create_many(&keys).await.unwrap();
    assert_eq!(stores.keys.list().await.unwrap().len(), 130);
    for key in &keys {
        assert_eq!(stores.keys.find_by_digest(&[key.digest]).await.unwrap().as_ref(), Some(key));
    }
    for taken in [key("k7", 200), key("k200", 7)] {
        let refused = stores.keys.create_many(&[key("k201", 201), taken]).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
    }
    stores.keys.create_many(&[]).await.unwrap();
}

/// The end of a key whose time starts with its first use is set once.
pub async fn the_first_use_sets_the_end(stores: &Stores) {
    let expiry = Expiry::after_first_use(Lifetime::hours(1));
    let fresh = ApiKey { expiry, ..key("fresh", 1) };
    stores.keys.create(&fresh).await.unwrap();
    let end = at(3_600_000);
    assert_eq!(stores.keys.activate(&fresh.id, at(0), end).await.unwrap(), Some(end));
    let late = stores.keys.activate(&fresh.id, at(5), at(3_600_005)).await.unwrap();
    assert_eq!(late, Some(end), "the first end holds");
    let kept = stores.keys.get(&fresh.id).await.unwrap();
    assert_eq!(kept, Some(ApiKey { expiry: fresh.expiry.activated(at(0)), revision: 1, ..fresh }));
}

/// Of first uses at once one sets the end, and all of them learn it.
pub async fn first_uses_at_once_agree_on_the_end(stores: &Stores) {
    let expiry = Expiry::after_first_use(Lifetime::hours(1));
    let fresh = ApiKey { expiry, ..key("fresh", 1) };
    stores.keys.create(&fresh).await.unwrap();
    let ends = at_once((0..20).map(|n| {
        let (keys, id) = (stores.keys.clone(), fresh.id.clone());
        async move { keys.activate(&id, at(n), at(1_000 + n)).await.unwrap() }
    }))
    .await;
    let kept = stores.keys.get(&fresh.id).await.unwrap().unwrap();
    let end = ends.first().copied().flatten().unwrap();
    assert_eq!(kept.expiry.end(), Some(end));
    assert!(ends.iter().all(|&told| told == Some(end)), "{ends:?}");
}

/// A key that never ends, or at a fixed moment, is not changed by its use.
pub async fn only_an_end_after_first_use_is_set_by_use(stores: &Stores) {
    let fixed = ApiKey { expiry: Expiry::at(at(50)), ..key("fixed", 2) };
    for key in [key("endless", 1), fixed] {
        stores.keys.create(&key).await.unwrap();
        assert_eq!(stores.keys.activate(&key.id, at(0), at(9)).await.unwrap(), None);
        assert_eq!(stores.keys.get(&key.id).await.unwrap(), Some(key));
    }
}

/// An operator's word about an end is the last one, before the first use and after it.
pub async fn an_operator_may_change_an_end_that_use_has_set(stores: &Stores) {
    let expiry = Expiry::after_first_use(Lifetime::hours(1));
    let mut fresh = ApiKey { expiry, ..key("fresh", 1) };
    stores.keys.create(&fresh).await.unwrap();
    stores.keys.activate(&fresh.id, at(0), at(1_000)).await.unwrap();
    for (revision, expiry) in [(1, Expiry::at(at(2_000))), (2, Expiry::NEVER), (3, expiry)] {
        (fresh.revision, fresh.expiry) = (revision, expiry);
        assert!(stores.keys.update(&fresh).await.unwrap().is_done());
        assert_eq!(stores.keys.get(&fresh.id).await.unwrap().unwrap().expiry, expiry);
        if expiry.due().is_none() {
            assert_eq!(stores.keys.activate(&fresh.id, at(5), at(9)).await.unwrap(), None);
        }
    }
    let again = stores.keys.activate(&fresh.id, at(5), at(3_000)).await.unwrap();
    assert_eq!(again, Some(at(3_000)), "its time starts anew");
}

/// Who changes a key as it was before another change, or before its first use, changes nothing.
pub async fn an_update_on_old_knowledge_is_refused(stores: &Stores) {
    let expiry = Expiry::after_first_use(Lifetime::hours(1));
    let fresh = ApiKey { expiry, ..key("fresh", 1) };
    stores.keys.create(&fresh).await.unwrap();
    stores.keys.activate(&fresh.id, at(0), at(1_000)).await.unwrap();
    let renamed = ApiKey { name: "renamed".to_owned(), ..fresh.clone() };
    assert_eq!(stores.keys.update(&renamed).await.unwrap(), Update::Stale { current: 1 });
    let now = stores.keys.get(&fresh.id).await.unwrap().unwrap();
    assert_eq!((now.name.as_str(), now.expiry.end()), ("fresh", Some(at(1_000))));
    let renamed = ApiKey { name: "renamed".to_owned(), ..now.clone() };
    assert_eq!(stores.keys.update(&renamed).await.unwrap(), Update::Done { revision: 2 });
    assert_eq!(stores.keys.update(&now).await.unwrap(), Update::Stale { current: 2 });
    let kept = stores.keys.get(&fresh.id).await.unwrap();
    assert_eq!(kept, Some(ApiKey { revision: 2, ..renamed }));
}

/// Of those who change the same at once one does.
pub async fn of_updates_at_once_one_is_made(stores: &Stores) {
    let first = key("k", 1);
    stores.keys.create(&first).await.unwrap();
    let updates = at_once((0..10).map(|n| {
        let keys = stores.keys.clone();
        let asked = ApiKey { name: format!("name {n}"), ..first.clone() };
        async move { keys.update(&asked).await.unwrap() }
    }))
    .await;
    let done = updates.iter().filter(|update| update.is_done()).count();
    assert_eq!(done, 1, "{updates:?}");
}

/// Every change of a key raises the version of keys, and of nothing else; what changes nothing does not.
pub async fn changes_of_keys_raise_their_version(stores: &Stores) {
    let expiry = Expiry::after_first_use(Lifetime::hours(1));
    let fresh = ApiKey { expiry, ..key("fresh", 1) };
    let mut last = stores.ledger.version().await.unwrap();
    for (step, raises) in [
        ("create", true),
        ("create again", false),
        ("update", true),
        ("update what is not there", false),
        ("update on old knowledge", false),
        ("activate", true),
        ("activate again", false),
        ("read", false),
        ("purge", true),
    ] {
        match step {
            "create" => stores.keys.create(&fresh).await.unwrap(),
            "create again" => assert!(stores.keys.create(&fresh).await.is_err()),
            "update" => assert!(stores.keys.update(&fresh).await.unwrap().is_done()),
            "update what is not there" => {
                assert!(!stores.keys.update(&key("absent", 9)).await.unwrap().is_done());
            }
            "update on old knowledge" => {
                assert!(!stores.keys.update(&fresh).await.unwrap().is_done());
            }
            "purge" => assert!(stores.keys.purge(&fresh.id, 2).await.unwrap().is_done()),
            "read" => assert_eq!(stores.keys.list().await.unwrap().len(), 1),
            _ => assert!(stores.keys.activate(&fresh.id, at(0), at(9)).await.unwrap().is_some()),
        }
        let version = stores.ledger.version().await.unwrap();
        assert_eq!(last.keys < version.keys, raises, "{step}: {last:?}, {version:?}");
        assert_eq!(last.accounts, version.accounts, "{step}");
        last = version;
    }
}

/// A key whose user is disabled does not come back to life by moving, nor does one whose user is active die:
/// no store of the suite knows the user.
pub async fn how_a_user_stands_comes_along_with_an_import(stores: &Stores) {
    for (number, standing) in [UserStanding::Active, UserStanding::Disabled].into_iter().enumerate()
    {
        let id = format!("k-{number}");
        let digest = u8::try_from(number + 1).unwrap();
        let moved = ApiKey { user: user(standing), ..key(&id, digest) };
        stores.keys.import(&moved).await.unwrap();
        let renamed = ApiKey { name: "renamed".to_owned(), ..moved.clone() };
        let by_id = stores.keys.get(&moved.id).await.unwrap().unwrap();
        assert_eq!(by_id, moved);
        assert!(stores.keys.update(&renamed).await.unwrap().is_done());
        let user = || Some(moved.user.clone());
        let found = stores.keys.get(&moved.id).await.unwrap();
        assert_eq!(found.map(|key| key.user), user(), "after a change of something else");
        let found = stores.keys.find_by_digest(&[moved.digest]).await.unwrap();
        assert_eq!(found.map(|key| key.user), user(), "by digest");
        let listed = stores.keys.list().await.unwrap();
        let listed = listed.into_iter().find(|key| key.id == moved.id);
        assert_eq!(listed.map(|key| key.user), user(), "in the list");
        let page = stores.keys.page(&KeyQuery { limit: 10, ..KeyQuery::default() }).await.unwrap();
        let paged = page.items.into_iter().find(|key| key.id == moved.id);
        assert_eq!(paged.map(|key| key.user), user(), "on a page");
    }
    let disabled = stores.keys.get(&key_id("k-1")).await.unwrap().unwrap();
    let mut freed = disabled;
    freed.user.set_id(String::new());
    assert!(stores.keys.update(&freed).await.unwrap().is_done());
    let found = stores.keys.get(&key_id("k-1")).await.unwrap().unwrap();
    assert!(!found.user.is_disabled(), "it is nobody's");
}
