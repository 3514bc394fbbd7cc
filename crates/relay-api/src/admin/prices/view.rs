//! A price and the price book's status, as they are shown. Prices are dollars per million tokens.

use relay_domain::TokenCount;
use relay_engine::prices::{PriceStatus, StoredOverride};
use relay_pricing::{BookLayer, Listed, Origin, Rates, ServiceTier, Tariff};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use crate::admin::dollars;

/// Where a price came from.
#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum PriceOrigin {
    Builtin,
    File,
    Url,
    Override,
}

impl From<Origin> for PriceOrigin {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Builtin => Self::Builtin,
            Origin::File => Self::File,
            Origin::Url => Self::Url,
            Origin::Override => Self::Override,
        }
    }
}

/// What one model costs, in dollars per million tokens. `null` is unknown, which is not free of charge.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PriceView {
    model: String,
    origin: PriceOrigin,
    /// Who sells it.
    provider: String,
    standard: TokenRatesView,
    /// Prices of requests with much input, by threshold.
    long: Vec<LongPricesView>,
    /// `null`, here and in the tiers that follow: it costs what the standard tier does.
    priority: Option<TokenRatesView>,
    flex: Option<TokenRatesView>,
    batch: Option<TokenRatesView>,
    /// By how much the fast mode multiplies the price of all tokens.
    #[schema(value_type = Option<f64>)]
    fast_multiplier: Option<Number>,
    /// The same for processing in the United States only.
    #[schema(value_type = Option<f64>)]
    us_residency_multiplier: Option<Number>,
    /// Dollars for each web search.
    #[schema(value_type = Option<f64>)]
    web_search: Option<Number>,
    max_input_tokens: Option<u64>,
    max_output_tokens: Option<u64>,
    /// When an operator set it, if one has.
    #[schema(format = DateTime)]
    set_at: Option<String>,
    set_by: Option<String>,
}

/// Prices by kind of token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TokenRatesView {
    #[schema(value_type = Option<f64>)]
    input: Option<Number>,
    #[schema(value_type = Option<f64>)]
    output: Option<Number>,
    #[schema(value_type = Option<f64>)]
    cache_read: Option<Number>,
    /// Written to the prompt cache for five minutes.
    #[schema(value_type = Option<f64>)]
    cache_write5m: Option<Number>,
    /// Written to the prompt cache for an hour.
    #[schema(value_type = Option<f64>)]
    cache_write1h: Option<Number>,
}

/// Prices above a threshold.
#[derive(Serialize, ToSchema)]
pub(super) struct LongPricesView {
    /// The input, of all kinds together, above which they hold.
    above: u64,
    standard: TokenRatesView,
    priority: Option<TokenRatesView>,
    flex: Option<TokenRatesView>,
    batch: Option<TokenRatesView>,
}

impl From<&Rates> for TokenRatesView {
    fn from(rates: &Rates) -> Self {
        let show = |rate: Option<_>| rate.map(dollars::show_per_million);
        Self {
            input: show(rates.input),
            output: show(rates.output),
            cache_read: show(rates.cache_read),
            cache_write5m: show(rates.cache_write_5m),
            cache_write1h: show(rates.cache_write_1h),
        }
    }
}

impl PriceView {
    /// The price under the name `model`, and whose it is if an operator has set it.
    pub(super) fn new(model: &str, listed: &Listed, stored: Option<StoredOverride>) -> Self {
        let price = &listed.price;
        let standard = price.tariff(ServiceTier::Standard);
        let sold = |tier| Some(price.tariff(tier)).filter(|tariff| *tariff != standard);
        let tiers = [ServiceTier::Priority, ServiceTier::Flex, ServiceTier::Batch].map(sold);
        let [priority, flex, batch] =
            tiers.map(|tariff| tariff.map(|tariff| TokenRatesView::from(&tariff.short)));
        let long = standard.long.iter().map(|(above, rates)| {
            let beyond = |tariff: &Tariff| {
                let found = tariff.long.iter().find(|(threshold, _)| threshold == above);
                found.map(|(_, rates)| TokenRatesView::from(rates))
            };
            let [priority, flex, batch] = tiers.map(|tariff| tariff.and_then(beyond));
            LongPricesView { above: above.get(), standard: rates.into(), priority, flex, batch }
        });
        Self {
            model: model.to_owned(),
            origin: listed.origin.into(),
            provider: price.provider().to_owned(),
            long: long.collect(),
            standard: (&standard.short).into(),
            priority,
            flex,
            batch,
            fast_multiplier: price.fast_milli().map(dollars::show_milli),
            us_residency_multiplier: price.us_residency_milli().map(dollars::show_milli),
            web_search: price.web_search().map(|each| dollars::show(Some(each))),
            max_input_tokens: price.max_input_tokens().map(TokenCount::get),
            max_output_tokens: price.max_output_tokens().map(TokenCount::get),
            set_at: stored.as_ref().map(|stored| stored.set_at.to_string()),
            set_by: stored.map(|stored| stored.set_by),
        }
    }
}

/// How the price book is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PriceStatusView {
    /// `builtin`, the path of a file, or a URL without its query.
    source: String,
    /// How many models have a price.
    models: usize,
    /// How many of them an operator has overridden.
    overrides: usize,
    /// The tables that the book is made of, a later one above an earlier.
    layers: Vec<PriceLayerView>,
    /// When the present table of the source was first read.
    #[schema(format = DateTime)]
    loaded_at: String,
    /// When the source was last found to be as it is.
    #[schema(format = DateTime)]
    checked_at: Option<String>,
    /// Why the source is not taken at present; the prices in force are older then.
    error: Option<String>,
    /// Since when.
    #[schema(format = DateTime)]
    error_since: Option<String>,
}

/// A price table.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PriceLayerView {
    origin: PriceOrigin,
    /// The day that its figures are of, if it says so.
    as_of: Option<String>,
    /// The SHA-256 of what was read.
    sha256: String,
    /// How many models it has a price for.
    models: usize,
    /// Entries for something else than text.
    other_modes: usize,
    /// Entries without a price of tokens.
    without_price: usize,
    /// Entries with a price beyond belief, which is not used.
    beyond_belief: usize,
}

impl From<&BookLayer> for PriceLayerView {
    fn from(layer: &BookLayer) -> Self {
        Self {
            origin: layer.origin.into(),
            as_of: layer.as_of.clone(),
            sha256: layer.sha256.clone(),
            models: layer.models,
            other_modes: layer.passed_over.other_modes,
            without_price: layer.passed_over.without_price,
            beyond_belief: layer.passed_over.beyond_belief,
        }
    }
}

impl From<PriceStatus> for PriceStatusView {
    fn from(status: PriceStatus) -> Self {
        let failure = status.failure.as_ref();
        Self {
            models: status.models,
            overrides: status.overrides,
            layers: status.layers.iter().map(PriceLayerView::from).collect(),
            loaded_at: status.loaded_at.to_string(),
            checked_at: status.checked_at.map(|at| at.to_string()),
            error: failure.map(|failure| failure.why.clone()),
            error_since: failure.map(|failure| failure.at.to_string()),
            source: status.source,
        }
    }
}
