//! What an unpriced request is charged where a key's policy says that it is charged nevertheless.

use relay_domain::{NanoUsd, PicoUsdPerToken};

use crate::ModelPrice;
use crate::file::PublishedPrice;
use crate::price::Rates;

/// v1's price for models that it does not know, a Sonnet's, with everything that a provider may charge
/// for besides, so that the cost is always known.
pub(crate) fn fallback() -> ModelPrice {
    let picos = |dollars_per_million: i64| {
        Some(PicoUsdPerToken::from_picos(dollars_per_million * 1_000_000))
    };
    ModelPrice::complete(PublishedPrice {
        provider: "anthropic".to_owned(),
        standard: Rates { input: picos(3), output: picos(15), ..Rates::default() },
        fast_milli: Some(6_000),
        us_residency_milli: Some(1_100),
        web_search_nanos: Some(NanoUsd::from_nanos(10_000_000)),
        ..PublishedPrice::default()
    })
}
