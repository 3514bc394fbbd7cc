//! One price table: what a source says, read and checked as a whole, or refused as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::file::PriceFile;
use crate::price_override::implausible;
use crate::{ModelPrice, PricingError, litellm};

/// What a price source says.
#[derive(Clone, Debug)]
pub struct PriceTable {
    as_of: Option<String>,
    sha256: String,
    models: BTreeMap<String, ModelPrice>,
    passed_over: PassedOver,
}

/// Entries of a table that have no price of tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PassedOver {
    /// Those for something else than text: images, speech, embeddings.
    pub other_modes: usize,
    /// Those that give no price of tokens, or zero for both input and output, which such tables write
    /// where they do not know.
    pub without_price: usize,
    /// Those with a price beyond belief, which is not used: above 10,000 dollars per million tokens.
    pub beyond_belief: usize,
}

impl PriceTable {
    /// The table that is part of this program.
    ///
    /// # Errors
    ///
    /// As [`PriceTable::parse`]; a test sees to it that there is none.
    pub fn builtin() -> Result<Self, PricingError> {
        Self::parse(include_bytes!("../prices.json"))
    }

    /// Reads a table: in `LiteLLM`'s form (`model_prices_and_context_window.json`, dollars for each token),
    /// or in Relay's own (`prices.json`, pico-dollars).
    ///
    /// # Errors
    ///
    /// [`PricingError`], saying what is wrong with it. Nothing of a table with a wrong entry is used.
    pub fn parse(bytes: &[u8]) -> Result<Self, PricingError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| PricingError::NoTable { why: "is not text" })?
            .trim_start_matches('\u{feff}');
        match text.trim_start().chars().next() {
            None => return Err(PricingError::NoTable { why: "is empty" }),
            Some('<') => return Err(PricingError::NoTable { why: "is a web page and no JSON" }),
            Some(_) => {}
        }
        let sha256 = hex(&Sha256::digest(bytes));
        if is_own_form(text) {
            return Self::own(text, sha256);
        }
        let listing = litellm::read(text)?;
        let models = listing.models.into_iter();
        let models = models.map(|(model, price)| (model, ModelPrice::complete(price))).collect();
        Self::checked(None, sha256, models, listing.passed_over)
    }

    /// The day that the figures are of, as `2026-07-24`, if the table says so.
    pub fn as_of(&self) -> Option<&str> {
        self.as_of.as_deref()
    }

    /// The SHA-256 of what was read, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How many models have a price.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether none has. There is no such table.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// What was passed over.
    pub fn passed_over(&self) -> PassedOver {
        self.passed_over
    }

    /// Every model with its price, by name.
    pub fn models(&self) -> impl Iterator<Item = (&str, &ModelPrice)> {
        self.models.iter().map(|(model, price)| (model.as_str(), price))
    }

    fn own(text: &str, sha256: String) -> Result<Self, PricingError> {
        let file: PriceFile = serde_json::from_str(text).map_err(PricingError::Malformed)?;
        let of = file.models.len();
        let mut wrong = file.models.iter().filter_map(|(model, published)| {
            let why = implausible(published)?.why;
            Some(format!("{model} has a price that {why}"))
        });
        if let Some(first) = wrong.next() {
            return Err(PricingError::WrongEntries { wrong: 1 + wrong.count(), of, first });
        }
        let models = file.models.into_iter();
        let models = models.map(|(model, price)| (model, ModelPrice::complete(price))).collect();
        Self::checked(Some(file.as_of), sha256, models, PassedOver::default())
    }

    fn checked(
        as_of: Option<String>,
        sha256: String,
        models: BTreeMap<String, ModelPrice>,
        passed_over: PassedOver,
    ) -> Result<Self, PricingError> {
        if models.is_empty() {
            return Err(PricingError::NoTable { why: "has no model with a price of tokens" });
        }
        Ok(Self { as_of, sha256, models, passed_over })
    }
}

/// Whether a table is in Relay's own form: that one has nothing but these two names at its top, and a
/// model of either name would be an object with a mode.
fn is_own_form(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Top<'a> {
        #[serde(borrow)]
        as_of: Option<&'a serde_json::value::RawValue>,
    }
    let top: Result<Top<'_>, _> = serde_json::from_str(text);
    top.is_ok_and(|top| top.as_of.is_some_and(|as_of| as_of.get().starts_with('"')))
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing into a text cannot fail.
        write!(text, "{byte:02x}").ok();
    }
    text
}

#[cfg(test)]
mod tests;
