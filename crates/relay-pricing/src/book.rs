//! The price book: from a model's name to its price, and to where that price came from.

use std::collections::{BTreeMap, HashMap};

use relay_domain::{CostBreakdown, NanoUsd};

use crate::fallback::fallback;
use crate::price::Surcharges;
use crate::reckoning::Reckoning;
use crate::{
    Charge, ModelPrice, PassedOver, PriceOverride, PriceTable, PricingError, breakdown, name,
};

/// The name under which an operator may override the [fallback](PriceBook::fallback).
pub const FALLBACK: &str = "fallback";

/// Prices by model.
#[derive(Clone, Debug)]
pub struct PriceBook {
    layers: Vec<BookLayer>,
    models: HashMap<String, Listed>,
    /// From a name without a date to the newest dated model of that name.
    newest: HashMap<String, String>,
    fallback: Listed,
    /// What every kind of charge has a price in.
    complete: ModelPrice,
    /// The dearest surcharges of each provider.
    dearest: HashMap<String, Surcharges>,
}

/// Where a price came from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Origin {
    /// The table that is part of the program.
    Builtin,
    /// The operator's file.
    File,
    /// The operator's URL.
    Url,
    /// An operator's override.
    Override,
}

/// A table that a book was made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BookLayer {
    /// Where it came from.
    pub origin: Origin,
    /// The day that its figures are of, if it says so.
    pub as_of: Option<String>,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
    /// How many models it has a price for.
    pub models: usize,
    /// What of it was passed over.
    pub passed_over: PassedOver,
}

/// A price, and where it came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listed {
    /// The price.
    pub price: ModelPrice,
    /// Where it came from.
    pub origin: Origin,
}

/// What a request costs, and by which price.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quote<'a> {
    /// The name in the book that the model was found under.
    pub matched: &'a str,
    /// Where that price came from.
    pub origin: Origin,
    /// The cost.
    pub cost: NanoUsd,
    /// The cost by kind, which adds up to it.
    pub by_kind: CostBreakdown,
}

impl PriceBook {
    /// The book of the table that is part of this program, and nothing else.
    ///
    /// # Errors
    ///
    /// As [`PriceTable::builtin`]; a test sees to it that there is none.
    pub fn builtin() -> Result<Self, PricingError> {
        Ok(Self::compose(&[(Origin::Builtin, &PriceTable::builtin()?)], &BTreeMap::new()))
    }

    /// The book of one table, in one of the forms that [`PriceTable::parse`] reads.
    ///
    /// # Errors
    ///
    /// As [`PriceTable::parse`].
    pub fn parse(json: &str) -> Result<Self, PricingError> {
        let table = PriceTable::parse(json.as_bytes())?;
        Ok(Self::compose(&[(Origin::File, &table)], &BTreeMap::new()))
    }

    /// A book of several tables and an operator's overrides. A price of a later table takes the place of
    /// an earlier one's as a whole, and an override that of any; nothing is mixed. An override under
    /// [`FALLBACK`] is the fallback.
    #[must_use]
    pub fn compose(
        tables: &[(Origin, &PriceTable)],
        overrides: &BTreeMap<String, PriceOverride>,
    ) -> Self {
        let mut book = Self {
            layers: Vec::with_capacity(tables.len()),
            models: HashMap::new(),
            newest: HashMap::new(),
            fallback: Listed { price: fallback(), origin: Origin::Builtin },
            complete: fallback(),
            dearest: HashMap::new(),
        };
        for (origin, table) in tables {
            book.layers.push(BookLayer {
                origin: *origin,
                as_of: table.as_of().map(str::to_owned),
                sha256: table.sha256().to_owned(),
                models: table.len(),
                passed_over: table.passed_over(),
            });
            for (model, price) in table.models() {
                let listed = Listed { price: price.clone(), origin: *origin };
                book.models.insert(model.to_owned(), listed);
            }
        }
        book.find_newest();
        // Who sells what is overridden is asked before any override counts.
        let overriding: Vec<(&String, Listed)> =
            overrides.iter().map(|(model, price)| (model, book.overriding(model, price))).collect();
        for (model, listed) in overriding {
            if model == FALLBACK {
                book.fallback = listed;
            } else {
                book.models.insert(model.clone(), listed);
            }
        }
        book.find_newest();
        for Listed { price, .. } in book.models.values() {
            let dearest = book.dearest.entry(price.provider().to_owned()).or_default();
            *dearest = dearest.dearer(price.surcharges());
        }
        book
    }

