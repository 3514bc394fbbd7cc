//! How far limits are used, as operators see it.

use relay_domain::LimitState;
use serde::Serialize;
use serde_json::Number;
use utoipa::ToSchema;

use super::dollars;

/// How far one limit is used. Dollars where it is money.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimitView {
    /// Its name.
    #[schema(example = "daily_cost")]
    limit: &'static str,
    #[schema(value_type = f64)]
    used: Number,
    /// What requests in flight hold of it besides.
    #[schema(value_type = f64)]
    held: Number,
    #[schema(value_type = f64)]
    allowed: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
}

impl From<LimitState> for LimitView {
    fn from(state: LimitState) -> Self {
        let number = |amount| dollars::amount_of(state.limit, amount);
        Self {
            limit: state.limit.name(),
            used: number(state.used),
            held: number(state.held),
            allowed: number(state.allowed),
            resets_at: state.resets_at.map(|at| at.to_string()),
        }
    }
}
