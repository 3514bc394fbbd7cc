//! A group of API keys as operators see it.

use relay_domain::{KeyGroup, WindowCaps};
use serde::Serialize;
use utoipa::ToSchema;

use crate::admin::limits_view::LimitsView;
use crate::admin::revision::Revised;

/// One group.
#[derive(Serialize, ToSchema)]
pub(super) struct OneGroup {
    pub(super) group: GroupView,
}

/// A group of API keys. Limits are as those of a key; 0 means none.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct GroupView {
    id: String,
    name: String,
    description: String,
    created_at: String,
    /// Empty until the first change.
    updated_at: String,
    #[serde(flatten)]
    limits: LimitsView,
    revision: u64,
}

impl From<KeyGroup> for GroupView {
    fn from(group: KeyGroup) -> Self {
        let limits = group.limits;
        let caps = limits.window.map_or_else(WindowCaps::default, |window| WindowCaps {
            requests: window.requests,
            tokens: window.tokens,
            cost: window.cost,
        });
        Self {
            id: group.id.into(),
            name: group.name,
            description: group.description,
            created_at: group.created_at.to_string(),
            updated_at: group.updated_at.map(|at| at.to_string()).unwrap_or_default(),
            limits: LimitsView::of(&limits, caps),
            revision: group.revision,
        }
    }
}

impl From<KeyGroup> for Revised<OneGroup> {
    fn from(group: KeyGroup) -> Self {
        Self::new(group.revision, OneGroup { group: group.into() })
    }
}
