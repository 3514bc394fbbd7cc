//! What an operator changes: overrides and service rates. The store decides between those who change at
//! once; this instance knows at once, the others with their next look.

use std::collections::BTreeMap;

use relay_domain::{Actor, ModelName, ServiceRates};
use relay_pricing::{PriceOverride, PricingError};
use relay_store::{SettingsChange, SettingsName, StoreError};
use serde_json::{Map, Value, json};

use super::{
    PriceKeeper, ServiceRatesDocument, SourceError, StoredOverride, overrides, service_rates,
};
use crate::operator::OperatorError;
use crate::operator::audit::{Change, note};

/// Overrides at most. An operator who needs more has a price file.
const MAX_OVERRIDES: usize = 1_000;
/// How often a change is decided anew because another one came first.
const ATTEMPTS: usize = 16;

impl PriceKeeper {
    /// Sets what `model` costs, in place of what the source says, on behalf of `actor`.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if it cannot be a price or there are too many overrides,
    /// [`OperatorError::Store`] if the store fails.
    pub async fn set_override(
        &self,
        model: &ModelName,
        price: PriceOverride,
        actor: &Actor,
    ) -> Result<StoredOverride, OperatorError> {
        price.validate().map_err(|error| refused(&error))?;
        let stored = StoredOverride { price, set_at: self.clock.now(), set_by: actor.name.clone() };
        let mut before = None;
        self.change(SettingsName::PriceOverrides, |document| {
            let mut all = overrides::parse(document)?;
            before = all.insert(model.as_str().to_owned(), stored.clone());
            if all.len() > MAX_OVERRIDES {
                let why = "cannot be overridden: there are 1,000 overrides";
                return Err(OperatorError::Invalid { field: "model", why });
            }
            Ok(Some(overrides::print(all)?))
        })
        .await?;
        let after = Some(json!(stored));
        self.note(actor, "price.override", model.as_str(), before.map(|old| json!(old)), after)
            .await;
        Ok(stored)
    }

    /// Takes an override away, on behalf of `actor`. `false`: there is none of exactly this name.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn remove_override(
        &self,
        model: &ModelName,
        actor: &Actor,
    ) -> Result<bool, OperatorError> {
        let mut before = None;
        let removed = self
            .change(SettingsName::PriceOverrides, |document| {
                let mut all = overrides::parse(document)?;
                before = all.remove(model.as_str());
                Ok(if before.is_some() { Some(overrides::print(all)?) } else { None })
            })
            .await?;
        if removed {
            self.note(actor, "price.restore", model.as_str(), before.map(|old| json!(old)), None)
                .await;
        }
        Ok(removed)
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

    /// Sets every service rate on behalf of `actor`, and the base service if there is one.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn set_service_rates(
        &self,
        base_service: Option<relay_domain::Service>,
        rates: &ServiceRates,
        actor: &Actor,
    ) -> Result<ServiceRatesDocument, OperatorError> {
        let mut written = ServiceRatesDocument::default();
        let mut before = None;
        self.change(SettingsName::ServiceRates, |document| {
            let old = service_rates::parse(document)?;
            before = Some(shown(&old));
            written = ServiceRatesDocument {
                base_service: base_service.map_or(old.base_service, |base| base.name().to_owned()),
                rates: rates.clone(),
                updated_at: Some(self.clock.now().to_string()),
                updated_by: Some(actor.name.clone()),
            };
            Ok(Some(service_rates::print(document, &written)?))
        })
        .await?;
        let after = Some(shown(&written));
        self.note(actor, "service-rates.update", "service-rates", before, after).await;
        Ok(written)
    }

    /// Reads the source anew on behalf of `actor`.
    ///
    /// # Errors
    ///
    /// As [`reload`](Self::reload).
    pub async fn reload_for(&self, actor: &Actor) -> Result<(), SourceError> {
        self.reload().await?;
        let after = json!({"models": self.status().models});
        self.note(actor, "price.reload", "source", None, Some(after)).await;
        Ok(())
    }

    async fn note(
        &self,
        actor: &Actor,
        action: &'static str,
        of: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let change = Change { action, kind: "price", id: of.to_owned(), before, after };
        note(&*self.audit, self.clock.now(), actor, change).await;
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

/// What the trail of changes shows of service rates.
fn shown(document: &ServiceRatesDocument) -> Value {
    let rates =
        document.rates.pairs().map(|(service, rate)| (service.name().to_owned(), json!(rate)));
    json!({"baseService": document.base_service, "rates": rates.collect::<Map<_, _>>()})
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
