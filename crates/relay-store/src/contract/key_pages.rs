//! What pages of API keys owe their readers.

use relay_domain::{ApiKey, Expiry, Lifetime, Permissions, Platform};

use super::fixture::{
    admitted, at, group, group_id, key, key_id, record, rich_key, settlement, signature,
};
use crate::{KeyFilter, KeyQuery, KeySort, Order, Stores};

async fn ids(stores: &Stores, query: &KeyQuery) -> Vec<String> {
    let page = stores.keys.page(query).await.unwrap();
    page.items.into_iter().map(|key| key.id.into()).collect()
}

/// The ids of all that is asked for at once.
async fn all_ids(stores: &Stores, query: &KeyQuery) -> Vec<String> {
    let all = stores.keys.all(query).await.unwrap();
    assert_eq!(all.next, None);
    all.items.iter().map(|key| key.id.to_string()).collect()
}

/// Six keys of which each is told apart by something.
async fn six(stores: &Stores) {
    let made =
        |id: &str, digest: u8| ApiKey { created_at: at(u64::from(digest)), ..key(id, digest) };
    let claude = Permissions::Only(vec![Platform::ClaudeConsole]);
    let keys = [
        ApiKey { tags: vec!["red".to_owned()], ..made("a", 1) },
        ApiKey { is_active: false, name: "Zed".to_owned(), ..made("b", 2) },
        ApiKey { permissions: claude, ..made("c", 3) },
        ApiKey { group: Some(group_id("g")), ..made("d", 4) },
        ApiKey { expiry: Expiry::at(at(100)), ..made("e", 5) },
        ApiKey { deleted: Some(signature(at(9), "admin")), ..made("f", 6) },
    ];
    stores.groups.create(&group("g")).await.unwrap();
    stores.keys.create_many(&keys).await.unwrap();
}

/// Each filter finds what it says, in each order.
pub async fn keys_are_found_by_what_they_are(stores: &Stores) {
    six(stores).await;
    let none = KeyFilter::default;
    let is = |text: &str| Some(text.to_owned());
    let all = Permissions::Only(vec![Platform::Codex, Platform::ClaudeConsole]);
    let claude = Permissions::Only(vec![Platform::ClaudeConsole]);
    let cases = [
        ("all", none(), "fedcba"),
        ("alive", KeyFilter { is_deleted: Some(false), ..none() }, "edcba"),
        ("deleted", KeyFilter { is_deleted: Some(true), ..none() }, "f"),
        ("off", KeyFilter { is_active: Some(false), ..none() }, "b"),
        ("for both", KeyFilter { permissions: Some(all), ..none() }, "fedba"),
        ("for one", KeyFilter { permissions: Some(claude), ..none() }, "c"),
        ("with a tag", KeyFilter { tag: is("red"), ..none() }, "a"),
        ("of a group", KeyFilter { group: Some(group_id("g")), ..none() }, "d"),
        ("by name", KeyFilter { text: is("zED"), ..none() }, "b"),
        ("by id", KeyFilter { text: is("C"), ..none() }, "c"),
        ("over", KeyFilter { is_expired: Some((true, at(100))), ..none() }, "e"),
        ("not over", KeyFilter { is_expired: Some((false, at(99))), ..none() }, "fedcba"),
    ];
    for (name, filter, expected) in cases {
        let query = KeyQuery { filter, limit: 10, ..KeyQuery::default() };
        assert_eq!(ids(stores, &query).await.concat(), expected, "{name}");
        assert_eq!(all_ids(stores, &query).await.concat(), expected, "{name}, all at once");
        let page = stores.keys.page(&KeyQuery { limit: 1, ..query.clone() }).await.unwrap();
        assert_eq!(page.total, u64::try_from(expected.len()).ok(), "{name}");
        let ascending = KeyQuery { order: Order::Ascending, ..query };
        let reverse: String = expected.chars().rev().collect();
        assert_eq!(ids(stores, &ascending).await.concat(), reverse, "{name}, the oldest first");
    }
    let by_name =
        KeyQuery { sort: KeySort::Name, order: Order::Ascending, limit: 10, ..KeyQuery::default() };
    assert_eq!(ids(stores, &by_name).await.concat(), "acdefb");
}

