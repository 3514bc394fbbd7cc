use relay_domain::{AccountBinding, ApiKey};
use relay_store::contract::fixture::{RECORD_LIFETIME, account, account_group, at, calendar, key};
use relay_testkit::RedisServer;

use super::*;
use crate::{RedisAddress, RedisOptions, RedisStore};

#[tokio::test]
async fn a_removal_that_was_decided_before_a_key_was_changed_is_not_made() {
    let server = RedisServer::start();
    let options = RedisOptions {
        address: RedisAddress::Url(server.url().to_owned().into()),
        calendar: calendar(),
        record_capacity: 10,
        record_lifetime: RECORD_LIFETIME,
        billing_events: false,
        prefix: "relay:".to_owned(),
    };
    let store = RedisStore::connect(&options).await.unwrap();
    let (shared, stores) = (Arc::clone(&store.shared), store.stores());
    let group = account_group("one", &["a"]);
    stores.accounts.create(&account("a")).await.unwrap();
    stores.account_groups.create(&group).await.unwrap();
    let groups = RedisAccountGroups { shared };
    let decide = async || groups.removal(&group.id, 0).await.unwrap().unwrap();

    let before_the_first_key = decide().await;
    let bound = ApiKey { claude_binding: AccountBinding::Group(group.id.clone()), ..key("k", 1) };
    stores.keys.create(&bound).await.unwrap();
    assert!(before_the_first_key.run(&groups.shared).await.unwrap().is_some());
    let stays = groups.removal(&group.id, 0).await.unwrap().err();
    assert_eq!(stays, Some(GroupRemoval::InUse { keys: 1 }));

    let free = ApiKey { claude_binding: AccountBinding::Pool, ..bound.clone() };
    assert!(stores.keys.update(&free).await.unwrap().is_done());
    let before_it_is_bound_again = decide().await;
    let again = ApiKey { revision: 1, updated_at: Some(at(9)), ..bound };
    assert!(stores.keys.update(&again).await.unwrap().is_done());
    assert!(before_it_is_bound_again.run(&groups.shared).await.unwrap().is_some());
    assert_eq!(stores.account_groups.get(&group.id).await.unwrap(), Some(group));
}
