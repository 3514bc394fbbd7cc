//! Redis by TLS: nothing in clear, nobody trusted who should not be.

use relay_store::StoreError;
use relay_store::contract::fixture::account;
use relay_store_redis::{RedisAddress, RedisOptions, RedisStore};
use relay_testkit::{Listen, Persistence, RedisServer, tls_authority};

use crate::options;

fn by_tls(place: RedisAddress, server: &RedisServer, authorities: Option<&str>) -> RedisOptions {
    let authorities = authorities.map(|pem| pem.as_bytes().to_vec());
    let address = RedisAddress::Tls { place: Box::new(place), authorities };
    RedisOptions { address, ..options(server) }
}

fn url(server: &RedisServer) -> RedisAddress {
    RedisAddress::Url(server.url().to_owned().into())
}

#[tokio::test]
async fn a_redis_that_our_authority_vouches_for_is_used() {
    let server = RedisServer::private(Listen::Tls, Persistence::None);
    let port = server.url().trim_end_matches('/').rsplit_once(':').unwrap().1.parse().unwrap();
    let host = "localhost".to_owned();
    let parts = RedisAddress::Host { host, port, database: 3, username: None, password: None };
    // As v1 and v2 name it, and as a URL.
    for place in [parts, url(&server)] {
        let options = by_tls(place, &server, Some(tls_authority()));
        let store = RedisStore::connect(&options).await.unwrap();
        store.stores().accounts.create(&account("one")).await.unwrap();
        let read = store.handle().stores().accounts.list().await.unwrap();
        assert_eq!(read, [account("one")]);
    }
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let server = RedisServer::private(Listen::Tls, Persistence::None);
    let stranger = RedisStore::connect(&by_tls(url(&server), &server, None)).await;
    let error = stranger.err().expect("nobody vouches for it");
    assert!(format!("{error:?}").to_lowercase().contains("certificate"), "{error:?}");
    // It does not answer who speaks in clear, and who asks for TLS never does.
    let clear = RedisAddress::Url(server.url().replace("rediss://", "redis://").into());
    let in_clear = RedisOptions { address: clear, ..options(&server) };
    assert!(RedisStore::connect(&in_clear).await.is_err());
    let plain = RedisServer::tcp();
    let options = by_tls(url(&plain), &plain, Some(tls_authority()));
    assert!(RedisStore::connect(&options).await.is_err());
}

#[tokio::test]
async fn what_cannot_be_is_refused_at_once() {
    let socket = RedisServer::private(Listen::UnixSocket, Persistence::None);
    let on_socket = RedisStore::open(&by_tls(url(&socket), &socket, None));
    assert!(matches!(on_socket, Err(StoreError::Refused(_))));
    let place = RedisAddress::Url("redis://127.0.0.1:1/".to_owned().into());
    let no_certificate = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
    let options = by_tls(place, &socket, Some(no_certificate));
    assert!(RedisStore::open(&options).is_err());
}
