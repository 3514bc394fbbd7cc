use super::*;
use crate::operator::fixture::{Desk, NOW, refused_field, root};

fn new(scopes: &[TokenScope]) -> NewToken {
    NewToken { name: "ci".to_owned(), scopes: scopes.to_vec(), expires_at: None }
}

#[tokio::test]
async fn a_token_is_known_until_it_is_revoked() {
    let desk = Desk::new();
    let operator = &desk.operator;
    let scopes = [TokenScope::KeysWrite, TokenScope::Read, TokenScope::Read];
    let (token, secret) = operator.mint_token(&root(), new(&scopes)).await.unwrap();
    assert_eq!(token.scopes, [TokenScope::Read, TokenScope::KeysWrite]);
    assert!(secret.expose_secret().starts_with(TOKEN_PREFIX));
    let stored = operator.tokens().await.unwrap().remove(0);
    assert!(!format!("{stored:?}").contains(secret.expose_secret()));

    let known = operator.authenticate_token(&secret).await.unwrap().unwrap();
    assert_eq!(known.id, token.id);
    let used = operator.tokens().await.unwrap().remove(0).last_used_at;
    assert_eq!(used, Some(NOW));
    for other in ["rat_00", "cr_00", ""] {
        assert_eq!(operator.authenticate_token(&other.into()).await.unwrap(), None, "{other}");
    }
    let actor = actor_of_token(&token);
    assert_eq!((actor.kind, actor.name.as_str()), (ActorKind::Token, token.id.as_str()));

    operator.revoke_token(&root(), &token.id).await.unwrap();
    assert_eq!(operator.authenticate_token(&secret).await.unwrap(), None);
    desk.clock.advance(Duration::from_secs(5));
    let again = operator.revoke_token(&root(), &token.id).await.unwrap();
    assert_eq!(again.revoked_at, Some(NOW), "it was revoked before");
    let absent = AdminTokenId::try_from("absent").unwrap();
    let absent = operator.revoke_token(&root(), &absent).await;
    assert!(matches!(absent, Err(OperatorError::NotFound(_))), "{absent:?}");
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_cannot_be_made_without_a_purpose() {
    let desk = Desk::new();
    let end = NOW.plus(Duration::from_mins(1));
    let brief = NewToken { expires_at: Some(end), ..new(&[TokenScope::Read]) };
    let (_, secret) = desk.operator.mint_token(&root(), brief).await.unwrap();
    assert!(desk.operator.authenticate_token(&secret).await.unwrap().is_some());
    desk.clock.advance(Duration::from_mins(1));
    assert_eq!(desk.operator.authenticate_token(&secret).await.unwrap(), None);

    let read = [TokenScope::Read];
    for (new, field) in [
        (new(&[]), "scopes"),
        (NewToken { name: " ".to_owned(), ..new(&read) }, "name"),
        (NewToken { expires_at: Some(NOW), ..new(&read) }, "expiresAt"),
    ] {
        assert_eq!(refused_field(desk.operator.mint_token(&root(), new).await), field);
    }
}
