//! `store.seal`: in which form accounts' secrets are kept in Redis.

use std::fmt;

use serde::Deserialize;

/// In which form secrets are sealed where v1 and v2 may have to read them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SealChoice {
    /// As v1 and v2 do: the way back stays open.
    #[default]
    Legacy,
    /// Authenticated. v1 and v2 cannot read it.
    Aead,
}

impl fmt::Display for SealChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Aead => "aead",
        })
    }
}
