//! What every [`UsageRepository`](crate::UsageRepository) owes whoever looks for records.

use relay_domain::{NanoUsd, Outcome, RequestId, RequestRecord, Timestamp};

use super::fixture::{
    RECORD_LIFETIME, account_id, admit_request, at, key_id, model, record, request_id, settlement,
};
use crate::{AdmitRequest, RecordQuery, Stores};

async fn settle(stores: &Stores, record: &RequestRecord) {
    let asked = AdmitRequest { request: record.id, ..admit_request(0, record.key.as_str(), at(0)) };
    assert!(stores.ledger.admit(&asked).await.unwrap().decision.is_ok());
    let end = settlement(record.clone(), at(1_000));
    assert!(stores.ledger.settle(&end).await.unwrap().is_first());
}

fn all(limit: usize) -> RecordQuery {
    RecordQuery { limit, ..RecordQuery::default() }
}

/// Everything that `query` finds, page by page.
async fn found(stores: &Stores, query: RecordQuery) -> Vec<RequestRecord> {
    let (mut query, mut records) = (query, Vec::new());
    loop {
        let page = stores.usage.search(&query).await.unwrap();
        assert!(page.records.len() <= query.limit);
        assert!(records.len() <= 100, "the pages do not end");
        records.extend(page.records);
        let Some(next) = page.next else { return records };
        query.after = Some(next);
    }
}

/// Records differ in everything that they can be looked for by.
fn records() -> Vec<RequestRecord> {
    let cost = |number: u8| i64::from(number) * 1_000_000;
    (0..24)
        .map(|number| RequestRecord {
            key: key_id(if number % 2 == 0 { "k1" } else { "k2" }),
            account: (number % 3 != 0)
                .then(|| account_id(if number % 3 == 1 { "a1" } else { "a2" })),
            model: model(if number % 4 == 0 { "opus" } else { "sonnet" }),
            served_model: (number % 4 == 1).then(|| model("opus")),
            status: if number % 5 == 0 { 529 } else { 200 },
            outcome: if number % 5 == 0 { Outcome::NoAccount } else { Outcome::Completed },
            cost: (number % 6 != 0).then(|| NanoUsd::from_nanos(cost(number))),
            ..record(number, "k1")
        })
        .collect()
}

/// Each condition, and several at once, find what meets them and nothing else, the latest first.
pub async fn records_are_found_by_any_condition(stores: &Stores) {
    let mut records = records();
    for record in &records {
        settle(stores, record).await;
    }
    records.reverse();
    let id = request_id(7).to_string();
    let queries = [
        all(100),
        RecordQuery { key: Some(key_id("k1")), ..all(100) },
        RecordQuery { account: Some(account_id("a1")), ..all(100) },
        RecordQuery { model: Some(model("opus")), ..all(100) },
        RecordQuery { status: Some(529), ..all(100) },
        RecordQuery { outcome: Some(Outcome::Completed), ..all(100) },
        RecordQuery { from: Some(at(5)), ..all(100) },
        RecordQuery { to: Some(at(5)), ..all(100) },
        RecordQuery { from: Some(at(5)), to: Some(at(9)), ..all(100) },
        RecordQuery { min_cost: Some(NanoUsd::from_nanos(7_000_000)), ..all(100) },
        RecordQuery { min_cost: Some(NanoUsd::ZERO), ..all(100) },
        RecordQuery { id_contains: Some(id.clone()), ..all(100) },
        RecordQuery { id_contains: Some(id[20..].to_owned()), ..all(100) },
        RecordQuery { id_contains: Some("req_".to_owned()), ..all(100) },
        RecordQuery { id_contains: Some("no such".to_owned()), ..all(100) },
        RecordQuery { key: Some(key_id("nobody")), ..all(100) },
        RecordQuery {
            key: Some(key_id("k2")),
            account: Some(account_id("a2")),
            model: Some(model("sonnet")),
            status: Some(200),
            from: Some(at(3)),
            ..all(100)
        },
    ];
    let counts: Vec<_> = queries
        .iter()
        .map(|query| records.iter().filter(|record| query.matches(record)).count())
        .collect();
    assert_eq!(counts[..4], [24, 12, 8, 12], "the fixture is as it says");
    for query in queries {
        for limit in [1, 5, 100] {
            let query = RecordQuery { limit, ..query.clone() };
            let expected: Vec<_> =
                records.iter().filter(|record| query.matches(record)).cloned().collect();
            assert_eq!(found(stores, query.clone()).await, expected, "{query:?}");
        }
    }
    assert_eq!(stores.usage.search(&all(0)).await.unwrap().records, []);
}

/// Who goes on after a page misses nothing that was there, whatever is settled meanwhile.
pub async fn a_page_goes_on_where_the_last_ended(stores: &Stores) {
    let records = records();
    for record in &records[..12] {
        settle(stores, record).await;
    }
    let first = stores.usage.search(&all(5)).await.unwrap();
    for record in &records[12..] {
        settle(stores, record).await;
    }
    let mut seen = first.records;
    seen.extend(found(stores, RecordQuery { after: first.next, ..all(5) }).await);
    let mut expected = records[..12].to_vec();
    expected.reverse();
    assert_eq!(seen, expected);
}

/// Records that are older than they may become are dropped.
pub async fn records_are_dropped_by_age(stores: &Stores) {
    let [old, new] = [0, 1_000].map(|arrived| RequestRecord {
        id: RequestId::new(at(arrived), 1),
        started_at: at(arrived),
        ..record(0, "k1")
    });
    for record in [&old, &new] {
        settle(stores, record).await;
    }
    let now = Timestamp::from_millis(at(500).as_millis()).plus(RECORD_LIFETIME);
    stores.ledger.reap(now, 10).await.unwrap();
    assert_eq!(found(stores, all(10)).await, std::slice::from_ref(&new));
    assert_eq!(stores.usage.record(old.id).await.unwrap(), None);
}
