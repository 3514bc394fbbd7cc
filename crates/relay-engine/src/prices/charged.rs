//! What a provider charges for an answer, by what the answer says was served.

use relay_domain::TokenUsage;
use relay_pricing::{Charge, ServiceTier};
use relay_protocol::anthropic::Served;

/// A usage as the price book wants it: by what the provider says it served, not by what was asked for.
pub(crate) fn charged(usage: TokenUsage, served: &Served) -> Charge {
    Charge {
        usage,
        tier: served.service_tier.as_deref().map_or_else(ServiceTier::default, ServiceTier::served),
        fast: served.speed.as_deref() == Some("fast"),
        us_residency: served.inference_geo.as_deref() == Some("us"),
        web_searches: served.web_search_requests.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
