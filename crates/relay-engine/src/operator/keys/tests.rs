use std::time::Duration;

use relay_domain::Lifetime;

use super::*;
use crate::operator::NewAccount;
use crate::operator::fixture::{Desk, NOW, hasher, refused_field};

#[tokio::test]
async fn a_made_key_is_found_by_its_secret_and_by_its_id() {
    let desk = Desk::new();
    let new = NewKey {
        limits: Limits { concurrency: Some(3), ..Limits::default() },
        tags: vec!["team".to_owned()],
        created_by: "root".to_owned(),
        ..NewKey::default()
    };
    let (key, secret) = desk.operator.create_key(new).await.unwrap();
    assert_eq!(key.name, format!("API Key {}", key.id));
    assert_eq!((key.created_at, key.created_by.as_str()), (NOW, "root"));

    let digest = KeyDigest::new(hasher().digest(secret.expose_secret()));
    let found = desk.stores.keys.find_by_digest(&[digest]).await.unwrap();
    assert_eq!(found.as_ref(), Some(&key));
    assert_eq!(desk.operator.key(&key.id).await.unwrap().as_ref(), Some(&key));
    assert_eq!(desk.operator.keys().await.unwrap(), [key]);
}

#[tokio::test]
async fn a_limit_of_zero_is_none() {
    let limits = Limits { concurrency: Some(0), ..Limits::default() };
    let new = NewKey { limits, ..NewKey::default() };
    let (key, _) = Desk::new().operator.create_key(new).await.unwrap();
    assert_eq!(key.limits.concurrency, None);
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_by_field() {
    let desk = Desk::new();
    let codex = NewAccount::new(Platform::Codex, "https://api.openai.com", "sk-1".into());
    let codex = desk.operator.create_account(codex).await.unwrap();
    let key = NewKey::default;
    let named = |name: &str| NewKey { name: Some(name.to_owned()), ..NewKey::default() };
    let cases = [
        ("a name of 100 characters", named(&"名".repeat(100)), ""),
        ("a name of 101", named(&"名".repeat(101)), "name"),
        ("a blank name", named(" "), "name"),
        ("a long note", NewKey { description: "x".repeat(501), ..key() }, "description"),
        (
            "an end in the future",
            NewKey { expiry: Expiry::at(NOW.plus(Duration::from_secs(1))), ..key() },
            "",
        ),
        ("an end that is now", NewKey { expiry: Expiry::at(NOW), ..key() }, "expiresAt"),
        (
            "no life at all",
            NewKey { expiry: Expiry::after_first_use(Lifetime::days(0)), ..key() },
            "activationDays",
        ),
        (
            "a nameless model",
            NewKey { restricted_models: Restriction::of(vec![String::new()]), ..key() },
            "restrictedModels",
        ),
        ("a nameless tag", NewKey { tags: vec![String::new()], ..key() }, "tags"),
        (
            "bound to an account",
            NewKey { bound_codex_account: Some(codex.id.clone()), ..key() },
            "",
        ),
        (
            "bound to one of another platform",
            NewKey { bound_claude_account: Some(codex.id), ..key() },
            "claudeConsoleAccountId",
        ),
        (
            "bound to none",
            NewKey { bound_codex_account: AccountId::try_from("none").ok(), ..key() },
            "codexAccountId",
        ),
    ];
    for (name, new, field) in cases {
        assert_eq!(refused_field(desk.operator.create_key(new).await), field, "{name}");
    }
    assert_eq!(desk.operator.keys().await.unwrap().len(), 3, "what was refused was not written");
}
