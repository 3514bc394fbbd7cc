//! The shape of `prices.json`. What is absent there is not published; zero means free of charge.

use std::collections::BTreeMap;

use relay_domain::{NanoUsd, TokenCount};
use serde::Deserialize;

use crate::Rates;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceFile {
    /// The day of the price tables that the figures were taken from.
    pub(crate) as_of: String,
    pub(crate) models: BTreeMap<String, PublishedPrice>,
}

/// What a provider publishes about one model.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishedPrice {
    pub(crate) provider: String,
    pub(crate) standard: Rates,
    pub(crate) long: Option<LongContext>,
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

/// The standard tier's prices for a request with more input than `above`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LongContext {
    pub(crate) above: TokenCount,
    pub(crate) rates: Rates,
}
