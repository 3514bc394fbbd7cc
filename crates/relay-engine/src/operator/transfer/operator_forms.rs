//! What an operator has made besides keys and accounts, in the file: groups, tokens, settings.

use std::collections::BTreeSet;

use relay_domain::{
    AccountGroup, AccountGroupId, AccountId, AdminToken, AdminTokenId, GroupId, KeyDigest,
    KeyGroup, Platform, Timestamp, TokenScope,
};
use relay_store::{SettingsName, StoredLimits};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct AccountGroupForm {
    id: AccountGroupId,
    name: String,
    platform: Platform,
    description: String,
    members: BTreeSet<AccountId>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct GroupForm {
    id: GroupId,
    name: String,
    description: String,
    limits: StoredLimits,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct TokenForm {
    id: AdminTokenId,
    name: String,
    /// In hexadecimal.
    digest: String,
    scopes: Vec<TokenScope>,
    created_by: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct SettingsForm {
    name: String,
    document: String,
}

impl From<AccountGroup> for AccountGroupForm {
    fn from(group: AccountGroup) -> Self {
        let AccountGroup {
            id,
            name,
            platform,
            description,
            members,
            created_at,
            updated_at,
            // It counts the changes in one store.
            revision: _,
        } = group;
        Self { id, name, platform, description, members, created_at, updated_at }
    }
}

impl From<AccountGroupForm> for AccountGroup {
    fn from(form: AccountGroupForm) -> Self {
        let AccountGroupForm { id, name, platform, description, members, created_at, updated_at } =
            form;
        Self { id, name, platform, description, members, created_at, updated_at, revision: 0 }
    }
}

impl From<KeyGroup> for GroupForm {
    fn from(group: KeyGroup) -> Self {
        // The revision counts the changes in one store.
        let KeyGroup { id, name, description, limits, created_at, updated_at, revision: _ } = group;
        Self { id, name, description, limits: limits.into(), created_at, updated_at }
    }
}

impl From<GroupForm> for KeyGroup {
    fn from(form: GroupForm) -> Self {
        let GroupForm { id, name, description, limits, created_at, updated_at } = form;
        let limits = limits.into();
        Self { id, name, description, limits, created_at, updated_at, revision: 0 }
    }
}

impl From<AdminToken> for TokenForm {
    fn from(token: AdminToken) -> Self {
        let AdminToken {
            id,
            name,
            digest,
            scopes,
            created_by,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        } = token;
        Self {
            id,
            name,
            digest: digest.to_hex(),
            scopes,
            created_by,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        }
    }
}

impl TokenForm {
    /// The token, if its digest is one.
    pub(super) fn into_token(self) -> Option<AdminToken> {
        let Self {
            id,
            name,
            digest,
            scopes,
            created_by,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        } = self;
        let digest = KeyDigest::from_hex(&digest).ok()?;
        Some(AdminToken {
            id,
            name,
            digest,
            scopes,
            created_by,
            created_at,
            expires_at,
            last_used_at,
            revoked_at,
        })
    }
}

impl SettingsForm {
    pub(super) fn of(name: SettingsName, document: String) -> Self {
        Self { name: name.as_str().to_owned(), document }
    }

    /// The document, if there is one of this name.
    pub(super) fn into_document(self) -> Option<(SettingsName, String)> {
        let name = SettingsName::ALL.into_iter().find(|name| name.as_str() == self.name)?;
        Some((name, self.document))
    }
}
