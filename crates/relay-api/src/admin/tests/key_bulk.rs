//! `/api/v2/keys/bulk` and `/bulk-edit`, and creates that are asked twice.

use http::Method;
use serde_json::{Value, json};

use super::fixture::{Answer, Office};

const KEYS: &str = "/api/v2/keys";
const BULK: &str = "/api/v2/keys/bulk";
const EDIT: &str = "/api/v2/keys/bulk-edit";

async fn once(office: &Office, token: &str, key: &str, path: &str, body: &Value) -> Answer {
    office.send_with(("idempotency-key", key), (Method::POST, path), token, body).await
}

#[tokio::test]
async fn what_is_asked_twice_is_made_once() {
    let office = Office::open().await;
    let token = office.token().await;
    let body = json!({"name": "n"});
    let first = once(&office, &token, "order-1", KEYS, &body).await.expect(201);
    let again = once(&office, &token, "order-1", KEYS, &body).await.expect(201);
    assert_eq!(first.text, again.text, "the secret too");
    assert_eq!(first.headers["etag"], again.headers["etag"]);
    assert_eq!(first.headers["content-type"], again.headers["content-type"]);
    assert_eq!(office.stores.keys.list().await.unwrap().len(), 1);
    once(&office, &token, "order-1", KEYS, &json!({"name": "m"})).await.expect(422);
    once(&office, &token, "order-1", BULK, &json!({"count": 1})).await.expect(422);
    once(&office, &token, "two words", KEYS, &body).await.expect(400);
    // What failed may be tried again with the same key.
    once(&office, &token, "order-2", KEYS, &json!({"name": ""})).await.expect(400);
    once(&office, &token, "order-2", KEYS, &body).await.expect(201);
    assert_eq!(office.stores.keys.list().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_change_that_is_asked_twice_is_made_once() {
    let office = Office::open().await;
    let token = office.token().await;
    let created = once(&office, &token, "a", KEYS, &json!({"name": "n"})).await.expect(201).json();
    let id = created["key"]["id"].as_str().unwrap().to_owned();
    let path = format!("{KEYS}/{id}/rotate");
    let first = once(&office, &token, "turn", &path, &json!({})).await.expect(200);
    let again = once(&office, &token, "turn", &path, &json!({})).await.expect(200);
    assert_eq!(first.text, again.text, "the new secret");
    assert_eq!(first.headers["etag"], again.headers["etag"]);
    assert_ne!(first.json()["rawKey"], created["rawKey"]);
    let grace = json!({"gracePeriodSeconds": 60});
    once(&office, &token, "turn", &path, &grace).await.expect(422);

    // Without a body, and without saying of what kind it is, the secret before is good no more.
    let none =
        super::fixture::request(Method::POST, &path, Some(&token), axum::body::Body::empty());
    let rotated = office.send(none).await.expect(200).json();
    assert_ne!(rotated["rawKey"], first.json()["rawKey"]);

    let edit = json!({"ids": [id], "changes": {"name": "other"}});
    let first = once(&office, &token, "edit", EDIT, &edit).await.expect(200);
    let again = once(&office, &token, "edit", EDIT, &edit).await.expect(200);
    assert_eq!(first.text, again.text);
    let revision = |id: &str| {
        let (keys, id) = (office.stores.keys.clone(), relay_domain::KeyId::try_from(id).unwrap());
        async move { keys.get(&id).await.unwrap().unwrap().revision }
    };
    let before = revision(&id).await;
    once(&office, &token, "edit", EDIT, &edit).await.expect(200);
    assert_eq!(revision(&id).await, before, "it was not changed again");

    let path = format!("{KEYS}/{id}");
    office.send_json(Method::DELETE, &path, Some(&token), "").await.expect(204);
    let path = format!("{KEYS}/{id}/restore");
    let first = once(&office, &token, "back", &path, &Value::Null).await.expect(200);
    let again = once(&office, &token, "back", &path, &Value::Null).await.expect(200);
    assert_eq!(
        (first.text, first.headers["etag"].clone()),
        (again.text, again.headers["etag"].clone())
    );
}

#[tokio::test]
async fn many_keys_are_made_and_changed_as_previewed() {
    let office = Office::open().await;
    let token = office.token().await;
    let asked =
        json!({"count": 3, "template": {"name": "team", "dailyCostLimit": 1.5, "tags": ["t"]}});
    let made = office.post(BULK, Some(&token), &asked.to_string()).await.expect(201).json();
    assert_eq!(made["total"], 3);
    let keys = made["keys"].as_array().unwrap();
    assert_eq!(
        (&keys[2]["key"]["name"], &keys[2]["key"]["dailyCostLimit"]),
        (&json!("team 3"), &json!(1.5))
    );
    assert_ne!(keys[0]["rawKey"], keys[1]["rawKey"]);
    let id = |number: usize| keys[number]["key"]["id"].as_str().unwrap();

    let edit = async |body: Value| office.post(EDIT, Some(&token), &body.to_string()).await;
    let changes = json!({"dailyCostLimit": 2});
    let filter = json!({"tag": "t"});
    let shown = edit(json!({"filter": filter, "changes": changes, "preview": true}))
        .await
        .expect(200)
        .json();
    assert_eq!((&shown["succeeded"], &shown["failed"]), (&json!(3), &json!(0)));
    let first = &shown["results"][0];
    assert_eq!(
        (&first["before"]["dailyCostLimit"], &first["after"]["dailyCostLimit"]),
        (&json!(1.5), &json!(2))
    );
    let read = office.get(&format!("{KEYS}/{}", id(0)), Some(&token)).await.expect(200).json();
    assert_eq!(read["key"]["dailyCostLimit"], 1.5, "a preview writes nothing");

    let ids = [id(0), id(1), "none"];
    let revisions = json!({id(0): 0, id(1): 7});
    let done = edit(json!({"ids": ids, "revisions": revisions, "changes": changes})).await;
    let done = done.expect(200).json();
    assert_eq!((&done["succeeded"], &done["failed"]), (&json!(1), &json!(2)));
    let statuses = |number: usize| done["results"][number]["error"]["statusCode"].clone();
    assert_eq!(done["results"][0]["after"]["dailyCostLimit"], 2);
    assert_eq!((statuses(1), statuses(2)), (json!(412), json!(404)));

    for body in [
        json!({"changes": {}}),
        json!({"ids": ids, "filter": filter, "changes": {}}),
        json!({"ids": ids, "changes": {"colour": 1}}),
        json!({"filter": {"colour": 1}, "changes": {}}),
    ] {
        edit(body).await.expect(400);
    }
    for count in [0, 1001] {
        let refused = office.post(BULK, Some(&token), &json!({ "count": count }).to_string()).await;
        assert!(refused.expect(400).message().starts_with("count must"));
    }
}

#[tokio::test]
async fn what_a_preview_has_not_shown_is_not_changed() {
    let office = Office::open().await;
    let token = office.token().await;
    let make = async |name: &str| {
        let body = json!({"name": name, "tags": ["t"]}).to_string();
        let made = office.post(KEYS, Some(&token), &body).await.expect(201).json();
        made["key"]["id"].as_str().unwrap().to_owned()
    };
    let edit = async |body: &Value| {
        office.post(EDIT, Some(&token), &body.to_string()).await.expect(200).json()
    };
    let seen = make("seen").await;
    let mut asked =
        json!({"filter": {"tag": "t"}, "changes": {"dailyCostLimit": 2}, "preview": true});
    let shown = edit(&asked).await;
    assert_eq!(shown["revisions"], json!({ &seen: shown["results"][0]["before"]["revision"] }));

    let unseen = make("later").await;
    asked["revisions"] = shown["revisions"].clone();
    asked["preview"] = json!(false);
    let done = edit(&asked).await;
    assert_eq!((&done["succeeded"], &done["failed"]), (&json!(1), &json!(1)));
    assert_eq!(done["revisions"], Value::Null);
    let refused = done["results"].as_array().unwrap().iter().find(|one| one["id"] == *unseen);
    assert_eq!(refused.unwrap()["error"]["statusCode"], 412);
    let limit = async |id: &str| {
        office.get(&format!("{KEYS}/{id}"), Some(&token)).await.json()["key"]["dailyCostLimit"]
            .clone()
    };
    assert_eq!((limit(&seen).await, limit(&unseen).await), (json!(2), json!(0)));
    asked["revisions"] = json!({});
    assert_eq!(edit(&asked).await["failed"], 2, "nothing was shown");

    let many = json!({"count": 1000, "template": {"tags": ["t"]}}).to_string();
    office.post(BULK, Some(&token), &many).await.expect(201);
    asked["revisions"] = Value::Null;
    let refused = office.post(EDIT, Some(&token), &asked.to_string()).await.expect(400);
    assert!(refused.message().starts_with("filter matches more keys, 1002,"), "{}", refused.text);
}
