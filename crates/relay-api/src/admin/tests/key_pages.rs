//! `GET /api/v2/keys` by pages.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::fixture::Office;

const KEYS: &str = "/api/v2/keys";

async fn page(office: &Office, token: &str, query: &str) -> Value {
    office.get(&format!("{KEYS}?{query}"), Some(token)).await.expect(200).json()
}

fn names(page: &Value) -> Vec<String> {
    let keys = page["keys"].as_array().unwrap().iter();
    keys.map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_put_together_are_the_list() {
    let office = Office::open().await;
    let token = office.token().await;
    for name in ["b", "Aqua", "c", "e", "d"] {
        let body = json!({"name": name, "tags": [name, "all"]}).to_string();
        office.post(KEYS, Some(&token), &body).await.expect(201);
        office.clock.advance(Duration::from_secs(1));
    }
    let all = page(&office, &token, "").await;
    assert_eq!(
        (names(&all).len(), &all["total"], &all["nextCursor"]),
        (5, &json!(5), &Value::Null)
    );
    for (order, expected) in [
        ("sort=name&order=asc", ["Aqua", "b", "c", "d", "e"]),
        ("sort=name", ["e", "d", "c", "b", "Aqua"]),
        ("sort=createdAt&order=asc", ["b", "Aqua", "c", "e", "d"]),
        ("", ["d", "e", "c", "Aqua", "b"]),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(&office, &token, &format!("limit=2&{order}{cursor}")).await;
            assert_eq!(page["total"], 5);
            seen.extend(names(&page));
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, expected, "{order}");
    }
    for (query, expected) in [
        ("tag=c", &["c"][..]),
        ("search=aqua", &["Aqua"]),
        ("expired=true", &[]),
        ("groupId=none", &[]),
        ("tag=all&limit=1&sort=name&order=asc", &["Aqua"]),
    ] {
        assert_eq!(names(&page(&office, &token, query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn all_keys_at_once_are_the_pages_put_together_and_as_each_is() {
    let office = Office::open().await;
    let token = office.token().await;
    // More than is sent in one piece.
    let tags: Vec<_> = (0..60).map(|number| format!("\u{540d} \"{number}\"")).collect();
    let body = json!({ "count": 90, "template": { "name": "key", "tags": tags } }).to_string();
    office.post(&format!("{KEYS}/bulk"), Some(&token), &body).await.expect(201);
    let first = office.get(&format!("{KEYS}?limit=1&sort=name"), Some(&token)).await;
    let first = first.expect(200).json()["keys"][0]["id"].as_str().unwrap().to_owned();
    office.send_json(Method::DELETE, &format!("{KEYS}/{first}"), Some(&token), "").await;

    for query in ["sort=name", "sort=createdAt&order=asc&includeDeleted=true", "search=KEY%201"] {
        let all = office.get(&format!("{KEYS}?{query}"), Some(&token)).await.expect(200);
        assert_eq!(all.headers["content-type"], "application/json");
        let all = all.json();
        assert_eq!((all.get("nextCursor"), all.as_object().unwrap().len()), (None, 2), "{query}");
        let (mut keys, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(&office, &token, &format!("limit=40&{query}{cursor}")).await;
            assert_eq!(page["total"], all["total"], "{query}");
            keys.extend(page["keys"].as_array().unwrap().clone());
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert!(*all["keys"].as_array().unwrap() == keys, "{query}");
        assert_eq!(all["total"], keys.len(), "{query}");
        let id = keys[0]["id"].as_str().unwrap();
        let one = office.get(&format!("{KEYS}/{id}"), Some(&token)).await.expect(200).json();
        assert_eq!(one["key"], keys[0], "{query}");
    }
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_by_name() {
    let office = Office::open().await;
    let token = office.token().await;
    for name in ["a", "b"] {
        let body = json!({ "name": name }).to_string();
        office.post(KEYS, Some(&token), &body).await.expect(201);
    }
    let first = page(&office, &token, "limit=1").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    for (query, message) in [
        ("limit=0".to_owned(), "limit must"),
        ("limit=201".to_owned(), "limit must"),
        ("cursor=x".to_owned(), "cursor must"),
        (format!("cursor={cursor}&sort=name"), "cursor must"),
        (format!("cursor={cursor}&order=asc"), "cursor must"),
        ("sort=colour".to_owned(), "sort must be one of `createdAt`, `name`, `lastUsedAt`"),
    ] {
        let answer = office.get(&format!("{KEYS}?{query}"), Some(&token)).await.expect(400);
        assert!(answer.message().contains(message), "{query}: {}", answer.text);
    }
}
