//! A group of accounts as operators see it.

use relay_domain::{AccountGroup, Platform, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::revision::Revised;

/// One group of accounts.
#[derive(Serialize, ToSchema)]
pub(super) struct OneAccountGroup {
    pub(super) group: AccountGroupView,
}

/// A group of accounts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccountGroupView {
    id: String,
    name: String,
    /// `claude-console` or `codex`.
    #[schema(value_type = String)]
    platform: Platform,
    description: String,
    /// Its members. One that a v1 left and Relay does not know serves nobody.
    account_ids: Vec<String>,
    created_at: String,
    /// Empty until the first change.
    updated_at: String,
    revision: u64,
}

impl From<AccountGroup> for AccountGroupView {
    fn from(group: AccountGroup) -> Self {
        Self {
            id: group.id.into(),
            name: group.name,
            platform: group.platform,
            description: group.description,
            account_ids: group.members.into_iter().map(String::from).collect(),
            created_at: group.created_at.to_string(),
            updated_at: group.updated_at.as_ref().map(Timestamp::to_string).unwrap_or_default(),
            revision: group.revision,
        }
    }
}

impl From<AccountGroup> for Revised<OneAccountGroup> {
    fn from(group: AccountGroup) -> Self {
        Self::new(group.revision, OneAccountGroup { group: group.into() })
    }
}
