//! `If-Match`: every change of a thing that has a revision is made only at the one that was seen.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::fixture::{Answer, Office};

const ACCOUNTS: &str = "/api/v2/accounts/claude-console";

async fn made(office: &Office, token: &str, path: &str, body: Value) -> (String, String) {
    let made = office.post(path, Some(token), &body.to_string()).await.expect(201);
    let tag = made.headers["etag"].to_str().unwrap().to_owned();
    let shown = made.json();
    let thing = shown.as_object().unwrap().values().find(|value| value.is_object()).unwrap();
    (format!("{path}/{}", thing["id"].as_str().unwrap()), tag)
}

#[tokio::test]
async fn a_change_comes_too_late_wherever_there_is_a_revision() {
    let office = Office::open().await;
    let token = office.token().await;
    let send = async |tag: &str, method: Method, path: &str, body: &Value| -> Answer {
        office.send_with(("if-match", tag), (method, path), &token, body).await
    };
    let account = json!({"apiUrl": "https://a.example", "apiKey": "sk-1", "dailyQuota": 1});
    let (account, _) = made(&office, &token, ACCOUNTS, account).await;
    let (key, _) = made(&office, &token, "/api/v2/keys", json!({"dailyCostLimit": 1})).await;
    let (group, _) = made(&office, &token, "/api/v2/groups", json!({"name": "g"})).await;
    let price = json!({"standard": {"input": 3, "output": 15}});
    office
        .send_json(Method::PUT, "/api/v2/prices/mine", Some(&token), &price.to_string())
        .await
        .expect(200);
    let rates = json!({"rates": {"claude": 1.5}});
    let cases = [
        (account.clone(), Method::POST, "/toggle-schedulable", json!({"schedulable": false})),
        (account.clone(), Method::POST, "/reset-rate-limit", json!({})),
        (account, Method::POST, "/reset-limits", json!({})),
        (key, Method::POST, "/reset-limits", json!({})),
        (group, Method::POST, "/reset-limits", json!({})),
        ("/api/v2/service-rates".to_owned(), Method::PUT, "", rates),
        ("/api/v2/prices/mine".to_owned(), Method::PUT, "", price),
        ("/api/v2/prices/mine".to_owned(), Method::DELETE, "", Value::Null),
    ];
    for (thing, method, below, body) in cases {
        let seen = office.get(&thing, Some(&token)).await.expect(200);
        let tag = seen.headers["etag"].to_str().unwrap();
        let path = format!("{thing}{below}");
        let stale = send("\"12345\"", method.clone(), &path, &body).await.expect(412);
        assert_eq!(stale.headers["etag"].to_str().unwrap(), tag, "{path}");
        let unchanged = office.get(&thing, Some(&token)).await.expect(200);
        assert_eq!(unchanged.text, seen.text, "{path}");
        let status = send(tag, method.clone(), &path, &body).await.status;
        let done = if method == Method::DELETE { StatusCode::NO_CONTENT } else { StatusCode::OK };
        assert_eq!(status, done, "{path}");
    }
    let trail = office.get("/api/v2/audit?action=price.override", Some(&token)).await.json();
    let noted = &trail["entries"][0]["after"];
    assert_eq!(noted["standard"], json!({"input": 3, "output": 15}), "in the API's units");
    assert_eq!(noted["setBy"], "root");
}
