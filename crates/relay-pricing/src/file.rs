//! The shape of `prices.json`. What is absent there is not published; zero means free of charge.

use std::collections::BTreeMap;

use relay_domain::{NanoUsd, TokenCount};
use serde::{Deserialize, Serialize};

use crate::Rates;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceFile {
    /// The day of the price tables that the figures were taken from.
    pub(crate) as_of: String,
    pub(crate) models: BTreeMap<String, PublishedPrice>,
}

/// What a provider publishes about one model.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedPrice {
    pub(crate) provider: String,
    pub(crate) standard: Rates,
    #[serde(default)]
    pub(crate) long: Vec<LongContext>,
    #[serde(default)]
    pub(crate) priority: Rates,
    #[serde(default)]
    pub(crate) flex: Rates,
    #[serde(default)]
    pub(crate) batch: Rates,
    pub(crate) fast_milli: Option<u32>,
    pub(crate) us_residency_milli: Option<u32>,
    pub(crate) web_search_nanos: Option<NanoUsd>,
    pub(crate) max_input_tokens: Option<TokenCount>,
    pub(crate) max_output_tokens: Option<TokenCount>,
}

/// The prices for a request with more input than `above`, of all kinds together.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LongContext {
    /// The most input that does not cost these prices.
    pub above: TokenCount,
    /// The standard tier's.
    pub rates: Rates,
    /// The priority tier's; what is absent is raised as the standard tier's is.
    #[serde(default, skip_serializing_if = "Rates::are_unknown")]
    pub priority: Rates,
    /// The flex tier's.
    #[serde(default, skip_serializing_if = "Rates::are_unknown")]
    pub flex: Rates,
    /// The batch tier's.
    #[serde(default, skip_serializing_if = "Rates::are_unknown")]
    pub batch: Rates,
}

impl PublishedPrice {
    /// Every price of tokens in it.
    pub(crate) fn all_rates(&self) -> impl Iterator<Item = &Rates> {
        let long = self
            .long
            .iter()
            .flat_map(|long| [&long.rates, &long.priority, &long.flex, &long.batch]);
        [&self.standard, &self.priority, &self.flex, &self.batch].into_iter().chain(long)
    }
}
