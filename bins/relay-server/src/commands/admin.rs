//! `admin reset-password`.

use anyhow::{Context as _, Result};
use secrecy::ExposeSecret as _;

use crate::cli::AdminCommand;
use crate::config::Config;
use crate::installation::{Access, Installation};
use crate::terminal::{print, say};

/// Sets a new password for the administrator.
///
/// # Errors
///
/// Fails if there is no login yet or the store fails.
pub(crate) async fn run(command: &AdminCommand, config: &Config) -> Result<()> {
    let AdminCommand::ResetPassword = command;
    let installation = Installation::open(config, Access::Administer).await?;
    let password =
        installation.operator.reset_password().await.context("the password was not changed")?;
    say("The administrator's new password, shown this once; all sessions have ended:");
    print(password.expose_secret());
    Ok(())
}
