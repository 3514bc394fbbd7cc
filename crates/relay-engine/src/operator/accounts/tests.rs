use std::collections::BTreeMap;

use relay_domain::HealthEvent;
use relay_store::AuditQuery;

use super::*;
use crate::Clock as _;
use crate::operator::fixture::{Desk, keyring, refused_field, root};

fn new(platform: Platform) -> NewAccount {
    NewAccount::new(platform, "https://upstream.example/", "sk-secret".into())
}

#[tokio::test]
async fn an_added_account_is_kept_with_its_secrets_sealed() {
    let desk = Desk::new();
    for (platform, salt) in
        [(Platform::ClaudeConsole, LegacySalt::Console), (Platform::Codex, LegacySalt::Responses)]
    {
        let auth = NewProxyAuth { username: "user".to_owned(), password: "hunter2".into() };
        let proxy = NewProxy {
            scheme: ProxyScheme::Socks5,
            host: "proxy.example".to_owned(),
            port: 1_080,
            auth: Some(auth),
        };
        let secret = " sk-secret\n".into();
        let limits = Limits { concurrency: Some(0), ..Limits::default() };
        let new = NewAccount { proxy: Some(proxy), secret, limits, ..new(platform) };
        let account = desk.operator.create_account(&root(), new).await.unwrap();
        let name = format!("{platform} Account {}", &account.id.as_str()[..8]);
        assert_eq!((account.name.as_str(), account.limits.concurrency), (name.as_str(), None));

        let kept = desk.operator.account(&account.id).await.unwrap().unwrap();
        assert_eq!(kept, account);
        let opened = |sealed: &SealedSecret| {
            assert!(
                !sealed.as_stored().contains("sk-secret")
                    && !sealed.as_stored().contains("hunter2")
            );
            keyring().open(sealed.as_stored(), salt).unwrap().expose_secret().to_owned()
        };
        assert_eq!(opened(&kept.secret), "sk-secret");
        let ProxySetting::Via(Proxy { auth: Some(auth), .. }) = kept.proxy else {
            panic!("no proxy")
        };
        assert_eq!(opened(&auth.password), "hunter2");
    }
    assert_eq!(desk.operator.accounts().await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_address_is_kept_in_one_spelling() {
    let desk = Desk::new();
    let cases = [
        ("https://api.anthropic.com", "https://api.anthropic.com"),
        (" https://api.anthropic.com/v1/messages/ ", "https://api.anthropic.com"),
        ("http://127.0.0.1:8080/claude/v1", "http://127.0.0.1:8080/claude"),
    ];
    for (given, kept) in cases {
        let new = NewAccount { base_url: given.to_owned(), ..new(Platform::ClaudeConsole) };
        assert_eq!(
            desk.operator.create_account(&root(), new).await.unwrap().base_url,
            kept,
            "{given}"
        );
    }
}

#[tokio::test]
async fn an_account_that_cannot_be_is_refused_by_field() {
    let desk = Desk::new();
    let base = || new(Platform::ClaudeConsole);
    let at = |url: &str| NewAccount { base_url: url.to_owned(), ..base() };
    let with = |secret: &str| NewAccount { secret: secret.into(), ..base() };
    let serving = |from: &str, to: &str| NewAccount {
        models: ModelMap::new(BTreeMap::from([(from.to_owned(), to.to_owned())])),
        ..base()
    };
    let behind = |host: &str, port, username: &str| NewAccount {
        proxy: Some(NewProxy {
            scheme: ProxyScheme::Http,
            host: host.to_owned(),
            port,
            auth: Some(NewProxyAuth { username: username.to_owned(), password: "p".into() }),
        }),
        ..base()
    };
    let cases = [
        ("a blank name", NewAccount { name: Some(" ".to_owned()), ..base() }, "name"),
        ("a long note", NewAccount { description: "x".repeat(501), ..base() }, "description"),
        ("no scheme", at("api.anthropic.com"), "apiUrl"),
        ("credentials in the address", at("https://user:password@host"), "apiUrl"),
        ("no secret", with(" \n"), "apiKey"),
        ("a secret of two lines", with("sk-1\r\nx-evil: 1"), "apiKey"),
        ("a model without a name", serving("", "m"), "supportedModels"),
        ("a model under its own name", serving("m", ""), ""),
        (
            "an agent of two lines",
            NewAccount { user_agent: Some("a\nb".to_owned()), ..base() },
            "userAgent",
        ),
        ("a proxy", behind("proxy.example", 8_080, "user"), ""),
        ("a proxy by address", behind("[::1]", 8_080, "user"), ""),
        ("a proxy without a host", behind("", 8_080, "user"), "proxy"),
        ("a proxy with a path", behind("proxy/x", 8_080, "user"), "proxy"),
        ("a proxy with two ports", behind("proxy:1", 8_080, "user"), "proxy"),
        ("a proxy with credentials", behind("u:p@proxy", 8_080, "user"), "proxy"),
        ("a proxy at port 0", behind("proxy", 0, "user"), "proxy"),
        ("a proxy with a nameless user", behind("proxy", 8_080, ""), "proxy"),
    ];
    for (name, new, field) in cases {
        assert_eq!(
            refused_field(desk.operator.create_account(&root(), new).await),
            field,
            "{name}"
        );
    }
    assert_eq!(
        desk.operator.accounts().await.unwrap().len(),
        3,
        "what was refused was not written"
    );
}

#[test]
fn a_new_account_prints_no_secret() {
    let auth = NewProxyAuth { username: "user".to_owned(), password: "hunter2".into() };
    let printed = format!("{:?} {auth:?}", new(Platform::Codex));
    assert!(!printed.contains("sk-secret") && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test]
async fn a_change_leaves_what_is_not_asked_for() {
    let desk = Desk::new();
    let (operator, root) = (&desk.operator, root());
    let auth = NewProxyAuth { username: "user".to_owned(), password: "hunter2".into() };
    let proxy = NewProxy {
        scheme: ProxyScheme::Http,
        host: "proxy.example".to_owned(),
        port: 8_080,
        auth: Some(auth),
    };
    let new = NewAccount { proxy: Some(proxy), ..new(Platform::ClaudeConsole) };
    let before = operator.create_account(&root, new).await.unwrap();
    let edit = |account: &mut Account| {
        account.name = "renamed".to_owned();
        account.limits.daily_cost = Some(relay_domain::NanoUsd::from_nanos(7));
        account.limits.starts.day_minute = 90;
        // What has a way of its own, and what no operator may change.
        account.secret = SealedSecret::new("plain".to_owned());
        account.platform = Platform::Codex;
    };
    let change = AccountChange { edit: Some(&edit), ..AccountChange::default() };
    let after = operator.update_account(&root, &before.id, Some(0), change).await.unwrap();
    assert_eq!((after.name.as_str(), after.revision), ("renamed", 1));
    assert_eq!((&after.secret, &after.proxy), (&before.secret, &before.proxy));
    assert_eq!(after.platform, Platform::ClaudeConsole);
    assert_eq!(operator.account(&before.id).await.unwrap().as_ref(), Some(&after));

    let shown = NewProxy {
        scheme: ProxyScheme::Http,
        host: "proxy.example".to_owned(),
        port: 9_090,
        auth: Some(NewProxyAuth { username: "user".to_owned(), password: "".into() }),
    };
    let change = AccountChange { proxy: ProxyChange::Set(shown), ..AccountChange::default() };
    let after = operator.update_account(&root, &before.id, None, change).await.unwrap();
    let ProxySetting::Via(Proxy { auth: Some(auth), port: 9_090, .. }) = &after.proxy else {
        panic!("no proxy")
    };
    let opened = keyring().open(auth.password.as_stored(), LegacySalt::Console).unwrap();
    assert_eq!(opened.expose_secret(), "hunter2", "it is kept");

    let change = AccountChange {
        base_url: Some("https://other.example/v1/".to_owned()),
        secret: Some(" sk-new\n".into()),
        proxy: ProxyChange::Remove,
        ..AccountChange::default()
    };
    let after = operator.update_account(&root, &before.id, None, change).await.unwrap();
    assert_eq!(
        (after.base_url.as_str(), &after.proxy),
        ("https://other.example", &ProxySetting::Direct)
    );
    let opened = keyring().open(after.secret.as_stored(), LegacySalt::Console).unwrap();
    assert_eq!(opened.expose_secret(), "sk-new");

    let late = AccountChange { edit: Some(&edit), ..AccountChange::default() };
    let stale = operator.update_account(&root, &before.id, Some(0), late).await;
    assert!(matches!(stale, Err(OperatorError::Stale { current: 3 })), "{stale:?}");
    let blank = |account: &mut Account| account.name = String::new();
    let blank = AccountChange { edit: Some(&blank), ..AccountChange::default() };
    let refused = operator.update_account(&root, &before.id, None, blank).await;
    assert_eq!(refused_field(refused), "name");
    let trail = operator.audit(&AuditQuery { limit: 9, ..AuditQuery::default() }).await.unwrap();
    assert_eq!(trail.entries.len(), 4);
    let text = format!("{:?}", trail.entries);
    for hidden in ["sk-secret", "sk-new", "hunter2", after.secret.as_stored()] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[tokio::test]
async fn an_account_is_scheduled_reset_and_removed() {
    let desk = Desk::new();
    let (operator, root) = (&desk.operator, root());
    let account = operator.create_account(&root, new(Platform::Codex)).await.unwrap();
    let off = operator.schedule_account(&root, &account.id, None, false).await.unwrap();
    assert!(!off.schedulable);
    let event = HealthEvent::ModelUnknown(ModelName::try_from("m").unwrap());
    desk.stores.accounts.apply_health(&account.id, &event, desk.clock.now()).await.unwrap();
    let note = |account: &mut Account| account.error_message = "broken".to_owned();
    let change = AccountChange { edit: Some(&note), ..AccountChange::default() };
    operator.update_account(&root, &account.id, None, change).await.unwrap();
    let reset = operator.reset_account(&root, &account.id, None).await.unwrap();
    assert_eq!((reset.health, reset.error_message.as_str()), (AccountHealth::default(), ""));
    assert!(!reset.schedulable, "an operator's switch stays");

    operator.delete_account(&root, &account.id, None).await.unwrap();
    for gone in [
        operator.reset_account(&root, &account.id, None).await.map(drop),
        operator.schedule_account(&root, &account.id, None, true).await.map(drop),
        operator.delete_account(&root, &account.id, None).await,
    ] {
        assert!(matches!(gone, Err(OperatorError::NotFound(_))), "{gone:?}");
    }
    assert!(operator.accounts().await.unwrap().is_empty(), "nothing makes a ghost");
}
