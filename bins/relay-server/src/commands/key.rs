//! `key create` and `key list`.

use anyhow::Result;
use relay_domain::{Actor, ApiKey, Expiry, Limits, Timestamp};
use relay_engine::operator::NewKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::cli::{Expires, KeyArgs, KeyCommand};
use crate::commands::refused;
use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::terminal::{print, print_json, print_table, say};

/// Creates or lists API keys.
///
/// # Errors
///
/// Fails if the key is refused or the store fails.
pub(crate) async fn run(command: KeyCommand, config: &Config) -> Result<()> {
    let installation = Installation::open(config, Access::Administer).await?;
    let now = installation.clock.now();
    match command {
        KeyCommand::Create(arguments) => create(arguments, &installation, now).await,
        KeyCommand::List(arguments) => {
            list(&installation.operator.keys().await?, now, arguments.json)
        }
    }
}

async fn create(arguments: KeyArgs, installation: &Installation, now: Timestamp) -> Result<()> {
    let KeyArgs { name, concurrency, expires, json } = arguments;
    let expiry = match expires {
        None => Expiry::NEVER,
        Some(Expires::At(moment)) => Expiry::at(moment),
        Some(Expires::In(span)) => Expiry::at(now.plus(span)),
    };
    let limits = Limits { concurrency, ..Limits::default() };
    let new = NewKey { name: Some(name), expiry, limits, ..NewKey::default() };
    let (key, secret) = installation
        .operator
        .create_key(&Actor::shell(), new)
        .await
        .map_err(|error| refused(error, "the key was not created"))?;
    if json {
        let mut shown = described(&key, now);
        shown["key"] = json!(secret.expose_secret());
        return print_json(&shown);
    }
    say(format!("Created API key {} ({}). It is shown this once:", key.name, key.id));
    print(secret.expose_secret());
    Ok(())
}

fn list(keys: &[ApiKey], now: Timestamp, json: bool) -> Result<()> {
    if json {
        return print_json(&keys.iter().map(|key| described(key, now)).collect::<Vec<_>>());
    }
    if keys.is_empty() {
        print("There is no API key yet. Create one:");
        print("  relay-server key create --name me");
        return Ok(());
    }
    let rows: Vec<[String; 6]> = keys
        .iter()
        .map(|key| {
            let moment =
                |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            let limit =
                key.limits.concurrency.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
            let (id, standing) = (key.id.to_string(), standing(key, now).to_owned());
            [id, key.name.clone(), standing, limit, end(key), moment(key.last_used_at)]
        })
        .collect();
    print_table(["ID", "NAME", "STATUS", "CONCURRENCY", "EXPIRES", "LAST USED"], &rows);
    Ok(())
}

/// How a key stands, in a word.
fn standing(key: &ApiKey, now: Timestamp) -> &'static str {
    if key.deleted.is_some() {
        "deleted"
    } else if !key.is_active {
        "disabled"
    } else if key.expiry.is_over(now) {
        "expired"
    } else if key.user.is_disabled() {
        "user disabled"
    } else {
        "active"
    }
}

fn end(key: &ApiKey) -> String {
    match (key.expiry.due(), key.expiry.end()) {
        (Some(span), _) => format!("{} h after first use", span.as_secs() / 3_600),
        (None, Some(end)) => end.to_string(),
        (None, None) => "never".to_owned(),
    }
}

fn described(key: &ApiKey, now: Timestamp) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "status": standing(key, now),
        "concurrency": key.limits.concurrency,
        "expires": end(key),
        "createdAt": key.created_at.to_string(),
        "lastUsedAt": key.last_used_at.map(|at| at.to_string()),
    })
}
