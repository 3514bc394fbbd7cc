//! A Redis whose volume was lost: nobody begins anew in silence.

use relay_e2e::{Relay, Request, Store};

use crate::redis_client::RedisClient;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_redis_is_refused_until_it_is_accepted() {
    let mut relay = Relay::start(Store::Redis).await;
    relay.key().await;
    assert!(relay.printed().contains("keeps nothing on a disk"), "{}", relay.printed());
    assert!(relay.stop());
    relay.run().await;
    assert!(relay.stop(), "with its data it starts");

    let redis = relay.redis().unwrap();
    let mut client = RedisClient::connect(redis);
    client.text(&["FLUSHALL"]);
    let refused = relay.command(&[]).await;
    assert!(!refused.success, "{}", refused.stderr);
    for word in ["was lost", "RELAY_ACCEPT_EMPTY_STORE", "import"] {
        assert!(refused.stderr.contains(word), "{word} is missing: {}", refused.stderr);
    }
    assert_eq!(client.texts(&["KEYS", "*"]), Vec::<String>::new(), "nothing was written");

    let accepting = Relay::with(Store::Sqlite)
        .env("RELAY_STORE", "redis")
        .env("RELAY_REDIS_URL", redis.url())
        .env("RELAY_DATA_DIR", &relay.data_dir().display().to_string())
        .env("RELAY_ACCEPT_EMPTY_STORE", "true");
    let mut accepting = accepting.start().await;
    accepting.key().await;
    assert!(accepting.stop());
    relay.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_under_a_server_makes_it_unready() {
    let relay = Relay::start(Store::Redis).await;
    let key = relay.key().await;
    assert_eq!(relay.send(&Request::get("/readyz")).await.status, 200);
    RedisClient::connect(relay.redis().unwrap()).text(&["FLUSHALL"]);
    let answer = relay.send(&Request::get("/readyz")).await;
    assert_eq!(
        (answer.status, answer.text().contains("emptied")),
        (503, true),
        "{}",
        answer.text()
    );
    assert_eq!(relay.send(&Request::get("/health")).await.status, 503);
    // As many changes as before make it no better: the server knows what was there.
    let made = relay.command(&["key", "create", "--name", "new", "--json"]).await;
    assert!(made.success && made.stderr.contains("was lost"), "{}", made.stderr);
    assert_eq!(relay.send(&Request::get("/readyz")).await.status, 503);
    let refused = relay.send(&Request::messages(&key.secret, crate::conversation::whole())).await;
    assert_eq!(refused.status, 401, "{}", refused.text());
}
