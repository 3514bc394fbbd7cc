//! Service rates as they are shown: v1's document.

use std::collections::BTreeMap;

use relay_domain::{Multiplier, Service};
use relay_engine::prices::ServiceRatesDocument;
use serde::Serialize;
use utoipa::ToSchema;

/// By how much services' costs are multiplied before they count.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceRatesView {
    /// The service whose rate the others are thought of by.
    base_service: String,
    /// By service; Relay serves `claude` and `codex`, the others are v1's.
    #[schema(value_type = BTreeMap<String, f64>)]
    rates: BTreeMap<&'static str, Multiplier>,
    /// Empty if they were never set.
    updated_at: String,
    updated_by: String,
}

impl From<ServiceRatesDocument> for ServiceRatesView {
    fn from(document: ServiceRatesDocument) -> Self {
        let rate = |service: Service| (service.name(), document.rates.of(service));
        Self {
            rates: Service::ALL.into_iter().map(rate).collect(),
            base_service: document.base_service,
            updated_at: document.updated_at.unwrap_or_default(),
            updated_by: document.updated_by.unwrap_or_default(),
        }
    }
}
