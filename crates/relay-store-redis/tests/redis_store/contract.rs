//! The promises that every store keeps.

use relay_store::Stores;
use relay_testkit::RedisServer;

async fn fresh_store() -> (RedisServer, Stores) {
    let server = RedisServer::start();
    let stores = crate::store(&server).await.stores();
    (server, stores)
}

relay_store::contract_suite!(fresh_store);
