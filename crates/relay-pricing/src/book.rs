//! The price book: from a model's name to its price.

use std::collections::HashMap;

use relay_domain::NanoUsd;

use crate::file::{PriceFile, PublishedPrice};
use crate::{Charge, ModelPrice, PricingError, Rates, cost, name};

/// Prices by model.
#[derive(Clone, Debug)]
pub struct PriceBook {
    as_of: String,
    models: HashMap<String, ModelPrice>,
    /// From a name without a date to the newest dated model of that name.
    newest: HashMap<String, String>,
}

/// What a request costs, and by which price.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quote<'a> {
    /// The name in the book that the model was found under.
    pub matched: &'a str,
    /// The cost.
    pub cost: NanoUsd,
}

impl PriceBook {
    /// The book that is part of this program.
    ///
    /// # Errors
    ///
    /// As [`PriceBook::parse`]; a test sees to it that there is none.
    pub fn builtin() -> Result<Self, PricingError> {
        Self::parse(include_str!("../prices.json"))
    }

    /// Reads a book in the form of `prices.json`: pico-dollars for each token, nano-dollars for
    /// each web search, multipliers in thousandths. What is absent is not published.
    ///
    /// # Errors
    ///
    /// [`PricingError::Malformed`] for any other form and for names that the form does not have,
    /// [`PricingError::Negative`] for a price below zero.
    pub fn parse(json: &str) -> Result<Self, PricingError> {
        let file: PriceFile = serde_json::from_str(json).map_err(PricingError::Malformed)?;
        let mut newest: HashMap<String, (u32, String)> = HashMap::new();
        for model in file.models.keys() {
            let Some((base, date)) = name::dated(model) else { continue };
            if newest.get(base).is_none_or(|(known, _)| *known < date) {
                newest.insert(base.to_owned(), (date, model.clone()));
            }
        }
        let mut models = HashMap::with_capacity(file.models.len());
        for (model, published) in file.models {
            if has_negative(&published) {
                return Err(PricingError::Negative { model });
            }
            models.insert(model, ModelPrice::complete(published));
        }
        let newest = newest.into_iter().map(|(base, (_, model))| (base, model)).collect();
        Ok(Self { as_of: file.as_of, models, newest })
    }

    /// The day of the price tables that the figures were taken from, as `2026-07-24`.
    pub fn as_of(&self) -> &str {
        &self.as_of
    }

    /// Every model with its price, in no order.
    pub fn models(&self) -> impl Iterator<Item = (&str, &ModelPrice)> {
        self.models.iter().map(|(model, price)| (model.as_str(), price))
    }

    /// The price of `model`, and the name in the book that it was found under.
    ///
    /// The name as it stands comes first, then without `[1m]` and Bedrock's region, vendor and
    /// version, then without the snapshot that it ends in (a date or `-latest`). A name without a
    /// date means the newest dated model of exactly that name. Nothing else matches: `None` is
    /// unknown, and unknown is not free of charge.
    pub fn lookup(&self, model: &str) -> Option<(&str, &ModelPrice)> {
        self.exact(model).or_else(|| {
            let plain = name::plain(model);
            self.exact(plain).or_else(|| self.by_snapshot(plain))
        })
    }

    /// What `charge` costs on `model`. `None`: unknown, which is not the same as free.
    ///
    /// [`PriceBook::lookup`] and [`cost()`] tell why a cost is unknown.
    pub fn quote(&self, model: &str, charge: &Charge) -> Option<Quote<'_>> {
        let (matched, price) = self.lookup(model)?;
        let cost = cost(price, charge).ok()?;
        Some(Quote { matched, cost })
    }

    fn exact(&self, name: &str) -> Option<(&str, &ModelPrice)> {
        self.models.get_key_value(name).map(|(name, price)| (name.as_str(), price))
    }

    fn by_snapshot(&self, name: &str) -> Option<(&str, &ModelPrice)> {
        // Vertex writes the same snapshot with another separator.
        let same_snapshot =
            name.contains('@').then(|| self.exact(&name.replacen('@', "-", 1))).flatten();
        same_snapshot.or_else(|| {
            let base = name::base(name).unwrap_or(name);
            self.exact(base).or_else(|| self.exact(self.newest.get(base)?))
        })
    }
}

fn has_negative(published: &PublishedPrice) -> bool {
    let long = published.long.as_ref().map(|long| long.rates).unwrap_or_default();
    let tiers = [published.standard, long, published.priority, published.flex, published.batch];
    let mut of_tokens = tiers.iter().flat_map(Rates::all).flatten();
    of_tokens.any(|rate| rate.as_picos() < 0)
        || published.web_search_nanos.is_some_and(|price| price < NanoUsd::ZERO)
}

#[cfg(test)]
mod tests;
