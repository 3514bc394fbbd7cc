//! What browsers are told, and which of them are let in.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, ORIGIN, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{Method, Request};

use super::fixture::{NOW, Office, request, signer};
use crate::admin::AdminConfig;

const CONSOLE: &str = "https://console.example";

fn from_site(method: &Method, path: &str, origin: &str) -> Request<Body> {
    let mut request = request(method.clone(), path, None, Body::empty());
    request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
    if *method == Method::OPTIONS {
        let asked = "access-control-request-method";
        request.headers_mut().insert(asked, "PUT".parse().unwrap());
    }
    request
}

async fn open_to_the_console() -> Office {
    let stores = Office::open().await.stores;
    let config = AdminConfig { cors_origins: vec![CONSOLE.to_owned()], ..AdminConfig::default() };
    Office::set_up(stores.clone(), stores, config, (signer(), NOW)).await
}

#[tokio::test]
async fn every_answer_is_protected() {
    let office = Office::open().await;
    let paths = ["/health", "/api/v2/keys", "/api/v2/nothing", "/nothing", "/openapi.json"];
    for path in paths {
        let answer = office.get(path, None).await;
        let headers = &answer.headers;
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{path}");
        assert_eq!(headers[REFERRER_POLICY], "no-referrer", "{path}");
        assert_eq!(headers[X_FRAME_OPTIONS], "DENY", "{path}");
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        assert!(!headers.contains_key(STRICT_TRANSPORT_SECURITY), "{path}");
    }
}

#[tokio::test]
async fn no_other_site_is_let_in_unless_it_is_named() {
    let (closed, open) = (Office::open().await, open_to_the_console().await);
    let cases = [
        ("none is named", &closed, CONSOLE, false),
        ("another is named", &open, "https://evil.example", false),
        ("one that looks like it", &open, "https://console.example.evil.example", false),
        ("by another scheme", &open, "http://console.example", false),
        ("from a file", &open, "null", false),
        ("it is named", &open, CONSOLE, true),
    ];
    for (name, office, origin, let_in) in cases {
        let expected = let_in.then_some(origin);
        let asked = office.send(from_site(&Method::OPTIONS, "/api/v2/keys", origin)).await;
        let sent = office.send(from_site(&Method::GET, "/api/v2/keys", origin)).await;
        assert_eq!(asked.status.is_success(), let_in, "{name}: {}", asked.text);
        assert_eq!(sent.status, 401, "{name}: being let in is not being logged in");
        for answer in [&asked, &sent] {
            let allowed = answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allowed.map(|value| value.to_str().unwrap()), expected, "{name}");
            assert!(!answer.headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS), "{name}");
        }
        if let_in {
            let methods = asked.headers[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
            assert!(methods.contains("PUT"), "{methods}");
            let headers = asked.headers[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
            assert!(headers.contains("authorization"), "{headers}");
            assert_eq!(sent.headers[VARY], "origin");
        }
    }
}
