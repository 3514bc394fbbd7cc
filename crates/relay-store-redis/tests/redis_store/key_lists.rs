//! Lists of keys that others write too: another process of Relay's, and v1.

use redis::AsyncCommands as _;
use relay_domain::ApiKey;
use relay_store::contract::fixture::{admitted, at, key, key_id, record, settlement};
use relay_store::{KeyQuery, Stores};
use relay_testkit::RedisServer;

use crate::{raw, store};

/// All keys at once, the newest first.
async fn all(stores: &Stores) -> Vec<ApiKey> {
    let all = stores.keys.all(&KeyQuery::default()).await.unwrap();
    all.items.iter().map(|key| ApiKey::clone(key)).collect()
}

#[tokio::test]
async fn what_another_process_does_is_in_the_next_list() {
    let server = RedisServer::tcp();
    let (here, there) = (store(&server).await.stores(), store(&server).await.stores());
    let mut raw = raw(&server).await;
    here.keys.create(&key("a", 1)).await.unwrap();
    assert_eq!(all(&here).await.len(), 1);
    let newer = |id: &str, digest: u8| ApiKey { created_at: at(5), ..key(id, digest) };
    there.keys.create(&newer("b", 2)).await.unwrap();
    let renamed = ApiKey { name: "renamed".to_owned(), ..key("a", 1) };
    assert!(there.keys.update(&renamed).await.unwrap().is_done());
    admitted(&there, 1, "b", at(0)).await;
    let ended = settlement(record(1, "b"), at(7));
    assert!(there.ledger.settle(&ended).await.unwrap().is_first());
    let expected = [
        ApiKey { last_used_at: Some(at(7)), ..newer("b", 2) },
        ApiKey { revision: 1, ..renamed.clone() },
    ];
    assert_eq!(all(&here).await, expected);
    // More changes than are remembered one by one.
    let () = raw.incr("relay:version:keys", 600).await.unwrap();
    let again = ApiKey { name: "again".to_owned(), revision: 1, ..key("a", 1) };
    assert!(there.keys.update(&again).await.unwrap().is_done());
    assert!(there.keys.purge(&key_id("b"), 0).await.unwrap().is_done());
    let left = all(&here).await;
    assert_eq!((left.len(), left[0].name.as_str()), (1, "again"));
}

#[tokio::test]
async fn a_page_shows_what_v1_has_written_and_a_list_of_all_from_the_next_change_on() {
    let server = RedisServer::tcp();
    let (stores, mut raw) = (store(&server).await.stores(), raw(&server).await);
    for (id, digest) in [("a", 1), ("b", 2)] {
        stores.keys.create(&key(id, digest)).await.unwrap();
    }
    assert_eq!(all(&stores).await.len(), 2);
    let () = raw.hset("apikey:a", "description", "by v1").await.unwrap();
    let query = KeyQuery { limit: 9, ..KeyQuery::default() };
    let page = stores.keys.page(&query).await.unwrap();
    assert!(page.items.iter().any(|key| key.description == "by v1"));
    let change = ApiKey { description: "by v1".to_owned(), is_active: false, ..key("a", 1) };
    assert!(stores.keys.update(&change).await.unwrap().is_done());
    assert!(all(&stores).await.iter().any(|key| key.description == "by v1" && !key.is_active));
}

#[tokio::test]
async fn a_use_is_seen_of_a_key_that_v1_has_left_out_of_its_index() {
    let server = RedisServer::tcp();
    let (stores, mut raw) = (store(&server).await.stores(), raw(&server).await);
    for (id, digest) in [("a", 1), ("b", 2)] {
        stores.keys.create(&key(id, digest)).await.unwrap();
    }
    assert_eq!(all(&stores).await.len(), 2);
    let () = raw.zrem("apikey:idx:lastUsedAt", "a").await.unwrap();
    admitted(&stores, 1, "a", at(0)).await;
    let ended = settlement(record(1, "a"), at(7));
    assert!(stores.ledger.settle(&ended).await.unwrap().is_first());
    let used: Vec<_> = all(&stores).await.into_iter().map(|key| key.last_used_at).collect();
    assert_eq!(used, [None, Some(at(7))]);
}
