//! The operator's overrides as they are stored: one document for all.

use std::collections::BTreeMap;

use relay_crypto::SetDigest;
use relay_domain::Timestamp;
use relay_pricing::PriceOverride;
use relay_store::{SettingsName, StoreError};
use serde::{Deserialize, Serialize};

/// An override, and whose it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoredOverride {
    /// What the model costs.
    pub price: PriceOverride,
    /// When it was set.
    pub set_at: Timestamp,
    /// Who set it.
    pub set_by: String,
}

impl StoredOverride {
    /// Its revision: another one if anything of it is another.
    #[must_use]
    pub fn revision(&self) -> u64 {
        serde_json::to_string(self).map_or(0, |json| revision_of(Some(&json)))
    }
}

/// The revision of a document: a digest of it, and 0 of what nobody has written yet.
pub(super) fn revision_of(document: Option<&str>) -> u64 {
    let Some(document) = document else { return 0 };
    let digest = SetDigest::default().add(document.as_bytes());
    u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
}

/// All overrides, by model.
pub(super) type Overrides = BTreeMap<String, StoredOverride>;

#[derive(Deserialize, Serialize)]
struct Document {
    overrides: Overrides,
}

/// Reads the document. None yet is none at all.
pub(super) fn parse(document: Option<&str>) -> Result<Overrides, StoreError> {
    let Some(json) = document else { return Ok(Overrides::new()) };
    let document: Document = serde_json::from_str(json)
        .map_err(|error| corrupt(SettingsName::PriceOverrides, &error))?;
    Ok(document.overrides)
}

/// Writes the document.
pub(super) fn print(overrides: Overrides) -> Result<String, StoreError> {
    serde_json::to_string(&Document { overrides })
        .map_err(|error| StoreError::Refused(Box::new(error)))
}

/// A document that is not what it should be. The position is told, never the content.
pub(super) fn corrupt(name: SettingsName, error: &serde_json::Error) -> StoreError {
    let why = format!("line {}, column {}", error.line(), error.column());
    StoreError::Corrupt { what: name.as_str().to_owned(), why }
}
