//! Events are listed by what they are about, and webhooks that are not there are not told.

use relay_domain::{AccountId, Event, EventId, EventKind, PenaltyReason, RecordedEvent};
use serde_json::json;

use super::fixture::{NOW, Office};

fn cooled(count: u16, account: &str) -> RecordedEvent {
    let kind = EventKind::AccountCooled {
        account: AccountId::try_from(account).unwrap(),
        model: None,
        reason: PenaltyReason::RateLimited,
        until: Some(NOW),
    };
    RecordedEvent { id: EventId::new(NOW, count, 0), event: Event { at: NOW, kind } }
}

#[tokio::test]
async fn events_are_listed_page_by_page() {
    let office = Office::open().await;
    let token = office.token().await;
    let told = [cooled(0, "a"), cooled(1, "b"), cooled(2, "a")];
    office.stores.events.append(&told).await.unwrap();
    let get = async |query: &str| {
        office.get(&format!("/api/v2/events?{query}"), Some(&token)).await.expect(200).json()
    };
    let first = get("account=a&type=account_cooled&limit=1").await;
    assert_eq!(first["events"][0]["id"], told[2].id.to_string());
    assert_eq!(first["events"][0]["reason"], "rate_limited");
    assert_eq!(first["events"][0]["until"], first["events"][0]["at"]);
    let next = first["next"].as_str().unwrap();
    let second = get(&format!("account=a&limit=1&cursor={next}")).await;
    assert_eq!(second["events"][0]["id"], told[0].id.to_string());
    assert_eq!((&second["next"], &second["missed"]), (&json!(null), &json!(0)));
    assert_eq!(get("type=account_blocked").await["events"], json!([]));
    for bad in ["type=webhook_test", "limit=0", "cursor=evt_1", "from=soon", "unknown=1"] {
        office.get(&format!("/api/v2/events?{bad}"), Some(&token)).await.expect(400);
    }
}

#[tokio::test]
async fn without_webhooks_there_is_nobody_to_try() {
    let office = Office::open().await;
    let token = office.token().await;
    let answer = office.post("/api/v2/webhooks/test", Some(&token), "").await.expect(200);
    assert_eq!(answer.json(), json!({"webhooks": []}));
}
