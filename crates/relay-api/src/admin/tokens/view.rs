//! A token of automation as operators see it: all but the token itself.

use relay_domain::{AdminToken, Timestamp, TokenScope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a token may do. Whoever may change something may also read everything.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
pub(super) enum ScopeName {
    /// Read everything that the admin API shows.
    #[serde(rename = "read")]
    Read,
    /// Change API keys and their groups.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// Change and test accounts.
    #[serde(rename = "accounts:write")]
    AccountsWrite,
    /// Change prices and settings.
    #[serde(rename = "settings:write")]
    SettingsWrite,
    /// Everything, tokens and the operator's password included.
    #[serde(rename = "admin")]
    Admin,
}

impl From<ScopeName> for TokenScope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::KeysWrite => Self::KeysWrite,
            ScopeName::AccountsWrite => Self::AccountsWrite,
            ScopeName::SettingsWrite => Self::SettingsWrite,
            ScopeName::Admin => Self::Admin,
        }
    }
}

impl From<TokenScope> for ScopeName {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Read => Self::Read,
            TokenScope::KeysWrite => Self::KeysWrite,
            TokenScope::AccountsWrite => Self::AccountsWrite,
            TokenScope::SettingsWrite => Self::SettingsWrite,
            TokenScope::Admin => Self::Admin,
        }
    }
}

/// A token of automation.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenView {
    id: String,
    name: String,
    scopes: Vec<ScopeName>,
    /// The operator's name, or the id of the token that it was made with.
    created_by: String,
    created_at: String,
    /// When it ends by itself; `null`: never.
    expires_at: Option<String>,
    /// To the minute.
    last_used_at: Option<String>,
    revoked_at: Option<String>,
    /// Whether it can be used now.
    is_active: bool,
}

impl TokenView {
    /// The token as it is at `now`.
    pub(super) fn new(token: AdminToken, now: Timestamp) -> Self {
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            is_active: token.is_good(now),
            id: token.id.into(),
            name: token.name,
            scopes: token.scopes.into_iter().map(ScopeName::from).collect(),
            created_by: token.created_by,
            created_at: token.created_at.to_string(),
            expires_at: moment(token.expires_at),
            last_used_at: moment(token.last_used_at),
            revoked_at: moment(token.revoked_at),
        }
    }
}
