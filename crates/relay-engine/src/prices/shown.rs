//! What the trail of changes shows of prices: the admin REST's names and units.

use relay_domain::{NanoUsd, PicoUsdPerToken};
use relay_pricing::{LongContext, Rates};
use serde_json::{Map, Number, Value, json};

use super::{ServiceRatesDocument, StoredOverride};

/// Service rates.
pub(super) fn service_rates(document: &ServiceRatesDocument) -> Value {
    let rates =
        document.rates.pairs().map(|(service, rate)| (service.name().to_owned(), json!(rate)));
    json!({"baseService": document.base_service, "rates": rates.collect::<Map<_, _>>()})
}

/// A price that an operator has set, in dollars per million tokens.
pub(super) fn price(stored: &StoredOverride) -> Value {
    let price = &stored.price;
    let milli = |milli: Option<u32>| {
        milli.map(|milli| decimal(NanoUsd::from_nanos(i64::from(milli) * 1_000_000)))
    };
    let long: Vec<Value> = price.long.iter().map(long).collect();
    given([
        ("provider", price.provider.as_ref().map(|provider| json!(provider))),
        ("standard", tier(&price.standard)),
        ("long", (!long.is_empty()).then_some(Value::Array(long))),
        ("priority", tier(&price.priority)),
        ("flex", tier(&price.flex)),
        ("batch", tier(&price.batch)),
        ("fastMultiplier", milli(price.fast_milli)),
        ("usResidencyMultiplier", milli(price.us_residency_milli)),
        ("webSearch", price.web_search_nanos.map(decimal)),
        ("setAt", Some(json!(stored.set_at.to_string()))),
        ("setBy", Some(json!(stored.set_by))),
    ])
}

fn long(long: &LongContext) -> Value {
    given([
        ("above", Some(json!(long.above.get()))),
        ("standard", tier(&long.rates)),
        ("priority", tier(&long.priority)),
        ("flex", tier(&long.flex)),
        ("batch", tier(&long.batch)),
    ])
}

fn tier(rates: &Rates) -> Option<Value> {
    let known = *rates != Rates::default();
    known.then(|| {
        given([
            ("input", rates.input.map(per_million)),
            ("output", rates.output.map(per_million)),
            ("cacheRead", rates.cache_read.map(per_million)),
            ("cacheWrite5m", rates.cache_write_5m.map(per_million)),
            ("cacheWrite1h", rates.cache_write_1h.map(per_million)),
        ])
    })
}

fn given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(fields.collect())
}

/// Dollars per million tokens: so many millionths of a dollar as the price has pico-dollars.
fn per_million(rate: PicoUsdPerToken) -> Value {
    decimal(NanoUsd::from_nanos(rate.as_picos().saturating_mul(1_000)))
}

fn decimal(amount: NanoUsd) -> Value {
    let text = amount.to_string();
    let number = text.strip_suffix(".00").unwrap_or(&text).parse::<Number>();
    number.map_or(Value::String(text), Value::Number)
}
