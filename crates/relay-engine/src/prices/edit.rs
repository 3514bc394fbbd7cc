//! What an operator changes: overrides and service rates. The store decides between those who change at
//! once; this instance knows at once, the others with their next look.

use std::collections::BTreeMap;

use relay_domain::{ModelName, ServiceRates};
use relay_pricing::{PriceOverride, PricingError};
use relay_store::{SettingsChange, SettingsName, StoreError};

use super::{PriceKeeper, ServiceRatesDocument, StoredOverride, overrides, service_rates};
use crate::operator::OperatorError;

/// Overrides at most. An operator who needs more has a price file.
const MAX_OVERRIDES: usize = 1_000;
/// How often a change is decided anew because another one came first.
const ATTEMPTS: usize = 16;

impl PriceKeeper {
    /// Sets what `model` costs, in place of what the source says, on behalf of `by`.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if it cannot be a price or there are too many overrides,
    /// [`OperatorError::Store`] if the store fails.
    pub async fn set_override(
        &self,
        model: &ModelName,
        price: PriceOverride,
        by: &str,
    ) -> Result<StoredOverride, OperatorError> {
        price.validate().map_err(|error| refused(&error))?;
        let stored = StoredOverride { price, set_at: self.clock.now(), set_by: by.to_owned() };
        self.change(SettingsName::PriceOverrides, |document| {
            let mut all = overrides::parse(document)?;
            all.insert(model.as_str().to_owned(), stored.clone());
            if all.len() > MAX_OVERRIDES {
                let why = "cannot be overridden: there are 1,000 overrides";
                return Err(OperatorError::Invalid { field: "model", why });
            }
            Ok(Some(overrides::print(all)?))
        })
        .await?;
        Ok(stored)
    }

    /// Takes an override away. `false`: there is none of exactly this name.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn remove_override(&self, model: &ModelName) -> Result<bool, OperatorError> {
        self.change(SettingsName::PriceOverrides, |document| {
            let mut all = overrides::parse(document)?;
            let removed = all.remove(model.as_str()).is_some();
            Ok(if removed { Some(overrides::print(all)?) } else { None })
        })
        .await
    }

    /// Every override, by model, as the store has them.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn overrides(&self) -> Result<BTreeMap<String, StoredOverride>, OperatorError> {
        let document = self.settings.read(SettingsName::PriceOverrides).await?;
        Ok(overrides::parse(document.as_deref())?)
    }

    /// The service rates, as the store has them.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn stored_service_rates(&self) -> Result<ServiceRatesDocument, OperatorError> {
        let document = self.settings.read(SettingsName::ServiceRates).await?;
        Ok(service_rates::parse(document.as_deref())?)
    }

    /// Sets every service rate on behalf of `by`, and the base service if there is one.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn set_service_rates(
        &self,
        base_service: Option<relay_domain::Service>,
        rates: &ServiceRates,
        by: &str,
    ) -> Result<ServiceRatesDocument, OperatorError> {
        let mut written = ServiceRatesDocument::default();
        self.change(SettingsName::ServiceRates, |document| {
            let old = service_rates::parse(document)?;
            written = ServiceRatesDocument {
                base_service: base_service.map_or(old.base_service, |base| base.name().to_owned()),
                rates: rates.clone(),
                updated_at: Some(self.clock.now().to_string()),
                updated_by: Some(by.to_owned()),
            };
            Ok(Some(service_rates::print(document, &written)?))
        })
        .await?;
        Ok(written)
    }

    /// Replaces a document by what `decide` makes of it, on the newest there is. `false`: it decided that
    /// there is nothing to change.
    async fn change(
        &self,
        name: SettingsName,
        mut decide: impl FnMut(Option<&str>) -> Result<Option<String>, OperatorError>,
    ) -> Result<bool, OperatorError> {
        for _ in 0..ATTEMPTS {
            let expected = self.settings.read(name).await?;
            let Some(next) = decide(expected.as_deref())? else { return Ok(false) };
            if self.settings.replace(&SettingsChange { name, expected, next }).await? {
                // It is written; what cannot be heard now is heard with the next look.
                self.hear_or_say().await;
                return Ok(true);
            }
        }
        let why = format!("{} was changed by others at every attempt", name.as_str());
        Err(StoreError::Unavailable(why.into()).into())
    }
}

fn refused(error: &PricingError) -> OperatorError {
    match error {
        PricingError::Refused { what, why } => OperatorError::Invalid { field: what, why },
        PricingError::NoTable { .. }
        | PricingError::Malformed(_)
        | PricingError::WrongEntries { .. }
        | PricingError::Unpriced { .. }
        | PricingError::Overflow(_) => {
            OperatorError::Invalid { field: "price", why: "cannot be a price" }
        }
    }
}
