//! What every [`KeyRepository`](crate::KeyRepository) owes its callers.

use std::time::Duration;

use relay_domain::{
    ApiKey, Expiry, KeyDigest, Lifetime, Limits, Permissions, RateWindow, Restriction, WindowCaps,
};

use super::fixture::{at, at_once, key, key_id, rich_key};
use crate::{StoreError, Stores};

/// What was created is what is read.
pub async fn a_key_reads_back_in_every_field(stores: &Stores) {
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
    assert!(!stores.keys.update(&absent).await.unwrap());
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
    let before = key("changing", 1);
    stores.keys.create(&before).await.unwrap();
    stores.keys.create(&key("other", 2)).await.unwrap();
    let asked =
        ApiKey { created_at: at(99), last_used_at: Some(at(99)), ..rich_key("changing", 3) };
    assert!(stores.keys.update(&asked).await.unwrap());
    let expected = ApiKey {
        digest: before.digest,
        created_at: before.created_at,
        last_used_at: None,
        ..asked
    };
    // Who made a key does not change either, but no harm is done if it can.
    let kept = stores.keys.get(&before.id).await.unwrap().unwrap();
    assert_eq!(ApiKey { created_by: expected.created_by.clone(), ..kept }, expected);
    assert_eq!(stores.keys.find_by_digest(&[KeyDigest::new([3; 32])]).await.unwrap(), None);
    assert_eq!(stores.keys.get(&key_id("other")).await.unwrap(), Some(key("other", 2)));

    assert!(stores.keys.update(&before).await.unwrap());
    let restored = stores.keys.find_by_digest(&[before.digest]).await.unwrap().unwrap();
    assert_eq!(ApiKey { created_by: before.created_by.clone(), ..restored }, before, "and back");
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
    let fresh = ApiKey { expiry, ..key("fresh", 1) };
    stores.keys.create(&fresh).await.unwrap();
    stores.keys.activate(&fresh.id, at(0), at(1_000)).await.unwrap();
    for expiry in [Expiry::at(at(2_000)), Expiry::NEVER, expiry] {
        assert!(stores.keys.update(&ApiKey { expiry, ..fresh.clone() }).await.unwrap());
        assert_eq!(stores.keys.get(&fresh.id).await.unwrap().unwrap().expiry, expiry);
        if expiry.due().is_none() {
            assert_eq!(stores.keys.activate(&fresh.id, at(5), at(9)).await.unwrap(), None);
        }
    }
    let again = stores.keys.activate(&fresh.id, at(5), at(3_000)).await.unwrap();
    assert_eq!(again, Some(at(3_000)), "its time starts anew");
}

/// Who changes a key as it was before its first use does not start its time anew.
pub async fn an_update_on_old_knowledge_does_not_undo_the_first_use(stores: &Stores) {
    let expiry = Expiry::after_first_use(Lifetime::hours(1));
    let fresh = ApiKey { expiry, ..key("fresh", 1) };
    stores.keys.create(&fresh).await.unwrap();
    stores.keys.activate(&fresh.id, at(0), at(1_000)).await.unwrap();
    for (name, hours) in [("renamed", 1), ("renamed again", 9)] {
        let expiry = Expiry::after_first_use(Lifetime::hours(hours));
        let asked = ApiKey { name: name.to_owned(), expiry, ..fresh.clone() };
        assert!(stores.keys.update(&asked).await.unwrap());
        let kept = stores.keys.get(&fresh.id).await.unwrap();
        let kept = kept.unwrap();
        assert_eq!(kept.expiry.end(), Some(at(1_000)));
        let expected = ApiKey { expiry: kept.expiry, revision: kept.revision, ..asked };
        assert_eq!(kept, expected);
        let end = stores.keys.activate(&fresh.id, at(5), at(3_000)).await.unwrap();
        assert_eq!(end, Some(at(1_000)));
    }
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
        ("activate", true),
        ("activate again", false),
        ("read", false),
    ] {
        match step {
            "create" => stores.keys.create(&fresh).await.unwrap(),
            "create again" => assert!(stores.keys.create(&fresh).await.is_err()),
            "update" => assert!(stores.keys.update(&fresh).await.unwrap()),
            "update what is not there" => {
                assert!(!stores.keys.update(&key("absent", 9)).await.unwrap());
            }
            "read" => assert_eq!(stores.keys.list().await.unwrap().len(), 1),
            _ => assert!(stores.keys.activate(&fresh.id, at(0), at(9)).await.unwrap().is_some()),
        }
        let version = stores.ledger.version().await.unwrap();
        assert_eq!(last.keys < version.keys, raises, "{step}: {last:?}, {version:?}");
        assert_eq!(last.accounts, version.accounts, "{step}");
        last = version;
    }
}
