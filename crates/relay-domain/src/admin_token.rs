//! Tokens with which automation uses the admin API.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AdminTokenId, KeyDigest, Timestamp};

/// A token of automation's. The token itself is not here: only its digest is ever kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AdminToken {
    /// Its id.
    pub id: AdminTokenId,
    /// What the operator calls it.
    pub name: String,
    /// The digest of the token.
    pub digest: KeyDigest,
    /// What it may do. Each once, in their order.
    pub scopes: Vec<TokenScope>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself, if it does.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// What a token may do. Each scope holds those before it only where it says so.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum TokenScope {
    /// Read everything that the admin API shows.
    #[serde(rename = "read")]
    Read,
    /// Change API keys and their groups.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// Change and test accounts.
    #[serde(rename = "accounts:write")]
    AccountsWrite,
    /// Change prices, alerts and settings.
    #[serde(rename = "settings:write")]
    SettingsWrite,
    /// Everything, other tokens and the operator's login included.
    #[serde(rename = "admin")]
    Admin,
}

impl TokenScope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::KeysWrite, Self::AccountsWrite, Self::SettingsWrite, Self::Admin];

    /// Its name in the admin API and in the stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::KeysWrite => "keys:write",
            Self::AccountsWrite => "accounts:write",
            Self::SettingsWrite => "settings:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AdminToken {
    /// Whether it can be used at `now`.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it may do what `scope` names. Who may change something may also read.
    pub fn may(&self, scope: TokenScope) -> bool {
        let holds = |wanted: TokenScope| self.scopes.contains(&wanted);
        holds(TokenScope::Admin)
            || holds(scope)
            || (scope == TokenScope::Read && !self.scopes.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer as _;
    use serde::de::value::{Error, StrDeserializer};

    use super::*;

    fn token(scopes: &[TokenScope]) -> AdminToken {
        AdminToken {
            id: AdminTokenId::try_from("t").unwrap(),
            name: String::new(),
            digest: KeyDigest::new([0; 32]),
            scopes: scopes.to_vec(),
            created_by: "admin".to_owned(),
            created_at: Timestamp::EPOCH,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_token_may_do_what_its_scopes_say_and_read() {
        use TokenScope::{AccountsWrite, Admin, KeysWrite, Read};
        let cases: [(&[TokenScope], TokenScope, bool); 8] = [
            (&[Read], Read, true),
            (&[Read], KeysWrite, false),
            (&[KeysWrite], Read, true),
            (&[KeysWrite], AccountsWrite, false),
            (&[Admin], AccountsWrite, true),
            (&[KeysWrite, AccountsWrite], Admin, false),
            (&[], Read, false),
            (&[Admin], Read, true),
        ];
        for (scopes, asked, expected) in cases {
            assert_eq!(token(scopes).may(asked), expected, "{scopes:?} {asked}");
        }
    }

    #[test]
    fn a_token_ends_when_its_time_or_an_operator_says_so() {
        let now = Timestamp::from_millis(5);
        assert!(token(&[]).is_good(now));
        assert!(!AdminToken { expires_at: Some(now), ..token(&[]) }.is_good(now));
        assert!(!AdminToken { revoked_at: Some(now), ..token(&[]) }.is_good(now));
    }

    #[test]
    fn names_of_scopes_are_those_of_their_json() {
        for scope in TokenScope::ALL {
            let name: StrDeserializer<'_, Error> = scope.as_str().into_deserializer();
            assert_eq!(TokenScope::deserialize(name), Ok(scope));
        }
    }
}
