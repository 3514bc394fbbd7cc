//! From the configuration to a server that is ready: the store is opened and seen to, however late it comes
//! and whenever it goes away meanwhile.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, Result};
use relay_engine::EngineError;
use relay_engine::operator::{OperatorError, TakenOver, UnreadableAccount};
use relay_store::StoreError;
use secrecy::{ExposeSecret as _, SecretString};

use super::Server;
use super::waiting::Waiting;
use crate::config::{Config, StoreKind};
use crate::installation::{Access, Installation};
use crate::predecessor_login;
use crate::terminal::say;

/// The administrator's name unless the operator chooses one. v2's.
const DEFAULT_ADMIN: &str = "cr_admin";
/// The pause before a start is tried again.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Opens the store, sees to what it holds, and is ready to serve in the place of `waiting`. Begins anew as
/// long as Redis is away; a file that cannot be opened does not come by itself.
///
/// # Errors
///
/// Fails if the server cannot start, saying what to do.
pub(super) async fn open(
    config: &Config,
    listeners: Vec<TcpListener>,
    waiting: Waiting,
) -> Result<Server> {
    let may_come = config.store_kind() == StoreKind::Redis;
    let mut made_up = None;
    let (opened, login) = loop {
        match begin(config, &listeners, &mut made_up).await {
            Ok(opened) => break opened,
            Err(error) if may_come && is_of_absent_store(&error) => {
                tracing::warn!(error = format!("{error:#}"), "Redis went away; beginning anew");
                tokio::time::sleep(STORE_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    };
    waiting.end().await;
    introduce(config, &opened, login.as_deref());
    Ok(opened.server)
}

/// A server that is ready, and what is said of it.
struct Opened {
    server: Server,
    installation: Installation,
    accounts: usize,
    keys: usize,
}

/// One beginning, and what is to be said of the administrator's login. `made_up`: a password for that, which an
/// earlier one has made up and may have stored.
async fn begin(
    config: &Config,
    listeners: &[TcpListener],
    made_up: &mut Option<SecretString>,
) -> Result<(Opened, Option<String>)> {
    let installation = Installation::open(config, Access::Serve).await?;
    take_over_login(config, &installation).await?;
    let login = initialise_admin(config, &installation, made_up).await?;
    look_at_secrets(config, &installation).await?;
    let listeners = listeners.iter().map(TcpListener::try_clone).collect::<io::Result<_>>();
    let listeners = listeners.context("a socket cannot be shared")?;
    let server = Server::prepare(config, &installation, listeners).await?;
    let accounts = installation.operator.accounts().await.context("the accounts cannot be read")?;
    let keys = installation.operator.keys().await.context("the API keys cannot be read")?;
    let opened = Opened { server, accounts: accounts.len(), keys: keys.len(), installation };
    Ok((opened, login))
}

/// Whether a start failed because the store could not be reached.
fn is_of_absent_store(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let of_operator = || match cause.downcast_ref() {
            Some(OperatorError::Store(cause)) => Some(cause),
            Some(_) | None => None,
        };
        let of_engine = || match cause.downcast_ref() {
            Some(EngineError::Store(cause)) => Some(cause),
            Some(_) | None => None,
        };
        let of_store = cause.downcast_ref().or_else(of_operator).or_else(of_engine);
        matches!(of_store, Some(StoreError::Unavailable(_)))
    })
}

/// Takes over the login that a v1 left, if there is none yet.
async fn take_over_login(config: &Config, installation: &Installation) -> Result<()> {
    let data_dir = &config.sections.store.data_dir;
    let noted = predecessor_login::read(data_dir)?;
    let taken = installation.operator.take_over_login(noted).await;
    match taken.context("the administrator's login cannot be taken over")? {
        None => {}
        Some(TakenOver::Store) => {
            say("The administrator's login of v1 holds: it was in the store.");
        }
        Some(TakenOver::Note) => say(format!(
            "The administrator's login of v1 holds: it was in {}, which still says the password in clear; \
             remove that file unless v1 is to come back.",
            data_dir.join(predecessor_login::FILE).display()
        )),
    }
    Ok(())
}

/// Says which accounts cannot be used because their secrets do not open, and brings the others into the
/// form that the operator wants.
async fn look_at_secrets(config: &Config, installation: &Installation) -> Result<()> {
    let operator = &installation.operator;
    let unreadable = operator.unreadable_accounts().await.context("the accounts cannot be read")?;
    if !unreadable.is_empty() {
        say(
            "warning: the secrets of these accounts do not open; they are not used until ENCRYPTION_KEY is the one",
        );
        say("that sealed them, or their keys are set again:");
    }
    for UnreadableAccount { id, name, why } in unreadable {
        say(format!("  {name} ({id}): {why}"));
    }
    let resealed = operator.reseal_accounts().await.context("secrets cannot be resealed")?;
    if resealed > 0 {
        say(format!(
            "The secrets of {resealed} accounts were sealed anew (RELAY_SEAL={}).",
            config.seal()
        ));
    }
    Ok(())
}

/// Makes the administrator's login at the first start. Returns what to show once.
async fn initialise_admin(
    config: &Config,
    installation: &Installation,
    made_up: &mut Option<SecretString>,
) -> Result<Option<String>> {
    let admin = &config.sections.admin;
    let username = admin.username.as_deref().unwrap_or(DEFAULT_ADMIN);
    let given = admin.password.clone();
    let made = installation.operator.initialise_admin_again(username, given, made_up).await;
    let password = made.context(
        "the administrator's login cannot be made; see ADMIN_USERNAME and ADMIN_PASSWORD",
    )?;
    Ok(password.map(|password| {
        format!(
            "\n  The administrator's login, shown this once:\n    username  {username}\n    password  {}\n",
            password.expose_secret()
        )
    }))
}

/// Says where Relay is and what to do next.
fn introduce(config: &Config, opened: &Opened, login: Option<&str>) {
    let Opened { server, installation, accounts, keys } = opened;
    say(format!("Relay {} on http://{}", env!("CARGO_PKG_VERSION"), server.address()));
    say(format!("  store     {}, {}", installation.store_kind, installation.store_place));
    if let Some(metrics) = &server.metrics {
        say(format!("  metrics   http://{}/metrics", metrics.address()));
    }
    say(format!("  data      {}", config.sections.store.data_dir.display()));
    if installation.secrets.are_kept() {
        say(format!(
            "  secrets   {} (keep it together with the store)",
            installation.secrets.path().display()
        ));
    }
    say(format!("  accounts  {accounts}, API keys {keys}"));
    if let Some(login) = login {
        say(login);
    }
    if *accounts == 0 {
        say("  There is no account yet. Add one (its key is read from standard input):");
        say("    relay-server account add --name main --url https://api.anthropic.com --key-stdin");
    }
    if *keys == 0 {
        say("  There is no API key yet. Create one for a client:");
        say("    relay-server key create --name me");
    }
}
