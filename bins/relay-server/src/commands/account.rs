//! `account add` and `account list`.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};

use anyhow::{Context as _, Result};
use relay_domain::{Account, Actor, ModelMap, ProxyScheme, ProxySetting};
use relay_engine::operator::{NewAccount, NewProxy, NewProxyAuth};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::cli::{AccountArgs, AccountCommand, Cli};
use crate::commands::refused;
use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::terminal::{print, print_json, print_table, say};

/// A credential is a line; this leaves room for any.
const LONGEST_CREDENTIAL: u64 = 64 * 1024;

/// Adds or lists accounts.
///
/// # Errors
///
/// Fails if the account is refused or the store fails.
pub(crate) async fn run(command: AccountCommand, config: &Config) -> Result<()> {
    match command {
        AccountCommand::Add(arguments) => add(*arguments, config).await,
        AccountCommand::List(arguments) => {
            let installation = Installation::open(config, Access::Administer).await?;
            list(&installation.operator.accounts().await?, arguments.json)
        }
    }
}

async fn add(arguments: AccountArgs, config: &Config) -> Result<()> {
    let AccountArgs { name, url, credential, priority, models, proxy, platform, json } = arguments;
    let secret = match credential.into_given() {
        Some(key) => SecretString::from(key),
        None => read_credential()?,
    };
    let new = NewAccount {
        name: Some(name),
        priority,
        models: ModelMap::new(models.into_iter().collect()),
        proxy: proxy.as_deref().map(parse_proxy).transpose()?,
        ..NewAccount::new(platform, url, secret)
    };
    let installation = Installation::open(config, Access::Administer).await?;
    let account = installation
        .operator
        .create_account(&Actor::shell(), new)
        .await
        .map_err(|error| refused(error, "the account was not added"))?;
    if json {
        return print_json(&described(&account));
    }
    print(format!("Added account {} ({}), {}", account.name, account.id, account.base_url));
    Ok(())
}

fn list(accounts: &[Account], json: bool) -> Result<()> {
    if json {
        return print_json(&accounts.iter().map(described).collect::<Vec<_>>());
    }
    if accounts.is_empty() {
        print("There is no account yet. Add one:");
        print("  relay-server account add --name main --url https://api.anthropic.com --key-stdin");
        return Ok(());
    }
    let rows: Vec<[String; 6]> = accounts
        .iter()
        .map(|account| {
            let priority = u8::from(account.priority).to_string();
            let (id, platform) = (account.id.to_string(), account.platform.to_string());
            [
                id,
                account.name.clone(),
                platform,
                priority,
                condition(account).to_owned(),
                account.base_url.clone(),
            ]
        })
        .collect();
    print_table(["ID", "NAME", "PLATFORM", "PRIORITY", "STATUS", "URL"], &rows);
    Ok(())
}

/// How an account stands, in a word.
fn condition(account: &Account) -> &'static str {
    if !account.is_active {
        return "disabled";
    }
    if !account.schedulable {
        return "paused";
    }
    account.health.status()
}

/// What may be shown of an account: everything but its secrets.
fn described(account: &Account) -> Value {
    let proxy = match &account.proxy {
        ProxySetting::Direct => Value::Null,
        ProxySetting::Unusable => json!("unusable"),
        ProxySetting::Via(proxy) => json!(format!("{}:{}", proxy.host, proxy.port)),
    };
    json!({
        "id": account.id,
        "name": account.name,
        "platform": account.platform,
        "url": account.base_url,
        "priority": account.priority,
        "models": account.models.pairs(),
        "proxy": proxy,
        "status": condition(account),
        "createdAt": account.created_at.to_string(),
        "lastUsedAt": account.last_used_at.map(|at| at.to_string()),
    })
}

/// Reads a line from a person, and everything from a pipe.
fn read_credential() -> Result<SecretString> {
    let mut text = String::new();
    let mut input = io::stdin().lock();
    let read = if input.is_terminal() {
        say("Paste the account's key and press Enter:");
        input.take(LONGEST_CREDENTIAL).read_line(&mut text)
    } else {
        input.by_ref().take(LONGEST_CREDENTIAL).read_to_string(&mut text)
    };
    read.context("standard input cannot be read")?;
    if text.trim().is_empty() {
        return Err(Cli::misused("standard input holds no key; pipe it in, or use --key").into());
    }
    Ok(SecretString::from(text))
}

/// Reads `scheme://[name:password@]host:port`. What was given is not repeated: it may hold a password.
fn parse_proxy(url: &str) -> Result<NewProxy, clap::Error> {
    let shape = || {
        Cli::misused(
            "--proxy: expected http://, https:// or socks5://, perhaps name:password@, then host:port",
        )
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(shape)?;
    let scheme = match scheme {
        "http" => ProxyScheme::Http,
        "https" => ProxyScheme::Https,
        "socks5" | "socks5h" => ProxyScheme::Socks5,
        _ => return Err(shape()),
    };
    let (login, place) =
        rest.trim_end_matches('/').rsplit_once('@').map_or((None, rest), |(l, p)| (Some(l), p));
    let (host, port) = place.trim_end_matches('/').rsplit_once(':').ok_or_else(shape)?;
    let port = port.parse().map_err(|_| shape())?;
    let auth = login.map(|login| {
        let (username, password) = login.split_once(':').unwrap_or((login, ""));
        NewProxyAuth { username: username.to_owned(), password: SecretString::from(password) }
    });
    Ok(NewProxy { scheme, host: host.to_owned(), port, auth })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn proxies_are_read_from_their_url() {
        let login = |proxy: &NewProxy| {
            proxy
                .auth
                .as_ref()
                .map(|auth| format!("{}:{}", auth.username, auth.password.expose_secret()))
        };
        let cases = [
            ("http://p:8080", ProxyScheme::Http, "p", 8080, None),
            ("https://p:1/", ProxyScheme::Https, "p", 1, None),
            (
                "socks5://me:pa@ss:word@10.0.0.1:1080",
                ProxyScheme::Socks5,
                "10.0.0.1",
                1080,
                Some("me:pa@ss:word"),
            ),
            ("socks5h://[::1]:1080", ProxyScheme::Socks5, "[::1]", 1080, None),
            ("http://me@p:1", ProxyScheme::Http, "p", 1, Some("me:")),
        ];
        for (url, scheme, host, port, auth) in cases {
            let proxy = parse_proxy(url).unwrap();
            assert_eq!(
                (proxy.scheme, proxy.host.as_str(), proxy.port),
                (scheme, host, port),
                "{url}"
            );
            assert_eq!(login(&proxy).as_deref(), auth, "{url}");
        }
        for url in ["p:8080", "ftp://p:1", "http://p", "http://p:port", "socks4://me:hidden@p:1"] {
            let error = parse_proxy(url).unwrap_err().to_string();
            assert!(error.contains("--proxy") && !error.contains("hidden"), "{url}: {error}");
        }
    }
}
