//! What groups, tokens, the trail of changes and answers that are given again owe their callers.

use relay_domain::{
    Actor, ActorKind, AdminToken, AdminTokenId, AuditEntry, KeyDigest, KeyGroup, Limits, TokenScope,
};

use super::fixture::{at, at_once, group, group_id};
use crate::{AuditQuery, Claim, GroupRemoval, StoreError, Stores, Update};

fn token(id: &str, digest: u8) -> AdminToken {
    AdminToken {
        id: AdminTokenId::try_from(id).unwrap(),
        name: "自动化".to_owned(),
        digest: KeyDigest::new([digest; 32]),
        scopes: vec![TokenScope::Read, TokenScope::KeysWrite],
        created_by: "admin".to_owned(),
        created_at: at(u64::from(digest)),
        expires_at: Some(at(9_000)),
        last_used_at: None,
        revoked_at: None,
    }
}

fn entry(actor: &str, action: &str, target: &str) -> AuditEntry {
    AuditEntry {
        seq: 0,
        at: at(5),
        actor: Actor {
            kind: ActorKind::Token,
            name: actor.to_owned(),
            address: Some("203.0.113.7".to_owned()),
            request_id: Some("req-1".to_owned()),
        },
        action: action.to_owned(),
        target_kind: "key".to_owned(),
        target_id: target.to_owned(),
        before: None,
        after: Some(r#"{"name":"名 \"x\""}"#.to_owned()),
    }
}

/// A group reads back, changes by revision, and is gone when it was deleted.
pub async fn a_group_reads_back_and_changes_by_revision(stores: &Stores) {
    let groups = &stores.groups;
    let one = group("one");
    groups.create(&one).await.unwrap();
    let bare = KeyGroup { name: "a".to_owned(), limits: Limits::default(), ..group("bare") };
    groups.create(&bare).await.unwrap();
    let again = groups.create(&group("one")).await;
    assert!(matches!(again, Err(StoreError::Duplicate { .. })), "{again:?}");
    assert_eq!(groups.get(&one.id).await.unwrap().as_ref(), Some(&one));
    assert_eq!(groups.list().await.unwrap(), [bare.clone(), one.clone()]);

    let renamed = KeyGroup { name: "new".to_owned(), updated_at: Some(at(9)), ..one.clone() };
    assert_eq!(groups.update(&renamed).await.unwrap(), Update::Done { revision: 1 });
    assert_eq!(groups.update(&one).await.unwrap(), Update::Stale { current: 1 });
    let expected = KeyGroup { revision: 1, ..renamed };
    assert_eq!(groups.get(&one.id).await.unwrap(), Some(expected));
    assert_eq!(groups.delete(&one.id, 0).await.unwrap(), GroupRemoval::Stale { current: 1 });
    assert!(groups.delete(&one.id, 1).await.unwrap().is_done());
    assert_eq!(groups.delete(&one.id, 1).await.unwrap(), GroupRemoval::Absent);
    assert_eq!(groups.update(&group("one")).await.unwrap(), Update::Absent);
    assert_eq!(groups.get(&group_id("one")).await.unwrap(), None);
    assert_eq!(groups.list().await.unwrap(), [bare]);
}

/// Limits of a group are limits of its keys: a change of them is one of the keys.
pub async fn changes_of_groups_raise_the_version_of_keys(stores: &Stores) {
    let one = group("one");
    let mut last = stores.ledger.version().await.unwrap();
    for (step, raises) in
        [("create", true), ("update", true), ("stale", false), ("read", false), ("delete", true)]
    {
        match step {
            "create" => stores.groups.create(&one).await.unwrap(),
            "update" => assert!(stores.groups.update(&one).await.unwrap().is_done()),
            "stale" => assert!(!stores.groups.update(&one).await.unwrap().is_done()),
            "read" => assert_eq!(stores.groups.list().await.unwrap().len(), 1),
            _ => assert!(stores.groups.delete(&one.id, 1).await.unwrap().is_done()),
        }
        let version = stores.ledger.version().await.unwrap();
        assert_eq!(last.keys < version.keys, raises, "{step}");
        assert_eq!(last.accounts, version.accounts, "{step}");
        last = version;
    }
}

/// A token is found by its digest, and its revocation stands.
pub async fn a_token_is_found_and_revoked(stores: &Stores) {
    let tokens = &stores.admin_tokens;
    let (one, two) = (token("one", 1), token("two", 2));
    for token in [&one, &two] {
        tokens.create(token).await.unwrap();
        assert_eq!(tokens.get(&token.id).await.unwrap().as_ref(), Some(token));
        let found = tokens.find_by_digest(&token.digest).await.unwrap();
        assert_eq!(found.as_ref(), Some(token));
    }
    for taken in [token("one", 3), token("three", 1)] {
        let refused = tokens.create(&taken).await;
        assert!(matches!(refused, Err(StoreError::Duplicate { .. })), "{refused:?}");
    }
    assert_eq!(tokens.list().await.unwrap(), [two.clone(), one.clone()]);

    tokens.touch(&one.id, at(50)).await.unwrap();
    tokens.touch(&one.id, at(40)).await.unwrap();
    assert!(tokens.revoke(&one.id, at(60)).await.unwrap());
    assert!(tokens.revoke(&one.id, at(70)).await.unwrap());
    let expected = AdminToken { last_used_at: Some(at(50)), revoked_at: Some(at(60)), ..one };
    assert_eq!(tokens.find_by_digest(&expected.digest).await.unwrap(), Some(expected));

    let absent = token("absent", 9);
    assert_eq!(tokens.get(&absent.id).await.unwrap(), None);
    assert_eq!(tokens.find_by_digest(&absent.digest).await.unwrap(), None);
    assert!(!tokens.revoke(&absent.id, at(0)).await.unwrap());
    tokens.touch(&absent.id, at(0)).await.unwrap();
    assert_eq!(tokens.get(&absent.id).await.unwrap(), None, "nothing is made by it");
}

/// The trail reads back, the newest first, by what is asked for.
pub async fn the_trail_is_read_newest_first(stores: &Stores) {
    let audit = &stores.audit;
    let entries = [
        entry("root", "key.create", "a"),
        entry("root", "key.update", "a"),
        entry("bot", "account.create", "b"),
        entry("bot", "key.update", "c"),
        entry("bot", "keys.update", "c"),
    ];
    let mut written = Vec::new();
    for entry in entries {
        let seq = audit.append(&entry).await.unwrap();
        assert!(written.last().is_none_or(|last: &AuditEntry| last.seq < seq));
        written.push(AuditEntry { seq, ..entry });
    }
    let is = |text: &str| Some(text.to_owned());
    let cases = [
        ("all", AuditQuery::default(), vec![4, 3, 2, 1, 0]),
        ("by actor", AuditQuery { actor: is("bot"), ..AuditQuery::default() }, vec![4, 3, 2]),
        ("by action", AuditQuery { action: is("key.update"), ..AuditQuery::default() }, vec![3, 1]),
        (
            "by kind of action",
            AuditQuery { action: is("key."), ..AuditQuery::default() },
            vec![3, 1, 0],
        ),
        ("by target", AuditQuery { target_id: is("a"), ..AuditQuery::default() }, vec![1, 0]),
        (
            "by kind and target",
            AuditQuery { target_kind: is("key"), target_id: is("c"), ..AuditQuery::default() },
            vec![4, 3],
        ),
        (
            "from then on",
            AuditQuery { from: Some(at(5)), ..AuditQuery::default() },
            vec![4, 3, 2, 1, 0],
        ),
        ("later", AuditQuery { from: Some(at(6)), ..AuditQuery::default() }, vec![]),
        ("before", AuditQuery { to: Some(at(5)), ..AuditQuery::default() }, vec![]),
        (
            "until then",
            AuditQuery { to: Some(at(6)), ..AuditQuery::default() },
            vec![4, 3, 2, 1, 0],
        ),
        ("none", AuditQuery { target_kind: is("group"), ..AuditQuery::default() }, vec![]),
    ];
    for (name, query, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(|n: usize| written[n].clone()).collect();
        let page = audit.page(&AuditQuery { limit: 10, ..query.clone() }).await.unwrap();
        assert_eq!((page.entries, page.next), (expected.clone(), None), "{name}");
        let mut seen = Vec::new();
        let mut before = None;
        loop {
            let query = AuditQuery { limit: 1, before, ..query.clone() };
            let page = audit.page(&query).await.unwrap();
            seen.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, expected, "{name}, one at a time");
    }
}

/// What is seldom is found in a long trail, whoever was named as what was searched for in a change.
pub async fn what_is_seldom_is_found_in_a_long_trail(stores: &Stores) {
    let mut written = Vec::new();
    for number in 0..300 {
        let mut entry = entry("root", "key.update", "a");
        if number % 140 == 10 {
            entry = self::entry("名 \"b\"", "group.create", "\\ é");
        } else {
            let quoted = r#"{"name":"名 \"b\"","action":"group.create","target_id":"\\ é"}"#;
            entry.before = Some(quoted.to_owned());
        }
        let seq = stores.audit.append(&entry).await.unwrap();
        if entry.action == "group.create" {
            written.insert(0, AuditEntry { seq, ..entry });
        }
    }
    assert_eq!(written.len(), 3);
    let is = |text: &str| Some(text.to_owned());
    for query in [
        AuditQuery { action: is("group.create"), ..AuditQuery::default() },
        AuditQuery { action: is("group."), ..AuditQuery::default() },
        AuditQuery { actor: is("名 \"b\""), ..AuditQuery::default() },
        AuditQuery { target_kind: is("key"), target_id: is("\\ é"), ..AuditQuery::default() },
    ] {
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let query = AuditQuery { limit: 2, before, ..query.clone() };
            let page = stores.audit.page(&query).await.unwrap();
            seen.extend(page.entries);
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(seen, written, "{query:?}");
    }
}

/// Of several who ask the same at once one does the work, and all get its answer.
pub async fn an_answer_is_given_again(stores: &Stores) {
    let claims = at_once((0..5).map(|_| {
        let idempotency = stores.idempotency.clone();
        async move { idempotency.claim("n", "f", at(0)).await.unwrap() }
    }))
    .await;
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Ours).count(), 1, "{claims:?}");
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::InProgress).count(), 4);
    let claim = async |name: &str, fingerprint: &str| {
        stores.idempotency.claim(name, fingerprint, at(1)).await.unwrap()
    };
    assert_eq!(claim("n", "other").await, Claim::OtherRequest);
    assert_eq!(claim("other", "f").await, Claim::Ours);
    stores.idempotency.answer("n", "f", "答 \"1\"", at(2)).await.unwrap();
    assert_eq!(claim("n", "f").await, Claim::Answered("答 \"1\"".to_owned()));
    assert_eq!(claim("n", "other").await, Claim::OtherRequest);
    stores.idempotency.release("n").await.unwrap();
    assert_eq!(claim("n", "f").await, Claim::Answered("答 \"1\"".to_owned()), "it stands");
    stores.idempotency.release("other").await.unwrap();
    assert_eq!(claim("other", "g").await, Claim::Ours, "what failed may be tried again");
}
