//! `LiteLLM`'s price table: dollars for each token, as decimal text that is never a floating number here.
//!
//! The table is kept by hand and holds much that is none of our business. An entry for something else than
//! text, or without prices, is passed over. A price that is no number or below zero makes the whole table
//! unfit, because what else is wrong in it is then anybody's guess. A price that is beyond belief is a
//! known slip of the unit: its model is left out, and many of them make the table unfit, too.

mod field;

use std::collections::BTreeMap;

use relay_domain::{NanoUsd, PicoUsdPerToken, TokenCount};
use serde_json::value::RawValue;

use self::field::RateField;
use crate::decimal::{DecimalError, Scaled, scaled};
use crate::file::PublishedPrice;
use crate::price_override::{Implausible, implausible};
use crate::table::PassedOver;
use crate::{PricingError, Rates};

/// The entry that explains the others.
const EXPLANATION: &str = "sample_spec";
/// What an entry may be for to have a price of tokens. An entry that does not say is for chat.
const MODES: [&str; 3] = ["chat", "completion", "responses"];
/// Of so many models one may have a price beyond belief.
const ONE_IN: usize = 20;
/// Entries at most; the real table has fewer than 3,000.
const MAX_ENTRIES: usize = 50_000;
const PICOS: u32 = 12;
const NANOS: u32 = 9;
const MILLI: u32 = 3;

type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// What the table says.
pub(crate) struct Listing {
    pub(crate) models: BTreeMap<String, PublishedPrice>,
    pub(crate) passed_over: PassedOver,
}

/// What became of one entry.
enum Entry {
    Priced(Box<PublishedPrice>),
    OtherMode,
    WithoutPrice,
    /// Why, as the end of a sentence.
    BeyondBelief(String),
}

/// Reads the table.
pub(crate) fn read(text: &str) -> Result<Listing, PricingError> {
    let mut entries: Fields<'_> = serde_json::from_str(text).map_err(PricingError::Malformed)?;
    entries.remove(EXPLANATION);
    if entries.len() > MAX_ENTRIES {
        return Err(PricingError::NoTable { why: "has more than 50,000 entries" });
    }
    let of = entries.len();
    let mut listing = Listing { models: BTreeMap::new(), passed_over: PassedOver::default() };
    let (mut wrong, mut unbelieved) = (Vec::new(), Vec::new());
    for (model, raw) in entries {
        match read_entry(raw) {
            Ok(Entry::Priced(price)) => {
                listing.models.insert(model, *price);
            }
            Ok(Entry::OtherMode) => listing.passed_over.other_modes += 1,
            Ok(Entry::WithoutPrice) => listing.passed_over.without_price += 1,
            Ok(Entry::BeyondBelief(why)) => unbelieved.push(format!("{model} {why}")),
            Err(why) => wrong.push(format!("{model} {why}")),
        }
    }
    listing.passed_over.beyond_belief = unbelieved.len();
    if listing.models.len() < ONE_IN.saturating_sub(1) * unbelieved.len() {
        wrong.append(&mut unbelieved);
    }
    let n_wrong = wrong.len();
    match wrong.into_iter().next() {
        None => Ok(listing),
        Some(first) => Err(PricingError::WrongEntries { wrong: n_wrong, of, first }),
    }
}

/// Reads one entry, or says what is wrong with it, as the end of a sentence.
fn read_entry(raw: &RawValue) -> Result<Entry, String> {
    let fields: Fields<'_> =
        serde_json::from_str(raw.get()).map_err(|_| "is not an object".to_owned())?;
    let mode = fields.get("mode").filter(|raw| !is_null(raw));
    if mode.is_some_and(|raw| text(raw).is_none_or(|mode| !MODES.contains(&mode.as_str()))) {
        return Ok(Entry::OtherMode);
    }
    let mut price = PublishedPrice {
        provider: fields.get("litellm_provider").and_then(|raw| text(raw)).unwrap_or_default(),
        max_input_tokens: tokens(&fields, "max_input_tokens"),
        max_output_tokens: tokens(&fields, "max_output_tokens"),
        ..PublishedPrice::default()
    };
    for (name, raw) in &fields {
        if let Some(field) = RateField::named(name)
            && let Some(picos) = number(name, raw, PICOS)?
        {
            *field.place_in(&mut price) = Some(PicoUsdPerToken::from_picos(picos));
        }
    }
    price.long.sort_by_key(|long| long.above);
    let extras = object(&fields, "provider_specific_entry");
    price.fast_milli = multiplier(&extras, "fast")?;
    price.us_residency_milli = match multiplier(&extras, "us")? {
        None => multiplier(&fields, "regional_processing_uplift_multiplier_us")?,
        us => us,
    };
    price.web_search_nanos = search(&object(&fields, "search_context_cost_per_query"))?;
    match implausible(&price) {
        Some(Implausible { why, is_slip: true }) => {
            return Ok(Entry::BeyondBelief(format!("has a price that {why}")));
        }
        Some(Implausible { why, is_slip: false }) => return Err(format!("has a price that {why}")),
        None => {}
    }
    let is_known = |rate: Option<PicoUsdPerToken>| rate.is_some_and(|rate| rate.as_picos() != 0);
    let Rates { input, output, .. } = price.standard;
    Ok(if is_known(input) || is_known(output) {
        Entry::Priced(Box::new(price))
    } else {
        Entry::WithoutPrice
    })
}

/// The price of a search in a context of the middle size, or of what other size there is one.
fn search(sizes: &Fields<'_>) -> Result<Option<NanoUsd>, String> {
    for size in ["medium", "high", "low"] {
        let name = format!("search_context_size_{size}");
        let Some(raw) = sizes.get(&name) else { continue };
        if let Some(nanos) = number(&name, raw, NANOS)?.filter(|nanos| *nanos != 0) {
            return Ok(Some(NanoUsd::from_nanos(nanos)));
        }
    }
    Ok(None)
}

fn multiplier(fields: &Fields<'_>, name: &str) -> Result<Option<u32>, String> {
    let Some(raw) = fields.get(name) else { return Ok(None) };
    let Some(milli) = number(name, raw, MILLI)? else { return Ok(None) };
    u32::try_from(milli).map(Some).map_err(|_| format!("gives {name} a multiplier that cannot be"))
}

/// A number times ten to the power of `scale`; nothing if it is null.
fn number(name: &str, raw: &RawValue, scale: u32) -> Result<Option<i64>, String> {
    if is_null(raw) {
        return Ok(None);
    }
    // Some hands write numbers as texts.
    let as_text = text(raw);
    match scaled(as_text.as_deref().map_or(raw.get(), str::trim), scale) {
        // Somebody pays for it, so that it is not free.
        Ok(Scaled { value: 0, is_exact: false }) => {
            Err(format!("gives {name} a number that is too small"))
        }
        Ok(number) => Ok(Some(number.value)),
        Err(DecimalError::NotDecimal) => {
            Err(format!("gives {name} something that is not a number"))
        }
        // So large that it is above every limit.
        Err(DecimalError::TooLarge) => Ok(Some(i64::MAX)),
    }
}

/// A number of tokens. It bears on no price, so that what cannot be read is not known.
fn tokens(fields: &Fields<'_>, name: &str) -> Option<TokenCount> {
    let count = scaled(fields.get(name)?.get(), 0).ok()?;
    u64::try_from(count.value).ok().map(TokenCount::new)
}

fn object<'a>(fields: &Fields<'a>, name: &str) -> Fields<'a> {
    let found = fields.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok());
    found.unwrap_or_default()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

#[cfg(test)]
mod tests;
