use relay_domain::{KeyGroup, Lifetime, NanoUsd, PeriodStarts};
use relay_store::AuditQuery;

use super::*;
use crate::operator::fixture::{Desk, NOW, hasher, refused_field, root};
use crate::operator::{NewAccount, NewGroup};

#[tokio::test]
async fn a_made_key_is_found_by_its_secret_and_by_its_id() {
    let desk = Desk::new();
    let new = NewKey {
        limits: Limits { concurrency: Some(3), ..Limits::default() },
        tags: vec!["team".to_owned()],
        created_by: "root".to_owned(),
        ..NewKey::default()
    };
    let (key, secret) = desk.operator.create_key(&root(), new).await.unwrap();
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
    let (key, _) = Desk::new().operator.create_key(&root(), new).await.unwrap();
    assert_eq!(key.limits.concurrency, None);
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused_by_field() {
    let desk = Desk::new();
    let codex = NewAccount::new(Platform::Codex, "https://api.openai.com", "sk-1".into());
    let codex = desk.operator.create_account(&root(), codex).await.unwrap();
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
            NewKey { codex_binding: AccountBinding::Account(codex.id.clone()), ..key() },
            "",
        ),
        (
            "bound to one of another platform",
            NewKey { claude_binding: AccountBinding::Account(codex.id), ..key() },
            "claudeConsoleAccountId",
        ),
        (
            "bound to none",
            NewKey { codex_binding: AccountBinding::parse("none"), ..key() },
            "codexAccountId",
        ),
    ];
    for (name, new, field) in cases {
        assert_eq!(refused_field(desk.operator.create_key(&root(), new).await), field, "{name}");
    }
    assert_eq!(desk.operator.keys().await.unwrap().len(), 3, "what was refused was not written");
}

async fn made(desk: &Desk) -> (ApiKey, SecretString) {
    desk.operator.create_key(&root(), NewKey::default()).await.unwrap()
}

/// What was done to a thing, the latest first.
async fn actions(desk: &Desk, id: &str) -> Vec<String> {
    let query = AuditQuery { target_id: Some(id.to_owned()), limit: 100, ..AuditQuery::default() };
    let page = desk.operator.audit(&query).await.unwrap();
    page.entries.into_iter().map(|entry| entry.action).collect()
}

#[tokio::test]
async fn limits_are_kept_and_negative_ones_refused() {
    let desk = Desk::new();
    let cost = |nanos| Some(NanoUsd::from_nanos(nanos));
    let limits = Limits { daily_cost: cost(1), weekly_cost: cost(0), ..Limits::default() };
    let (key, _) =
        desk.operator.create_key(&root(), NewKey { limits, ..NewKey::default() }).await.unwrap();
    assert_eq!((key.limits.daily_cost, key.limits.weekly_cost), (cost(1), None));
    let negative = Limits { total_cost: cost(-1), ..Limits::default() };
    let starts = PeriodStarts { week_day: 8, ..PeriodStarts::default() };
    let late = Limits { starts, ..Limits::default() };
    for (limits, field) in [(negative, "totalCostLimit"), (late, "weeklyResetDay")] {
        let new = NewKey { limits, ..NewKey::default() };
        assert_eq!(refused_field(desk.operator.create_key(&root(), new).await), field);
    }
}

#[tokio::test]
async fn a_change_is_made_checked_and_noted() {
    let desk = Desk::new();
    let (key, secret) = made(&desk).await;
    desk.clock.advance(Duration::from_secs(1));
    let edit = |key: &mut ApiKey| {
        key.name = "renamed".to_owned();
        key.tags = vec!["a".to_owned()];
        key.limits.concurrency = Some(0);
        // What no operator may change.
        key.digest = KeyDigest::new([9; 32]);
        key.created_by = "somebody else".to_owned();
        key.revision = 77;
    };
    let changed = desk.operator.update_key(&root(), &key.id, Some(0), &edit).await.unwrap();
    let later = NOW.plus(Duration::from_secs(1));
    let expected = ApiKey {
        name: "renamed".to_owned(),
        tags: vec!["a".to_owned()],
        revision: 1,
        updated_at: Some(later),
        ..key.clone()
    };
    assert_eq!(changed, expected);
    assert_eq!(desk.operator.key(&key.id).await.unwrap(), Some(expected.clone()));

    let same = desk.operator.update_key(&root(), &key.id, Some(1), &edit).await.unwrap();
    assert_eq!(same, expected, "what changes nothing is no change");
    let blank = |key: &mut ApiKey| key.name = " ".to_owned();
    let refused = desk.operator.update_key(&root(), &key.id, None, &blank).await;
    assert_eq!(refused_field(refused), "name");
    let stale = desk.operator.update_key(&root(), &key.id, Some(0), &blank).await;
    assert!(matches!(stale, Err(OperatorError::Stale { current: 1 })), "{stale:?}");
    let absent = KeyId::try_from("absent").unwrap();
    let absent = desk.operator.update_key(&root(), &absent, None, &edit).await;
    assert!(matches!(absent, Err(OperatorError::NotFound(_))), "{absent:?}");

    assert_eq!(actions(&desk, key.id.as_str()).await, ["key.update", "key.create"]);
    let query = AuditQuery { limit: 1, ..AuditQuery::default() };
    let entry = desk.operator.audit(&query).await.unwrap().entries.remove(0);
    assert_eq!((entry.actor.name.as_str(), entry.at), ("root", later));
    let (before, after) = (entry.before.unwrap(), entry.after.unwrap());
    assert!(!before.contains("renamed") && after.contains("renamed"), "{before} {after}");
    for hidden in [secret.expose_secret(), &key.digest.to_hex()] {
        assert!(!before.contains(hidden) && !after.contains(hidden), "{after}");
    }
}

