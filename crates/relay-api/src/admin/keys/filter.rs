//! Which API keys: for the list, and for changing many of them.

use relay_domain::{GroupId, Timestamp};
use relay_store::KeyFilter;
use serde::Deserialize;
use utoipa::ToSchema;

use super::fields::PermissionName;

/// Which API keys. What is left out is not looked at.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KeySelection {
    /// Only those that are switched on, or off.
    pub(super) is_active: Option<bool>,
    /// Only those that may use exactly this.
    pub(super) permissions: Option<PermissionName>,
    /// Only those with this tag.
    pub(super) tag: Option<String>,
    /// Only those of this group.
    #[schema(value_type = Option<String>)]
    pub(super) group_id: Option<GroupId>,
    /// Only those with this text in their name or id, in any case.
    pub(super) search: Option<String>,
    /// Only those whose time is over, or is not.
    pub(super) expired: Option<bool>,
}

impl KeySelection {
    /// The same in the store's words, as of `now`.
    pub(super) fn into_filter(self, is_deleted: Option<bool>, now: Timestamp) -> KeyFilter {
        KeyFilter {
            is_deleted,
            is_active: self.is_active,
            permissions: self.permissions.map(Into::into),
            tag: self.tag,
            group: self.group_id,
            text: self.search.filter(|text| !text.is_empty()),
            is_expired: self.expired.map(|wanted| (wanted, now)),
        }
    }
}
