//! What a correction leaves for a v1 to read: the numbers that v1 would have, and for no longer than it
//! would have had them.

use std::time::Duration;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;
use relay_domain::{NanoUsd, PeriodStarts, RequestRecord, Timestamp};
use relay_store::contract::fixture::{
    account_id, admitted, at, key, key_id, model, record, settlement,
};
use relay_store::{Corrected, Correction, Price, Stores};
use relay_testkit::RedisServer;

const DAY: u64 = 24 * 3_600;

/// Each of v1's sums of the key's, how many days it is kept (0: for good), and whether it is of the cost.
const SUMS: [(&str, u64, bool); 10] = [
    ("usage:cost:hourly:k:2040-01-01:00", 7, false),
    ("usage:cost:daily:k:2040-01-01", 30, false),
    ("usage:cost:monthly:k:2040-01", 90, false),
    ("usage:cost:total:k", 0, false),
    ("usage:cost:real:daily:k:2040-01-01", 30, true),
    ("usage:cost:real:total:k", 0, true),
    ("usage:opus:weekly:k:2039-12-26T00", 14, false),
    ("usage:opus:total:k", 0, false),
    ("usage:opus:real:weekly:k:2039-12-26T00", 14, true),
    ("usage:opus:real:total:k", 0, true),
];

fn days(days: u64) -> Timestamp {
    at(0).plus(Duration::from_secs(days * DAY))
}

fn unpriced(number: u8) -> RequestRecord {
    RequestRecord {
        account: Some(account_id("a")),
        served_model: Some(model("claude-mapped")),
        settled_at: Some(at(0)),
        cost: None,
        cost_by_kind: None,
        charged: None,
        ..record(number, "k")
    }
}

async fn settled(stores: &Stores, record: &RequestRecord, number: u8) {
    admitted(stores, number, "k", at(0)).await;
    let end = settlement(record.clone(), at(0));
    assert!(stores.ledger.settle(&end).await.unwrap().is_first());
}

/// Corrects a record to so many cents at the provider and twice as many for the key. Returns what it is then.
async fn corrected(
    stores: &Stores,
    before: &RequestRecord,
    cents: i64,
    now: Timestamp,
) -> RequestRecord {
    let nanos = |cents: i64| Some(NanoUsd::from_nanos(cents * 10_000_000));
    let price = Price { cost: nanos(cents), cost_by_kind: None, charged: nanos(2 * cents) };
    let correction = Correction::new(before.clone(), price, PeriodStarts::default()).unwrap();
    let after = correction.after();
    let made = stores.corrections.correct(&[correction], now).await.unwrap();
    assert_eq!(made, [Corrected::Made]);
    after
}

/// A sum in cents, if there is one, and for how many more seconds.
async fn read(raw: &mut MultiplexedConnection, name: &str) -> (Option<f64>, i64) {
    let dollars: Option<f64> = raw.get(name).await.unwrap();
    (dollars.map(|dollars| (dollars * 100.0 * 1e6).round() / 1e6), raw.ttl(name).await.unwrap())
}

async fn field(raw: &mut MultiplexedConnection, name: &str, field: &str) -> Option<i64> {
    raw.hget(name, field).await.unwrap()
}

#[tokio::test]
async fn sums_are_those_that_v1_would_have_and_last_as_long() {
    let server = RedisServer::start();
    let stores = super::store(&server).await.stores();
    let mut raw = super::raw(&server).await;
    let (first, second) = (unpriced(0), unpriced(1));
    for (number, record) in [(0, &first), (1, &second)] {
        settled(&stores, record, number).await;
    }
    for (name, ..) in SUMS {
        assert_eq!(read(&mut raw, name).await.0, None, "v1 begins no sum with nothing: {name}");
    }

    let first = corrected(&stores, &first, 30, days(2)).await;
    for (name, kept, is_cost) in SUMS {
        let (cents, rest) = read(&mut raw, name).await;
        assert_eq!(cents, Some(if is_cost { 30.0 } else { 60.0 }), "{name}");
        let ends = i64::try_from(kept.saturating_sub(2) * DAY).unwrap();
        let expected = if kept == 0 { -1..=-1 } else { ends - 60..=ends };
        assert!(expected.contains(&rest), "{name} ends in {rest} seconds");
    }
    for hash in
        ["usage:k:model:alltime:claude-mapped", "usage:k:model:daily:claude-mapped:2040-01-01"]
    {
        assert_eq!(field(&mut raw, hash, "realCostMicro").await, Some(300_000), "{hash}");
        assert_eq!(field(&mut raw, hash, "ratedCostMicro").await, Some(600_000), "{hash}");
    }
    for hash in
        ["usage:k", "account_usage:daily:a:2040-01-01", "relay:usage:model:total:claude-mapped"]
    {
        assert_eq!(field(&mut raw, hash, "unpricedRequests").await, Some(1), "{hash}");
        assert_eq!(field(&mut raw, hash, "chargedNano").await, Some(600_000_000), "{hash}");
    }

    // What ends sooner than it would have goes on ending then.
    let day = "usage:cost:daily:k:2040-01-01";
    let _: bool = raw.expire(day, 1_000).await.unwrap();
    // The hour's have ended by then.
    let (hour, hours) = ("usage:hourly:k:2040-01-01:00", "usage:cost:hourly:k:2040-01-01:00");
    let _: i64 = raw.del(&[hour, hours]).await.unwrap();
    corrected(&stores, &second, 5, days(8)).await;
    corrected(&stores, &first, 1, days(8)).await;
    let (cents, rest) = read(&mut raw, day).await;
    assert_eq!(cents, Some(12.0));
    assert!((1..=1_000).contains(&rest), "{rest}");
    let gone: bool = raw.exists(&[hour, hours]).await.unwrap();
    assert!(!gone, "what has ended does not come back");
    assert_eq!(read(&mut raw, "usage:cost:total:k").await, (Some(12.0), -1));
}

#[tokio::test]
async fn a_key_that_was_purged_leaves_nothing_again() {
    let server = RedisServer::start();
    let stores = super::store(&server).await.stores();
    let mut raw = super::raw(&server).await;
    let mut purged = key("k", 1);
    purged.deleted = Some(relay_store::contract::fixture::signature(at(1), "admin"));
    stores.keys.create(&purged).await.unwrap();
    let record = unpriced(0);
    settled(&stores, &record, 0).await;
    stores.keys.purge(&key_id("k"), 0).await.unwrap();
    corrected(&stores, &record, 30, days(1)).await;
    let names: Vec<String> = raw.keys("usage:*:k*").await.unwrap();
    let mut for_good = Vec::new();
    for name in names {
        if raw.ttl::<_, i64>(&name).await.unwrap() < 0 {
            for_good.push(name);
        }
    }
    let of_money = |name: &String| name.starts_with("usage:cost") || name.starts_with("usage:opus");
    assert!(!for_good.iter().any(of_money), "{for_good:?}");
}
