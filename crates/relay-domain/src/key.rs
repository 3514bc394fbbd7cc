//! The API key that a client presents.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    AccountBinding, AccountGroupId, Expiry, GroupId, KeyDigest, KeyId, KeyUser, Limits, NanoUsd,
    Platform, RateWindow, ServiceRates, Timestamp,
};

/// One API key. The secret itself is not here: only its digest is ever kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKey {
    /// Its id.
    pub id: KeyId,
    /// The digest of the secret, as it is stored.
    pub digest: KeyDigest,
    /// The secret before, which is still good for a while after a rotation.
    pub retiring: Option<RetiringSecret>,
    /// What the operator calls it.
    pub name: String,
    /// What the operator notes about it.
    pub description: String,
    /// A picture's name for the console. Relay does not look at it.
    pub icon: String,
    /// An operator's switch.
    pub is_active: bool,
    /// When it was deleted and by whom, if it is. A deleted key can be restored.
    pub deleted: Option<Signature>,
    /// When it was last restored and by whom, if it ever was.
    pub restored: Option<Signature>,
    /// When it ends.
    pub expiry: Expiry,
    /// Which platforms it may use.
    pub permissions: Permissions,
    /// Models that it may not use, by exact name.
    pub restricted_models: Restriction,
    /// Clients that alone may use it, by v1's names for them.
    pub allowed_clients: Restriction,
    /// The Claude Console accounts that alone may serve it.
    pub claude_binding: AccountBinding,
    /// The Codex accounts that alone may serve it.
    pub codex_binding: AccountBinding,
    /// The group whose limits it shares.
    pub group: Option<GroupId>,
    /// What it may spend and how fast.
    pub limits: Limits,
    /// What its rate window would allow, while it has none.
    pub idle_window: WindowCaps,
    /// By how much its costs count against its budgets.
    pub service_rates: ServiceRates,
    /// What becomes of a request for a model without a price. `None`: it is refused where a budget would
    /// have to be charged, and otherwise let in at an unknown cost.
    pub unpriced: Option<UnpricedPolicy>,
    /// Where requests wait that are one too many at once. `None`: they are refused.
    pub queue: Option<WaitQueue>,
    /// Free labels.
    pub tags: Vec<String>,
    /// v1's user whose key it is, if it is one's.
    pub user: KeyUser,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When an operator last changed it.
    pub updated_at: Option<Timestamp>,
    /// When a request with it was last settled.
    pub last_used_at: Option<Timestamp>,
    /// Raised by every change, of an operator's or by its first use: a change names the revision on which
    /// it was decided.
    pub revision: u64,
}

/// When and by whom something was done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Signature {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// In what quality, such as `admin`.
    pub by_type: String,
}

/// A secret that was replaced and is still good for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetiringSecret {
    /// Its digest.
    pub digest: KeyDigest,
    /// Until when it is good.
    pub until: Timestamp,
}

/// A list that can be switched off without being lost.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Restriction {
    /// Whether it counts.
    pub is_on: bool,
    /// The list.
    pub names: Vec<String>,
}

impl Restriction {
    /// A list that counts; one that is empty does not.
    #[must_use]
    pub fn of(names: Vec<String>) -> Self {
        Self { is_on: !names.is_empty(), names }
    }

    /// The names that count.
    pub fn in_force(&self) -> &[String] {
        if self.is_on { &self.names } else { &[] }
    }
}

/// Whether `model` is among `names`: in whatever letter case, which providers and the maps of accounts do not
/// tell apart either, and with or without Claude Code's mark of a long context.
pub fn names_model(names: &[String], model: &str) -> bool {
    fn plain(name: &str) -> &str {
        name.strip_suffix("[1m]").unwrap_or(name)
    }
    names.iter().any(|name| plain(name).eq_ignore_ascii_case(plain(model)))
}

