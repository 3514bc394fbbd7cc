//! What groups of API keys and the keys in them owe their callers.

use relay_domain::{ApiKey, GroupId};

use super::fixture::{at, at_once, group, group_id, key, signature};
use crate::{GroupRemoval, StoreError, Stores};

/// A key joins no group that is not there, whatever was looked at before; nothing is written then.
pub async fn a_key_joins_no_group_that_is_not_there(stores: &Stores) {
    let keys = &stores.keys;
    stores.groups.create(&group("there")).await.unwrap();
    let known = ApiKey { group: Some(group_id("there")), ..key("k", 1) };
    keys.create(&known).await.unwrap();
    let before = stores.ledger.version().await.unwrap();
    let lost = |key: ApiKey| ApiKey { group: Some(group_id("gone")), ..key };
    let asked = [
        keys.create(&lost(key("new", 2))).await,
        keys.create_many(&[key("other", 3), lost(key("new", 2))]).await,
        keys.update(&lost(known.clone())).await.map(drop),
    ];
    for (number, refused) in asked.into_iter().enumerate() {
        let is_told = matches!(refused, Err(StoreError::Missing { .. }));
        assert!(is_told, "{number}: {refused:?}");
    }
    assert_eq!(keys.list().await.unwrap(), [known]);
    assert_eq!(stores.ledger.version().await.unwrap(), before);
}

/// A key of another store comes as it was there; the group that is gone is not held against changes.
pub async fn a_key_is_imported_though_it_is_in_no_group_that_is_there(stores: &Stores) {
    let keys = &stores.keys;
    let brought = ApiKey { group: Some(group_id("gone")), ..key("k", 1) };
    keys.import(&brought).await.unwrap();
    assert_eq!(keys.get(&brought.id).await.unwrap().as_ref(), Some(&brought));
    let renamed = ApiKey { name: "renamed".to_owned(), ..brought };
    assert!(keys.update(&renamed).await.unwrap().is_done());
    let other = ApiKey { group: Some(group_id("other")), revision: 1, ..renamed.clone() };
    let refused = keys.update(&other).await;
    assert!(matches!(refused, Err(StoreError::Missing { .. })), "{refused:?}");
    let freed = ApiKey { group: None, revision: 1, ..renamed };
    assert!(keys.update(&freed).await.unwrap().is_done());
}

/// A group stays while keys that are not deleted belong to it.
pub async fn a_group_that_keys_belong_to_is_not_removed(stores: &Stores) {
    let (groups, keys) = (&stores.groups, &stores.keys);
    let one = group("one");
    groups.create(&one).await.unwrap();
    let join = |key: ApiKey| ApiKey { group: Some(one.id.clone()), ..key };
    let (free, made) = (key("free", 1), join(key("made", 2)));
    keys.create_many(&[free.clone(), made.clone()]).await.unwrap();
    assert!(keys.update(&join(free.clone())).await.unwrap().is_done());
    let before = stores.ledger.version().await.unwrap();
    assert_eq!(groups.delete(&one.id, 0).await.unwrap(), GroupRemoval::InUse { keys: 2 });
    let stale = groups.delete(&one.id, 7).await.unwrap();
    assert_eq!(stale, GroupRemoval::Stale { current: 0 });
    assert_eq!(groups.get(&one.id).await.unwrap().as_ref(), Some(&one));
    assert_eq!(stores.ledger.version().await.unwrap(), before);

    assert!(keys.update(&ApiKey { revision: 1, ..free }).await.unwrap().is_done());
    assert_eq!(groups.delete(&one.id, 0).await.unwrap(), GroupRemoval::InUse { keys: 1 });
    let deleted = ApiKey { deleted: Some(signature(at(9), "admin")), ..made.clone() };
    assert!(keys.update(&deleted).await.unwrap().is_done());
    assert!(groups.delete(&one.id, 0).await.unwrap().is_done());
    let restored = ApiKey { revision: 1, ..made };
    assert!(keys.update(&restored).await.unwrap().is_done(), "it joins nothing anew");
}

/// Of joining a group and its removal at once one is refused: no key is left with a group that is not there.
pub async fn a_key_that_joins_and_the_removal_of_its_group_at_once_agree(stores: &Stores) {
    for round in 0..20 {
        let name = format!("g{round}");
        let id: GroupId = group_id(&name);
        stores.groups.create(&group(&name)).await.unwrap();
        let joining = key(&format!("k{round}"), round);
        stores.keys.create(&joining).await.unwrap();
        let joined = ApiKey { group: Some(id.clone()), ..joining };
        let made = ApiKey { group: Some(id.clone()), ..key(&format!("m{round}"), 100 + round) };
        let calls = (0..3).map(|number| {
            let (stores, id, joined, made) =
                (stores.clone(), id.clone(), joined.clone(), made.clone());
            async move {
                match number {
                    0 => drop(stores.keys.update(&joined).await),
                    1 => drop(stores.groups.delete(&id, 0).await),
                    _ => drop(stores.keys.create(&made).await),
                }
            }
        });
        at_once(calls).await;
        let keys = stores.keys.list().await.unwrap();
        let members = keys.iter().filter(|key| key.group.as_ref() == Some(&id)).count();
        let is_there = stores.groups.get(&id).await.unwrap().is_some();
        assert_eq!(members, if is_there { 2 } else { 0 }, "round {round}");
    }
}
