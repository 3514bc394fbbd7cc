//! Who changed what: the trail that every change of an operator's leaves.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// One change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditEntry {
    /// Its number, given by the store: later entries have greater ones.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done, such as `key.update`.
    pub action: String,
    /// What kind of thing it was done to, such as `key`.
    pub target_kind: String,
    /// Its id.
    pub target_id: String,
    /// How it was before, as JSON with its secrets masked; `None`: there was none.
    pub before: Option<String>,
    /// How it was afterwards, in the same form.
    pub after: Option<String>,
}

/// Who does something as an operator, and from where.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Actor {
    /// In what quality.
    pub kind: ActorKind,
    /// The operator's name, or the id of a token.
    pub name: String,
    /// The address that the request came from, if it came from one.
    pub address: Option<String>,
    /// The id of the request, if there was one.
    pub request_id: Option<String>,
}

/// In what quality somebody acts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// The operator, logged in.
    Admin,
    /// Automation, with a token.
    Token,
    /// Whoever has a shell on the machine.
    Shell,
    /// Relay itself.
    System,
}

impl ActorKind {
    /// Its name in the admin API. v1 and v2 know `admin` and `system`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Token => "token",
            Self::Shell => "shell",
            Self::System => "system",
        }
    }
}

impl Actor {
    /// The operator of this name, from nowhere in particular.
    #[must_use]
    pub fn admin(name: impl Into<String>) -> Self {
        Self { kind: ActorKind::Admin, name: name.into(), address: None, request_id: None }
    }

    /// Whoever has a shell on the machine.
    #[must_use]
    pub fn shell() -> Self {
        Self { kind: ActorKind::Shell, ..Self::admin("shell") }
    }
}
