use std::collections::BTreeMap;

use super::*;
use crate::operator::fixture::{Desk, keyring, refused_field};

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
        let account = desk.operator.create_account(new).await.unwrap();
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
        assert_eq!(desk.operator.create_account(new).await.unwrap().base_url, kept, "{given}");
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
        assert_eq!(refused_field(desk.operator.create_account(new).await), field, "{name}");
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