/// Pages put together are the list, also when what the last one ended with is gone.
pub async fn pages_of_keys_follow_each_other(stores: &Stores) {
    six(stores).await;
    let mut query = KeyQuery { limit: 2, ..KeyQuery::default() };
    let first = stores.keys.page(&query).await.unwrap();
    assert_eq!(first.items.iter().map(|key| key.id.as_str()).collect::<String>(), "fe");
    assert!(stores.keys.purge(&key_id("e"), 0).await.unwrap().is_done());
    query.after = first.next;
    let second = stores.keys.page(&query).await.unwrap();
    assert_eq!(second.items.iter().map(|key| key.id.as_str()).collect::<String>(), "dc");
    assert_eq!(second.total, Some(5));
    let rest = stores.keys.all(&query).await.unwrap();
    assert_eq!(rest.items.iter().map(|key| key.id.as_str()).collect::<String>(), "dcba");
    assert_eq!((rest.total, rest.next), (Some(5), None));
    query.after = second.next;
    let third = stores.keys.page(&query).await.unwrap();
    assert_eq!(third.items.iter().map(|key| key.id.as_str()).collect::<String>(), "ba");
    assert_eq!(third.next, None);
}

/// A page shows every change that came before it, and its keys as they are.
pub async fn a_page_is_never_old(stores: &Stores) {
    six(stores).await;
    let query = KeyQuery { limit: 10, ..KeyQuery::default() };
    let found = |text: &str| KeyQuery {
        filter: KeyFilter { text: Some(text.to_owned()), ..KeyFilter::default() },
        ..query.clone()
    };
    assert_eq!(ids(stores, &query).await.len(), 6);
    let renamed = ApiKey { name: "renamed".to_owned(), ..key("a", 1) };
    assert!(stores.keys.update(&renamed).await.unwrap().is_done());
    assert_eq!(ids(stores, &found("renamed")).await, ["a"]);
    stores.keys.create(&key("new", 9)).await.unwrap();
    assert!(stores.keys.purge(&key_id("b"), 0).await.unwrap().is_done());
    assert_eq!(ids(stores, &found("zed")).await, [""; 0]);
    assert_eq!(ids(stores, &found("new")).await, ["new"]);
    for key in stores.keys.page(&query).await.unwrap().items {
        assert_eq!(stores.keys.get(&key.id).await.unwrap(), Some(key));
    }
}

/// All keys at once are as each of them is, in every field and after every change.
pub async fn all_keys_at_once_are_never_old(stores: &Stores) {
    six(stores).await;
    let query = KeyQuery::default();
    let check = async |expected: &str| {
        let all = stores.keys.all(&query).await.unwrap();
        assert_eq!(all.items.iter().map(|key| key.id.as_str()).collect::<String>(), expected);
        for key in all.items {
            assert_eq!(stores.keys.get(&key.id).await.unwrap().as_ref(), Some(&*key));
        }
    };
    check("fedcba").await;
    let waits = Expiry::after_first_use(Lifetime::days(1));
    let rich = ApiKey { created_at: at(9), last_used_at: Some(at(3)), ..rich_key("g", 9) };
    stores.groups.create(&group("team-one")).await.unwrap();
    stores.keys.import(&rich).await.unwrap();
    stores.keys.create(&ApiKey { expiry: waits, ..key("h", 10) }).await.unwrap();
    check("gfedcbah").await;
    let renamed = ApiKey { name: "renamed".to_owned(), ..key("a", 1) };
    assert!(stores.keys.update(&renamed).await.unwrap().is_done());
    assert!(stores.keys.purge(&key_id("b"), 0).await.unwrap().is_done());
    let end = stores.keys.activate(&key_id("h"), at(20), at(30)).await.unwrap();
    assert_eq!(end, Some(at(30)));
    check("gfedcah").await;
    for (number, id) in [(1, "c"), (2, "g")] {
        admitted(stores, number, id, at(40)).await;
        let ended = settlement(record(number, id), at(41));
        assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    }
    let all = stores.keys.all(&query).await.unwrap();
    let used: Vec<_> = all.items.iter().filter(|key| key.last_used_at == Some(at(41))).collect();
    assert_eq!(used.len(), 2);
    check("gfedcah").await;
}

/// The order of use is that of settlements.
pub async fn keys_are_sorted_by_their_use(stores: &Stores) {
    six(stores).await;
    for (number, id, millis) in [(1, "c", 10), (2, "a", 20), (3, "e", 15)] {
        admitted(stores, number, id, at(0)).await;
        let ended = settlement(record(number, id), at(millis));
        assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    }
    let query = KeyQuery { sort: KeySort::LastUsedAt, limit: 4, ..KeyQuery::default() };
    let page = stores.keys.page(&query).await.unwrap();
    assert_eq!(page.items.iter().map(|key| key.id.as_str()).collect::<String>(), "aecf");
    assert_eq!(page.items[0].last_used_at, Some(at(20)));
    assert_eq!(all_ids(stores, &query).await.concat(), "aecfdb");
}