#[tokio::test]
async fn a_key_is_deleted_restored_and_purged_once_each() {
    let desk = Desk::new();
    let (key, _) = made(&desk).await;
    let (operator, id, root) = (&desk.operator, &key.id, root());
    let not_deleted = operator.restore_key(&root, id, None).await;
    assert!(matches!(not_deleted, Err(OperatorError::NotDeleted)), "{not_deleted:?}");
    let not_deleted = operator.purge_key(&root, id, None).await;
    assert!(matches!(not_deleted, Err(OperatorError::NotDeleted)), "{not_deleted:?}");

    let off = |key: &mut ApiKey| key.is_active = false;
    operator.update_key(&root, id, None, &off).await.unwrap();
    let deleted = operator.delete_key(&root, id, None).await.unwrap().deleted.unwrap();
    assert_eq!((deleted.at, &*deleted.by, &*deleted.by_type), (NOW, "root", "admin"));
    for again in [
        operator.delete_key(&root, id, None).await,
        operator.update_key(&root, id, None, &off).await,
        operator.rotate_key(&root, id, None, Duration::ZERO).await.map(|(key, _)| key),
    ] {
        assert!(matches!(again, Err(OperatorError::AlreadyDeleted)), "{again:?}");
    }
    let restored = operator.restore_key(&root, id, None).await.unwrap();
    assert!(restored.is_active && restored.deleted.is_none(), "it can be used again");
    assert_eq!(restored.restored.unwrap().by, "root");

    operator.delete_key(&root, id, None).await.unwrap();
    let stale = operator.purge_key(&root, id, Some(0)).await;
    assert!(matches!(stale, Err(OperatorError::Stale { .. })), "{stale:?}");
    operator.purge_key(&root, id, None).await.unwrap();
    assert_eq!(operator.key(id).await.unwrap(), None);
    let gone = operator.purge_key(&root, id, None).await;
    assert!(matches!(gone, Err(OperatorError::NotFound(_))), "{gone:?}");
    assert_eq!(
        actions(&desk, id.as_str()).await,
        ["key.purge", "key.delete", "key.restore", "key.delete", "key.update", "key.create"]
    );
}

#[tokio::test]
async fn both_secrets_are_good_until_the_grace_ends() {
    let desk = Desk::new();
    let (key, old) = made(&desk).await;
    let digest = |secret: &SecretString| KeyDigest::new(hasher().digest(secret.expose_secret()));
    let grace = Duration::from_hours(1);
    let (rotated, new) = desk.operator.rotate_key(&root(), &key.id, None, grace).await.unwrap();
    assert_ne!(old.expose_secret(), new.expose_secret());
    for secret in [&old, &new] {
        let found = desk.stores.keys.find_by_digest(&[digest(secret)]).await.unwrap().unwrap();
        assert_eq!(found, rotated);
        assert!(found.has_secret(&[digest(secret)], NOW));
    }
    let end = NOW.plus(grace);
    assert!(!rotated.has_secret(&[digest(&old)], end) && rotated.has_secret(&[digest(&new)], end));

    desk.clock.advance(grace);
    let touched = |key: &mut ApiKey| key.description = "d".to_owned();
    let key = desk.operator.update_key(&root(), &key.id, None, &touched).await.unwrap();
    assert_eq!(key.retiring, None, "a change clears what has retired");
    assert_eq!(desk.stores.keys.find_by_digest(&[digest(&old)]).await.unwrap(), None);
    let (key, _) = desk.operator.rotate_key(&root(), &key.id, None, Duration::ZERO).await.unwrap();
    assert_eq!(key.retiring, None);
    assert_eq!(desk.stores.keys.find_by_digest(&[digest(&new)]).await.unwrap(), None);
    let long = LONGEST_GRACE + Duration::from_secs(1);
    let refused = desk.operator.rotate_key(&root(), &key.id, None, long).await;
    assert_eq!(refused_field(refused), "gracePeriodSeconds");
}