    /// The tables that it was made of, a later one above an earlier.
    pub fn layers(&self) -> &[BookLayer] {
        &self.layers
    }

    /// How many models have a price.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// Every model with its price, in no order.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Listed)> {
        self.models.iter().map(|(model, listed)| (model.as_str(), listed))
    }

    /// The price of `model`, and the name in the book that it was found under.
    ///
    /// The name as it stands comes first, then without `[1m]` and Bedrock's region, vendor and
    /// version, then without the snapshot that it ends in (a date or `-latest`). A name without a
    /// date means the newest dated model of exactly that name. Nothing else matches: `None` is
    /// unknown, and unknown is not free of charge.
    pub fn lookup(&self, model: &str) -> Option<(&str, &ModelPrice)> {
        self.listed(model).map(|(matched, listed)| (matched, &listed.price))
    }

    /// As [`PriceBook::lookup`], with where the price came from.
    pub fn listed(&self, model: &str) -> Option<(&str, &Listed)> {
        self.exact(model).or_else(|| {
            let plain = name::plain(model);
            self.exact(plain).or_else(|| self.by_snapshot(plain))
        })
    }

    /// What `charge` costs on `model`. `None`: unknown, which is not the same as free.
    ///
    /// [`PriceBook::lookup`] and [`breakdown()`] tell why a cost is unknown.
    pub fn quote(&self, model: &str, charge: &Charge) -> Option<Quote<'_>> {
        let (matched, listed) = self.listed(model)?;
        listed.quote(matched, charge)
    }

    /// By which price a charge is reckoned where it counts although its cost may be unknown: that of the first
    /// of `models` that has one, and where none has the [fallback](Self::fallback).
    pub fn reckoning<'a>(&self, models: impl IntoIterator<Item = &'a str>) -> Reckoning<'_> {
        let found = models.into_iter().find_map(|model| self.lookup(model));
        let price = found.map_or(&self.fallback.price, |(_, price)| price);
        let dearest = self.dearest.get(price.provider()).copied().unwrap_or_default();
        Reckoning::new(price, dearest, &self.complete)
    }

    /// What is charged for what has no price, where it is charged nevertheless: v1's price for unknown models,
    /// unless an operator overrides it.
    pub fn fallback(&self) -> &Listed {
        &self.fallback
    }

    fn overriding(&self, model: &str, price: &PriceOverride) -> Listed {
        let overridden = if model == FALLBACK {
            Some(&self.fallback.price)
        } else {
            self.lookup(model).map(|found| found.1)
        };
        let seller = overridden.map(ModelPrice::provider).unwrap_or_default();
        let price = ModelPrice::complete(price.published(seller.to_owned()));
        Listed { price, origin: Origin::Override }
    }

    fn find_newest(&mut self) {
        let mut newest: HashMap<&str, (u32, &String)> = HashMap::new();
        for model in self.models.keys() {
            let Some((base, date)) = name::dated(model) else { continue };
            if newest.get(base).is_none_or(|(known, _)| *known < date) {
                newest.insert(base, (date, model));
            }
        }
        let owned = |(base, (_, model)): (&str, (u32, &String))| (base.to_owned(), model.clone());
        self.newest = newest.into_iter().map(owned).collect();
    }

    fn exact(&self, name: &str) -> Option<(&str, &Listed)> {
        self.models.get_key_value(name).map(|(name, listed)| (name.as_str(), listed))
    }

    fn by_snapshot(&self, name: &str) -> Option<(&str, &Listed)> {
        // Vertex writes the same snapshot with another separator.
        let same_snapshot =
            name.contains('@').then(|| self.exact(&name.replacen('@', "-", 1))).flatten();
        same_snapshot.or_else(|| {
            let base = name::base(name).unwrap_or(name);
            self.exact(base).or_else(|| self.exact(self.newest.get(base)?))
        })
    }
}

impl Listed {
    fn quote<'a>(&self, matched: &'a str, charge: &Charge) -> Option<Quote<'a>> {
        let by_kind = breakdown(&self.price, charge).ok()?;
        Some(Quote { matched, origin: self.origin, cost: by_kind.total(), by_kind })
    }
}

#[cfg(test)]
mod tests;
