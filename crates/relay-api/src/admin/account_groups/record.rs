//! What an operator sends to make a group of accounts, or to change one.

use std::collections::BTreeSet;

use relay_domain::{AccountGroup, AccountId, Platform};
use relay_engine::operator::NewAccountGroup;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::admin::patch::{Patch, given, set};

/// A group of accounts to be made. All but `name` and `platform` may be left out.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewAccountGroupRecord {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `claude-console` or `codex`. It cannot be changed.
    #[schema(value_type = String)]
    platform: Platform,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Its members: accounts of its platform, shared or dedicated.
    #[schema(value_type = Option<Vec<String>>)]
    account_ids: Option<BTreeSet<AccountId>>,
}

/// What is to be changed of a group of accounts. What is left out stays; `null` clears what can be empty.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AccountGroupChange {
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, min_length = 1, max_length = 100)]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 500)]
    description: Patch<String>,
    /// All of its members from now on: accounts of its platform, and whoever was a member. `null`: none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    account_ids: Patch<BTreeSet<AccountId>>,
}

impl From<NewAccountGroupRecord> for NewAccountGroup {
    fn from(record: NewAccountGroupRecord) -> Self {
        Self {
            name: record.name,
            platform: record.platform,
            description: record.description.unwrap_or_default(),
            members: record.account_ids.unwrap_or_default(),
        }
    }
}

impl AccountGroupChange {
    /// Does it to a group.
    pub(super) fn put_on(&self, group: &mut AccountGroup) {
        set(&mut group.name, self.name.as_ref());
        self.description.apply_or_default(&mut group.description, String::clone);
        self.account_ids.apply_or_default(&mut group.members, BTreeSet::clone);
    }
}