#[tokio::test]
async fn many_keys_are_made_and_changed_as_previewed() {
    let desk = Desk::new();
    let template = NewKey { name: Some("team".to_owned()), ..NewKey::default() };
    let made = desk.operator.create_keys(&root(), template.clone(), 3).await.unwrap();
    let names: Vec<_> = made.iter().map(|(key, _)| key.name.as_str()).collect();
    assert_eq!(names, ["team 1", "team 2", "team 3"]);
    for count in [0, 1_001] {
        let refused = desk.operator.create_keys(&root(), template.clone(), count).await;
        assert_eq!(refused_field(refused), "count");
    }
    let long = NewKey { name: Some("x".repeat(99)), ..NewKey::default() };
    assert_eq!(refused_field(desk.operator.create_keys(&root(), long, 2).await), "name");
    assert_eq!(desk.operator.keys().await.unwrap().len(), 3);

    let ids: Vec<_> = made.iter().map(|(key, _)| key.id.clone()).collect();
    desk.operator.delete_key(&root(), &ids[2], None).await.unwrap();
    let edit = |key: &mut ApiKey| key.tags.push("new".to_owned());
    let previews = desk.operator.preview_keys(&ids, &edit).await.unwrap();
    let first = previews[0].1.as_ref().unwrap();
    assert_eq!((first.before.tags.len(), first.after.tags.len()), (0, 1));
    assert!(matches!(previews[2].1, Err(OperatorError::AlreadyDeleted)));
    let tags = desk.operator.key(&ids[0]).await.unwrap().unwrap().tags;
    assert!(tags.is_empty(), "a preview writes nothing");

    let asked = [(ids[0].clone(), Some(first.before.revision)), (ids[1].clone(), Some(0))];
    let other = |key: &mut ApiKey| key.name = "meanwhile".to_owned();
    desk.operator.update_key(&root(), &ids[1], None, &other).await.unwrap();
    let outcomes = desk.operator.update_keys(&root(), &asked, &edit).await.unwrap();
    assert_eq!(outcomes[0].1.as_ref().unwrap().tags, ["new"]);
    assert!(matches!(outcomes[1].1, Err(OperatorError::Stale { current: 1 })));
}

#[tokio::test]
async fn a_group_is_made_used_and_removed() {
    let desk = Desk::new();
    let operator = &desk.operator;
    let new = NewGroup { name: "team".to_owned(), ..NewGroup::default() };
    let group = operator.create_group(&root(), new).await.unwrap();
    assert_eq!(operator.groups().await.unwrap(), std::slice::from_ref(&group));
    let blank = NewGroup::default();
    assert_eq!(refused_field(operator.create_group(&root(), blank).await), "name");
    let in_it = |group: Option<GroupId>| NewKey { group, ..NewKey::default() };
    let unknown = GroupId::try_from("unknown").ok();
    assert_eq!(refused_field(operator.create_key(&root(), in_it(unknown)).await), "groupId");
    let member = in_it(Some(group.id.clone()));
    let (key, _) = operator.create_key(&root(), member).await.unwrap();

    let budget = |group: &mut KeyGroup| group.limits.monthly_cost = Some(NanoUsd::from_nanos(5));
    let changed = operator.update_group(&root(), &group.id, Some(0), &budget).await.unwrap();
    assert_eq!((changed.revision, changed.updated_at), (1, Some(NOW)));
    let stale = operator.update_group(&root(), &group.id, Some(0), &budget).await;
    assert!(matches!(stale, Err(OperatorError::Stale { current: 1 })), "{stale:?}");
    let in_use = operator.delete_group(&root(), &group.id, None).await.unwrap_err();
    assert_eq!(in_use.to_string(), "1 API key belongs to this group");
    let leave = |key: &mut ApiKey| key.group = None;
    operator.update_key(&root(), &key.id, None, &leave).await.unwrap();
    operator.delete_group(&root(), &group.id, Some(1)).await.unwrap();
    let gone = operator.group(&group.id).await;
    assert!(matches!(gone, Err(OperatorError::NotFound(_))), "{gone:?}");
    let trail = actions(&desk, group.id.as_str()).await;
    assert_eq!(trail, ["group.delete", "group.update", "group.create"]);
}
