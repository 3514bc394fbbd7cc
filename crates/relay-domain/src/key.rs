//! The API key that a client presents.

use std::time::Duration;

use crate::{AccountId, KeyDigest, KeyId, Limits, Platform, Timestamp};

/// One API key. The secret itself is not here: only its digest is ever kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// The digest of the secret, as it is stored.
    pub digest: KeyDigest,
    /// What the operator calls it.
    pub name: String,
    /// What the operator notes about it.
    pub description: String,
    /// An operator's switch.
    pub is_active: bool,
    /// When it was deleted and by whom, if it was. A deleted key can be restored.
    pub deleted: Option<Deletion>,
    /// When it ends.
    pub expiry: Expiry,
    /// Which platforms it may use.
    pub permissions: Permissions,
    /// Models that it may not use, by exact name.
    pub restricted_models: Vec<String>,
    /// The Claude Console account that all its requests must use, if it is bound to one.
    pub bound_claude_account: Option<AccountId>,
    /// The Codex account that all its requests must use, if it is bound to one.
    pub bound_codex_account: Option<AccountId>,
    /// What it may spend and how fast.
    pub limits: Limits,
    /// Free labels.
    pub tags: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an operator last changed it.
    pub updated_at: Option<Timestamp>,
    /// When a request with it was last settled.
    pub last_used_at: Option<Timestamp>,
}

/// When and by whom a key was deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deletion {
    /// When.
    pub at: Timestamp,
    /// The operator's name.
    pub by: String,
}

/// When a key ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expiry {
    /// It does not.
    Never,
    /// At a fixed moment.
    At(Timestamp),
    /// So long after its first use, which has not come yet.
    AfterFirstUse(Duration),
}

/// The platforms that a key may use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Permissions {
    /// Every platform (v1 stores an empty list, v2 the word `all`).
    All,
    /// These alone.
    Only(Vec<Platform>),
}

impl Permissions {
    /// Whether the key may use `platform`.
    pub fn allow(&self, platform: Platform) -> bool {
        match self {
            Self::All => true,
            Self::Only(platforms) => platforms.contains(&platform),
        }
    }
}

/// Why a key that exists is not let in. The order of the checks is v1's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyRefusal {
    /// It was deleted.
    #[error("this API key has been deleted")]
    Deleted,
    /// An operator switched it off.
    #[error("this API key is disabled")]
    Disabled,
    /// Its time is over.
    #[error("this API key expired at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It may not use the platform that the request is for.
    #[error("this API key has no permission for this platform")]
    NotPermitted,
    /// It may not use the model that the request names.
    #[error("this API key may not use this model")]
    ModelRestricted,
}

impl ApiKey {
    /// Whether the key may be used at `now` for `model` on `platform`.
    ///
    /// # Errors
    ///
    /// The first reason why not.
    pub fn check(&self, platform: Platform, model: &str, now: Timestamp) -> Result<(), KeyRefusal> {
        if self.deleted.is_some() {
            return Err(KeyRefusal::Deleted);
        }
        if !self.is_active {
            return Err(KeyRefusal::Disabled);
        }
        match self.expiry {
            Expiry::At(at) if at <= now => return Err(KeyRefusal::Expired { at }),
            Expiry::At(_) | Expiry::Never | Expiry::AfterFirstUse(_) => {}
        }
        if !self.permissions.allow(platform) {
            return Err(KeyRefusal::NotPermitted);
        }
        if self.restricted_models.iter().any(|restricted| restricted == model) {
            return Err(KeyRefusal::ModelRestricted);
        }
        Ok(())
    }

    /// The account that requests of this key for `platform` must use, if there is one.
    pub fn bound_account(&self, platform: Platform) -> Option<&AccountId> {
        match platform {
            Platform::ClaudeConsole => self.bound_claude_account.as_ref(),
            Platform::Codex => self.bound_codex_account.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey {
            id: KeyId::try_from("k").unwrap(),
            digest: KeyDigest::new([0; 32]),
            name: String::new(),
            description: String::new(),
            is_active: true,
            deleted: None,
            expiry: Expiry::Never,
            permissions: Permissions::All,
            restricted_models: Vec::new(),
            bound_claude_account: None,
            bound_codex_account: None,
            limits: Limits::default(),
            tags: Vec::new(),
            created_by: "admin".to_owned(),
            created_at: Timestamp::EPOCH,
            updated_at: None,
            last_used_at: None,
        }
    }

    #[test]
    fn the_first_reason_against_a_key_is_given() {
        let now = Timestamp::from_millis(1_000);
        let deletion = Deletion { at: now, by: "admin".to_owned() };
        let cases = [
            ("fresh", key(), Ok(())),
            (
                "deleted beats disabled",
                ApiKey { deleted: Some(deletion), is_active: false, ..key() },
                Err(KeyRefusal::Deleted),
            ),
            ("disabled", ApiKey { is_active: false, ..key() }, Err(KeyRefusal::Disabled)),
            (
                "ends now",
                ApiKey { expiry: Expiry::At(now), ..key() },
                Err(KeyRefusal::Expired { at: now }),
            ),
            (
                "ends later",
                ApiKey { expiry: Expiry::At(Timestamp::from_millis(1_001)), ..key() },
                Ok(()),
            ),
            (
                "other platform",
                ApiKey { permissions: Permissions::Only(vec![Platform::Codex]), ..key() },
                Err(KeyRefusal::NotPermitted),
            ),
            (
                "restricted model",
                ApiKey { restricted_models: vec!["m".to_owned()], ..key() },
                Err(KeyRefusal::ModelRestricted),
            ),
            ("other model", ApiKey { restricted_models: vec!["M".to_owned()], ..key() }, Ok(())),
        ];
        for (name, key, expected) in cases {
            assert_eq!(key.check(Platform::ClaudeConsole, "m", now), expected, "{name}");
        }
    }
}
