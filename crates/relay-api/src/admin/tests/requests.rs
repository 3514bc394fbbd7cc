//! `/api/v2/requests`: what was settled is shown.

use relay_store::contract::fixture::{
    NOW as THEN, admitted, at, key, record, request_id, rich_record, settlement,
};
use serde_json::json;

use super::fixture::Office;

async fn settle(office: &Office, record: relay_domain::RequestRecord, number: u8) {
    admitted(&office.stores, number, "k", THEN).await;
    assert!(
        office
            .stores
            .ledger
            .settle(&settlement(record, at(u64::from(number))))
            .await
            .unwrap()
            .is_first()
    );
}

#[tokio::test]
async fn a_request_is_shown_whole() {
    let office = Office::open().await;
    let token = office.token().await;
    office.stores.keys.create(&key("k", 1)).await.unwrap();
    settle(&office, rich_record(1, "k"), 1).await;
    let path = format!("/api/v2/requests/{}", request_id(1));
    let shown = office.get(&path, Some(&token)).await.expect(200).json();
    let attempt = |account: &str, outcome: &str, status: Option<u16>, started_us: u32| {
        json!({
            "accountId": account, "outcome": outcome, "status": status,
            "startedUs": started_us, "tookUs": 1_234_567,
        })
    };
    assert_eq!(
        shown["request"],
        json!({
            "id": request_id(1).to_string(), "keyId": "k", "groupId": "team-one", "platform": "claude-console",
            "model": "claude-sonnet-4-5", "servedModel": "claude-sonnet-4-5-20250929",
            "accountId": "account-one", "stream": true, "outcome": "completed", "status": 200,
            "startedAt": THEN.to_string(),
            "times": {
                "queuedUs": 9, "admittedUs": 1, "sentUs": 2, "connectedUs": 200_000, "headUs": 300_000, "firstContentUs": 400_000,
                "endUs": 5_000_000, "longestStallUs": 77, "addedUs": 88,
            },
            "usage": {
                "inputTokens": 1, "outputTokens": 20, "cacheReadTokens": 300,
                "cacheWrite5mTokens": 4_000, "cacheWrite1hTokens": 50_000, "totalTokens": 54_321,
            },
            "usageSource": "final", "cost": "0.010500001", "costNanos": 10_500_001,
            "charged": "0.012600001", "chargedNanos": 12_600_001,
            "presumedCost": null, "presumedCostNanos": null,
            "costByKind": {
                "inputNanos": 10_500_000, "outputNanos": 1, "cacheReadNanos": 0,
                "cacheWrite5mNanos": 0, "cacheWrite1hNanos": 0, "webSearchNanos": 0,
            },
            "terms": {"tier": "priority", "fast": true, "usResidency": true, "webSearches": 3},
            "settledAt": THEN.plus(std::time::Duration::from_millis(5_001)).to_string(),
            "attempts": [
                attempt("account-two", "unreachable", None, 10),
                attempt("account-three", "overloaded", Some(529), 20),
                attempt("account-one", "answered", Some(200), 30),
            ],
            "edits": [{"kind": "model", "to": "sonnet \"four\" 五"}],
            "decision": [
                {"accountId": "account-one", "verdict": "sticky", "until": null},
                {
                    "accountId": "account-four", "verdict": "quota_spent",
                    "until": THEN.plus(std::time::Duration::from_mins(1)).to_string(),
                },
            ],
        })
    );
    let unknown = format!("/api/v2/requests/{}", request_id(2));
    assert_eq!(office.get(&unknown, Some(&token)).await.expect(404).message(), "Request not found");
    office.get("/api/v2/requests/7", Some(&token)).await.expect(400);
}

#[tokio::test]
async fn the_newest_requests_are_listed() {
    let office = Office::open().await;
    let token = office.token().await;
    office.stores.keys.create(&key("k", 1)).await.unwrap();
    for number in 1..=3 {
        settle(&office, record(number, "k"), number).await;
    }
    let ids = async |query: &str| {
        let list =
            office.get(&format!("/api/v2/requests{query}"), Some(&token)).await.expect(200).json();
        let requests = list["requests"].as_array().unwrap();
        requests
            .iter()
            .map(|request| request["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let id = |number| request_id(number).to_string();
    assert_eq!(ids("").await, [id(3), id(2), id(1)]);
    assert_eq!(ids("?limit=2").await, [id(3), id(2)]);
    for query in ["?limit=0", "?limit=501", "?limit=many", "?offset=1"] {
        office.get(&format!("/api/v2/requests{query}"), Some(&token)).await.expect(400);
    }
}
