//! `/api/v2/auth`: getting in, guessing, and ending every session.

use std::time::Duration;

use http::header::RETRY_AFTER;
use serde_json::json;

use super::fixture::{Answer, Office, PASSWORD};

const LOGIN: &str = "/api/v2/auth/admin/login";

async fn log_in(office: &Office, username: &str, password: &str) -> Answer {
    let body = json!({"username": username, "password": password}).to_string();
    office.post(LOGIN, None, &body).await
}

#[tokio::test]
async fn the_right_password_begins_a_session() {
    let office = Office::open().await;
    let answer = log_in(&office, "root", PASSWORD).await.expect(200).json();
    assert_eq!(answer["expiresIn"], 86_400_000);
    let token = answer["token"].as_str();
    let me = office.get("/api/v2/auth/me", token).await.expect(200).json();
    assert_eq!(me, json!({"username": "root", "role": "admin"}));
}

#[tokio::test]
async fn a_login_that_is_not_right_is_refused() {
    let office = Office::open().await;
    let wrong = "Invalid username or password";
    let cases = [
        ("another password", json!({"username": "root", "password": "wrong"}), 401, wrong),
        ("another name", json!({"username": "toor", "password": PASSWORD}), 401, wrong),
        ("no name", json!({"username": "", "password": PASSWORD}), 400, "username must"),
        (
            "a long name",
            json!({"username": "x".repeat(101), "password": "p"}),
            400,
            "username must",
        ),
        ("no password", json!({"username": "root", "password": ""}), 400, "password must"),
        ("a field too few", json!({"username": "root"}), 400, "missing field `password`"),
        ("a field too many", json!({"username": "root", "password": "p", "otp": 1}), 400, "`otp`"),
    ];
    for (name, body, status, message) in cases {
        let answer = office.post(LOGIN, None, &body.to_string()).await.expect(status);
        assert!(answer.message().contains(message), "{name}: {}", answer.text);
    }
}

#[tokio::test]
async fn guessing_gets_slower_and_slower() {
    let office = Office::open().await;
    for _ in 0..5 {
        log_in(&office, "root", "wrong").await.expect(401);
    }
    let answer = log_in(&office, "root", PASSWORD).await.expect(429);
    assert_eq!(answer.headers[RETRY_AFTER], "1");
    log_in(&office, "other", "wrong").await.expect(429);
    office.log_in(2, None, "wrong").await.expect(401);

    office.clock.advance(Duration::from_secs(1));
    log_in(&office, "root", "wrong").await.expect(401);
    office.clock.advance(Duration::from_millis(500));
    let answer = log_in(&office, "root", PASSWORD).await.expect(429);
    assert_eq!(answer.headers[RETRY_AFTER], "2", "whole seconds, never too few");

    office.clock.advance(Duration::from_millis(1_500));
    log_in(&office, "root", PASSWORD).await.expect(200);
    for _ in 0..5 {
        log_in(&office, "root", "wrong").await.expect(401);
    }
}

#[tokio::test]
async fn a_changed_password_ends_every_session() {
    let office = Office::open().await;
    let (token, other) = (office.token().await, office.token().await);
    let change = async |body: serde_json::Value| {
        office.post("/api/v2/auth/change-password", Some(&token), &body.to_string()).await
    };
    let wrong = change(json!({"currentPassword": "wrong", "newPassword": "even longer"})).await;
    assert_eq!(wrong.expect(400).message(), "Current password is incorrect");
    let short = change(json!({"currentPassword": PASSWORD, "newPassword": "short"})).await;
    assert_eq!(short.expect(400).message(), "newPassword must have at least 8 characters");

    let done = change(json!({"currentPassword": PASSWORD, "newPassword": "even longer"})).await;
    assert_eq!(done.expect(200).json(), json!({"message": "Password changed successfully"}));
    for token in [&token, &other] {
        office.get("/api/v2/auth/me", Some(token)).await.expect(401);
    }
    log_in(&office, "root", PASSWORD).await.expect(401);
    log_in(&office, "root", "even longer").await.expect(200);
}

#[tokio::test]
async fn the_present_password_cannot_be_guessed_with_a_session() {
    let office = Office::open().await;
    let token = office.token().await;
    let body = json!({"currentPassword": "wrong", "newPassword": "even longer"}).to_string();
    for _ in 0..5 {
        office.post("/api/v2/auth/change-password", Some(&token), &body).await.expect(400);
    }
    office.post("/api/v2/auth/change-password", Some(&token), &body).await.expect(429);
}

#[tokio::test]
async fn whoever_guesses_keeps_the_operator_out_nowhere() {
    let office = Office::open().await;
    let earlier = office.token().await;
    // As many places as there are, and all names they like.
    for place in 10..=65 {
        office.log_in(place, None, "wrong").await.expect(401);
    }
    office.log_in(65, None, "wrong").await.expect(429);
    office.log_in(201, None, PASSWORD).await.expect(200);
    // From the same place as somebody who guesses, with a token of before, though its time is over.
    office.log_in(65, None, PASSWORD).await.expect(429);
    office.clock.advance(Duration::from_hours(48));
    for _ in 0..6 {
        office.log_in(65, None, "wrong").await;
    }
    office.log_in(65, None, PASSWORD).await.expect(429);
    office.get("/api/v2/auth/me", Some(&earlier)).await.expect(401);
    office.log_in(65, Some(&earlier), PASSWORD).await.expect(200);
    // A token is no way to guess without end, and one that we did not make is none at all.
    for _ in 0..5 {
        office.log_in(202, Some(&earlier), "wrong").await.expect(401);
    }
    office.log_in(202, Some(&earlier), PASSWORD).await.expect(429);
    let forged = earlier.replace(char::is_numeric, "x");
    office.log_in(65, Some(&forged), PASSWORD).await.expect(429);
}
