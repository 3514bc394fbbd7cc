//! An upstream account: where requests go and with which credential.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AccountHealth, AccountId, Limits, Multiplier, Timestamp};

/// One account of the operator's pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Which protocol and provider it speaks for.
    pub platform: Platform,
    /// What the operator calls it.
    pub name: String,
    /// What the operator notes about it.
    pub description: String,
    /// Where it is: scheme, host and perhaps a path, without a trailing slash.
    pub base_url: String,
    /// Its credential, sealed.
    pub secret: SealedSecret,
    /// Smaller is tried first.
    pub priority: Priority,
    /// Which models it serves and under what names.
    pub models: ModelMap,
    /// Replaces the client's user agent, if set.
    pub user_agent: Option<String>,
    /// How it is reached.
    pub proxy: ProxySetting,
    /// An operator's switch.
    pub is_active: bool,
    /// Whether the scheduler may choose it.
    pub schedulable: bool,
    /// Whether any key may use it.
    pub kind: AccountKind,
    /// How long a 429 without a reset time keeps it out, in minutes. Zero: by the provider's word only.
    pub rate_limit_minutes: u32,
    /// What may be spent on it and how fast. v1 and v2 know a quota of the day, the minute at which that
    /// day begins, and the requests in flight at once.
    pub limits: Limits,
    /// By how much what it costs counts for a key that uses it.
    pub rate: Multiplier,
    /// When its subscription ends; it is not used afterwards.
    pub subscription_ends: Option<Timestamp>,
    /// What becomes of a request whose client leaves.
    pub on_disconnect: OnDisconnect,
    /// What somebody last noted about its state. Cleared by a reset.
    pub error_message: String,
    /// How it fares.
    pub health: AccountHealth,
    /// When it was added.
    pub created_at: Timestamp,
    /// When an operator last changed it.
    pub updated_at: Option<Timestamp>,
    /// When it last answered a request.
    pub last_used_at: Option<Timestamp>,
    /// Raised by every change of an operator's, and not by its health: a change names the revision on
    /// which it was decided.
    pub revision: u64,
}

/// What becomes of a request whose client leaves before its answer has ended.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// The provider is stopped.
    #[default]
    Abort,
    /// The answer is read to its end, within bounds, so that its true usage is known.
    Drain,
}

/// A provider's platform, under the name that the admin API and the stores use.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Anthropic's API and what speaks like it.
    ClaudeConsole,
    /// `OpenAI`'s Responses API and what speaks like it.
    Codex,
}

impl Platform {
    /// The name in paths and stores.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeConsole => "claude-console",
            Self::Codex => "codex",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an account is in the pool.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// Any key may use it.
    Shared,
    /// Only keys that are bound to it may use it.
    Dedicated,
}

/// An account's place in the order: 1 to 100, the smaller the earlier.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The middle, 50: the default of v1 and v2.
    pub const DEFAULT: Self = Self(50);
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;

    fn try_from(raw: u8) -> Result<Self, &'static str> {
        (1..=100).contains(&raw).then_some(Self(raw)).ok_or("a priority is a number from 1 to 100")
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// A credential as it is stored: sealed by `relay-crypto`, opened only to be sent upstream.
///
/// It is ciphertext, but there is no reason to print it either.
#[derive(Clone, Eq, PartialEq)]
pub struct SealedSecret(String);

impl SealedSecret {
    /// Wraps a sealed text.
    #[must_use]
    pub fn new(sealed: String) -> Self {
        Self(sealed)
    }

    /// The sealed text, to store or to open.
    pub fn as_stored(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(..)")
    }
}

/// Which models an account serves, and what it calls them. Empty: every model under its own name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ModelMap(BTreeMap<String, String>);

impl ModelMap {
    /// A map from the client's name of a model to the account's.
    #[must_use]
    pub fn new(map: BTreeMap<String, String>) -> Self {
        Self(map)
    }

    /// Every pair, for storing and showing.
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The account's name for `model`: `None` if it does not serve it. Exact case first, then any.
    pub fn upstream_name<'a>(&'a self, model: &'a str) -> Option<&'a str> {
        if self.0.is_empty() {
            return Some(model);
        }
        let any_case =
            || self.0.iter().find(|(from, _)| from.eq_ignore_ascii_case(model)).map(|(_, to)| to);
        self.0.get(model).or_else(any_case).map(|to| if to.is_empty() { model } else { to })
    }
}

/// How an account is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProxySetting {
    /// Directly.
    Direct,
    /// Through this proxy and never otherwise.
    Via(Proxy),
    /// Something is configured that cannot be used: the account is never reached directly instead.
    Unusable,
}

/// A proxy in front of an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proxy {
    /// How the proxy is spoken to.
    pub scheme: ProxyScheme,
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it asks for.
    pub auth: Option<ProxyAuth>,
}

/// The name and password that a proxy asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyAuth {
    /// The name.
    pub username: String,
    /// The password, sealed.
    pub password: SealedSecret,
}

/// How a proxy is spoken to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyScheme {
    /// HTTP, with CONNECT.
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 5; names are resolved by the proxy.
    Socks5,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_map_serves_renames_and_refuses() {
        let map = |pairs: &[(&str, &str)]| {
            ModelMap::new(
                pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            )
        };
        let renaming = map(&[("sonnet", "claude-sonnet-5"), ("opus", "opus"), ("blank", "")]);
        let cases = [
            ("an empty map serves all", map(&[]), "any", Some("any")),
            ("renamed", renaming.clone(), "sonnet", Some("claude-sonnet-5")),
            ("any case", renaming.clone(), "Sonnet", Some("claude-sonnet-5")),
            ("same name", renaming.clone(), "opus", Some("opus")),
            ("no name given", renaming.clone(), "blank", Some("blank")),
            ("not served", renaming, "constructor", None),
        ];
        for (name, map, model, expected) in cases {
            assert_eq!(map.upstream_name(model), expected, "{name}");
        }
    }
}