/// What a rate window allows, without its length.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WindowCaps {
    /// Requests in a window.
    pub requests: Option<u64>,
    /// Tokens of all kinds in a window.
    pub tokens: Option<u64>,
    /// Cost in a window.
    pub cost: Option<NanoUsd>,
}

/// What becomes of a request for a model without a price.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnpricedPolicy {
    /// It is refused.
    Refuse,
    /// It is charged the operator's fallback rate.
    Fallback,
}

/// Where requests wait that are one too many at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WaitQueue {
    /// How many may wait.
    pub max_waiting: u32,
    /// How long one may wait.
    pub deadline: Duration,
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
    /// The user whose key it is may use nothing.
    #[error("the user account that this API key belongs to is disabled")]
    UserDisabled,
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
        if let Some(at) = self.expiry.end().filter(|end| *end <= now) {
            return Err(KeyRefusal::Expired { at });
        }
        if self.user.is_disabled() {
            return Err(KeyRefusal::UserDisabled);
        }
        if !self.permissions.allow(platform) {
            return Err(KeyRefusal::NotPermitted);
        }
        if names_model(self.restricted_models.in_force(), model) {
            return Err(KeyRefusal::ModelRestricted);
        }
        Ok(())
    }

    /// The accounts of `platform` that alone may serve this key.
    pub fn binding(&self, platform: Platform) -> &AccountBinding {
        match platform {
            Platform::ClaudeConsole => &self.claude_binding,
            Platform::Codex => &self.codex_binding,
        }
    }

    /// The groups of accounts that it is bound to where `old` was bound otherwise; without one, all of them.
    pub fn newly_bound_groups<'a>(
        &'a self,
        old: Option<&'a ApiKey>,
    ) -> impl Iterator<Item = &'a AccountGroupId> {
        [Platform::ClaudeConsole, Platform::Codex].into_iter().filter_map(move |platform| {
            let binding = self.binding(platform);
            let is_new = old.is_none_or(|old| old.binding(platform) != binding);
            binding.group().filter(|_| is_new)
        })
    }

    /// The group that it belongs to where `old` did not; without one, whichever it belongs to.
    pub fn newly_joined_group(&self, old: Option<&ApiKey>) -> Option<&GroupId> {
        self.group.as_ref().filter(|group| old.is_none_or(|old| old.group.as_ref() != Some(group)))
    }

    /// Whether a secret with one of `digests` is this key's at `now`: the present one, or the one before
    /// during its grace.
    pub fn has_secret(&self, digests: &[KeyDigest], now: Timestamp) -> bool {
        let retiring = self.retiring.filter(|retiring| now < retiring.until);
        let good = [Some(self.digest), retiring.map(|retiring| retiring.digest)];
        digests.iter().any(|digest| good.contains(&Some(*digest)))
    }

    /// What its rate window allows, or would if it had one.
    pub fn window_caps(&self) -> WindowCaps {
        self.limits.window.map_or(self.idle_window, |window| WindowCaps {
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        })
    }

    /// Gives it a rate window of this length, or none, that allows what `caps` say.
    pub fn set_window(&mut self, length: Option<Duration>, caps: WindowCaps) {
        let WindowCaps { requests, tokens, cost } = caps;
        self.limits.window = length.map(|length| RateWindow { length, requests, tokens, cost });
        self.idle_window = if length.is_some() { WindowCaps::default() } else { caps };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UserStanding;

    fn key() -> ApiKey {
        ApiKey {
            id: KeyId::try_from("k").unwrap(),
            digest: KeyDigest::new([0; 32]),
            retiring: None,
            name: String::new(),
            description: String::new(),
            icon: String::new(),
            is_active: true,
            deleted: None,
            restored: None,
            expiry: Expiry::NEVER,
            permissions: Permissions::All,
            restricted_models: Restriction::default(),
            allowed_clients: Restriction::default(),
            claude_binding: AccountBinding::Pool,
            codex_binding: AccountBinding::Pool,
            group: None,
            limits: Limits::default(),
            idle_window: WindowCaps::default(),
            service_rates: ServiceRates::default(),
            unpriced: None,
            queue: None,
            tags: Vec::new(),
            user: KeyUser::default(),
            created_by: "admin".to_owned(),
            created_at: Timestamp::EPOCH,
            updated_at: None,
            last_used_at: None,
            revision: 0,
        }
    }

    #[test]
    fn the_first_reason_against_a_key_is_given() {
        let now = Timestamp::from_millis(1_000);
        let by = || "admin".to_owned();
        let deletion = Signature { at: now, by: by(), by_type: by() };
        let restricted = || Restriction::of(vec!["m".to_owned()]);
        let user = |standing| KeyUser::new("u".to_owned(), String::new(), standing);
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
                ApiKey { expiry: Expiry::at(now), ..key() },
                Err(KeyRefusal::Expired { at: now }),
            ),
            (
                "ends later",
                ApiKey { expiry: Expiry::at(Timestamp::from_millis(1_001)), ..key() },
                Ok(()),
            ),
            (
                "a disabled user",
                ApiKey { user: user(UserStanding::Disabled), ..key() },
                Err(KeyRefusal::UserDisabled),
            ),
            (
                "an end beats a disabled user",
                ApiKey { user: user(UserStanding::Disabled), expiry: Expiry::at(now), ..key() },
                Err(KeyRefusal::Expired { at: now }),
            ),
            ("an active user", ApiKey { user: user(UserStanding::Active), ..key() }, Ok(())),
            (
                "other platform",
                ApiKey { permissions: Permissions::Only(vec![Platform::Codex]), ..key() },
                Err(KeyRefusal::NotPermitted),
            ),
            (
                "restricted model",
                ApiKey { restricted_models: restricted(), ..key() },
                Err(KeyRefusal::ModelRestricted),
            ),
            (
                "a restriction that is off",
                ApiKey { restricted_models: Restriction { is_on: false, ..restricted() }, ..key() },
                Ok(()),
            ),
            (
                "a restricted model in another spelling",
                ApiKey { restricted_models: Restriction::of(vec!["M[1m]".to_owned()]), ..key() },
                Err(KeyRefusal::ModelRestricted),
            ),
            (
                "other model",
                ApiKey { restricted_models: Restriction::of(vec!["m2".to_owned()]), ..key() },
                Ok(()),
            ),
        ];
        for (name, key, expected) in cases {
            assert_eq!(key.check(Platform::ClaudeConsole, "m", now), expected, "{name}");
        }
    }

    #[test]
    fn the_secret_before_is_good_until_its_grace_ends() {
        let (old, new) = (KeyDigest::new([1; 32]), KeyDigest::new([2; 32]));
        let until = Timestamp::from_millis(10);
        let rotated =
            ApiKey { digest: new, retiring: Some(RetiringSecret { digest: old, until }), ..key() };
        let before = Timestamp::from_millis(9);
        for (digest, now, expected) in
            [(new, before, true), (new, until, true), (old, before, true), (old, until, false)]
        {
            assert_eq!(rotated.has_secret(&[digest], now), expected, "{now}");
        }
        assert!(!key().has_secret(&[old, new], before));
        assert!(rotated.has_secret(&[KeyDigest::new([3; 32]), old], before));
    }

    #[test]
    fn what_a_window_allows_outlives_it() {
        let caps = WindowCaps { requests: Some(5), tokens: None, cost: None };
        let mut key = key();
        key.set_window(None, caps);
        assert_eq!((key.limits.window, key.window_caps()), (None, caps));
        key.set_window(Some(Duration::from_mins(1)), key.window_caps());
        assert_eq!(key.limits.window.and_then(|window| window.requests), Some(5));
        assert_eq!((key.idle_window, key.window_caps()), (WindowCaps::default(), caps));
    }
}
