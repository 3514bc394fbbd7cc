//! What an operator sends to say what a model costs.

use relay_domain::TokenCount;
use relay_pricing::{LongContext, PriceOverride, Rates};
use serde::Deserialize;
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;
use crate::admin::error::ApiError;

/// The full set of a model's prices, in dollars per million tokens with up to six decimals. It takes the
/// place of the source's price as a whole: what is left out follows the provider's rules for its prompt
/// cache, and is unknown otherwise. Zero is free of charge.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewPrice {
    /// Whose rules complete it, such as `anthropic` or `openai`; unless said, those of who sells the model.
    #[schema(max_length = 100)]
    provider: Option<String>,
    standard: NewTokenRates,
    /// Prices of requests with much input, by threshold.
    #[serde(default)]
    long: Vec<NewLongPrices>,
    priority: Option<NewTokenRates>,
    flex: Option<NewTokenRates>,
    batch: Option<NewTokenRates>,
    /// By how much the fast mode multiplies the price of all tokens, with up to three decimals.
    #[schema(value_type = Option<f64>)]
    fast_multiplier: Option<Number>,
    /// The same for processing in the United States only.
    #[schema(value_type = Option<f64>)]
    us_residency_multiplier: Option<Number>,
    /// Dollars for each web search.
    #[schema(value_type = Option<f64>, minimum = 0)]
    web_search: Option<Number>,
}

/// Prices by kind of token.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewTokenRates {
    #[schema(value_type = f64, minimum = 0)]
    input: Number,
    #[schema(value_type = f64, minimum = 0)]
    output: Number,
    #[schema(value_type = Option<f64>, minimum = 0)]
    cache_read: Option<Number>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    cache_write5m: Option<Number>,
    #[schema(value_type = Option<f64>, minimum = 0)]
    cache_write1h: Option<Number>,
}

/// Prices above a threshold.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NewLongPrices {
    /// The input, of all kinds together, above which they hold.
    above: u64,
    standard: NewTokenRates,
    /// Unless said, here and in the tiers that follow, raised as the standard tier is.
    priority: Option<NewTokenRates>,
    flex: Option<NewTokenRates>,
    batch: Option<NewTokenRates>,
}

impl NewPrice {
    /// The price in the price book's words.
    pub(super) fn into_override(self) -> Result<PriceOverride, ApiError> {
        if self.provider.as_ref().is_some_and(|provider| 100 < provider.chars().count()) {
            return Err(ApiError::Invalid {
                field: "provider",
                why: "must have at most 100 characters",
            });
        }
        let milli = |field, given: Option<&Number>| {
            given.map(|number| dollars::read_milli(field, number)).transpose()
        };
        Ok(PriceOverride {
            standard: self.standard.into_rates()?,
            long: self.long.into_iter().map(NewLongPrices::into_long).collect::<Result<_, _>>()?,
            priority: optional(self.priority)?,
            flex: optional(self.flex)?,
            batch: optional(self.batch)?,
            fast_milli: milli("fastMultiplier", self.fast_multiplier.as_ref())?,
            us_residency_milli: milli(
                "usResidencyMultiplier",
                self.us_residency_multiplier.as_ref(),
            )?,
            web_search_nanos: self
                .web_search
                .map(|dollars| dollars::amount("webSearch", &dollars))
                .transpose()?,
            provider: self.provider,
        })
    }
}

impl NewLongPrices {
    fn into_long(self) -> Result<LongContext, ApiError> {
        Ok(LongContext {
            above: TokenCount::new(self.above),
            rates: self.standard.into_rates()?,
            priority: optional(self.priority)?,
            flex: optional(self.flex)?,
            batch: optional(self.batch)?,
        })
    }
}

impl NewTokenRates {
    fn into_rates(self) -> Result<Rates, ApiError> {
        let optional = |field, given: Option<Number>| {
            given.map(|number| dollars::read_per_million(field, &number)).transpose()
        };
        Ok(Rates {
            input: optional("input", Some(self.input))?,
            output: optional("output", Some(self.output))?,
            cache_read: optional("cacheRead", self.cache_read)?,
            cache_write_5m: optional("cacheWrite5m", self.cache_write5m)?,
            cache_write_1h: optional("cacheWrite1h", self.cache_write1h)?,
        })
    }
}

fn optional(given: Option<NewTokenRates>) -> Result<Rates, ApiError> {
    given.map_or(Ok(Rates::default()), NewTokenRates::into_rates)
}
