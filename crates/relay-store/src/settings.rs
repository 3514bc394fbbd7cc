//! Where documents are kept that an operator changes while Relay runs, on whatever instance.
//!
//! A document is a text, usually JSON, whose form belongs to whoever writes it. It is replaced as a whole
//! and only by one who knows what it was; instances notice a change by reading it again, so that no message
//! can get lost.

use async_trait::async_trait;

use crate::StoreError;

/// Which document.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SettingsName {
    /// What models cost in place of what the price source says.
    PriceOverrides,
    /// By how much services' costs are multiplied. In v1's form, in every store: v1 reads and writes it, too.
    ServiceRates,
}

impl SettingsName {
    /// Every document.
    pub const ALL: [Self; 2] = [Self::PriceOverrides, Self::ServiceRates];

    /// Its name in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PriceOverrides => "price_overrides",
            Self::ServiceRates => "service_rates",
        }
    }
}

/// A document in place of what was there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingsChange {
    /// Which.
    pub name: SettingsName,
    /// What was there when the change was decided; `None`: nothing.
    pub expected: Option<String>,
    /// What is to be there.
    pub next: String,
}

/// Documents of settings.
///
/// # Errors
///
/// All methods fail with [`StoreError`] when the store does.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsRepository: Send + Sync {
    /// The document, if there is one.
    async fn read(&self, name: SettingsName) -> Result<Option<String>, StoreError>;

    /// Makes a change if the document still is what was expected, byte for byte. `false`: it is not, and
    /// nothing happened. Of several changes at once, one is made.
    async fn replace(&self, change: &SettingsChange) -> Result<bool, StoreError>;
}
