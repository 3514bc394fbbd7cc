//! What an operator changes: overrides and service rates. The store decides between those who change at
//! once; this instance knows at once, the others with their next look.

use std::collections::BTreeMap;

use relay_domain::{Actor, ModelName, ServiceRates};
use relay_pricing::{PriceOverride, PricingError};
use relay_store::{SettingsChange, SettingsName, StoreError};
use serde_json::{Value, json};

use super::overrides::revision_of;
use super::{
    PriceKeeper, ServiceRatesDocument, SourceError, StoredOverride, overrides, service_rates, shown,
};
use crate::operator::OperatorError;
use crate::operator::audit::{Change, note};
use crate::operator::error::check_revision;

/// Overrides at most. An operator who needs more has a price file.
const MAX_OVERRIDES: usize = 1_000;
/// How often a change is decided anew because another one came first.
const ATTEMPTS: usize = 16;

impl PriceKeeper {
    /// Sets what `model` costs, in place of what the source says, on behalf of `actor`. `expected`: only if
    /// its override still has that revision, 0 for none.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Stale`] if it has another one,
    /// [`OperatorError::Invalid`] if it cannot be a price or there are too many overrides,
    /// [`OperatorError::Store`] if the store fails.
    pub async fn set_override(
        &self,
        model: &ModelName,
        price: PriceOverride,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<StoredOverride, OperatorError> {
        price.validate().map_err(|error| refused(&error))?;
        let stored = StoredOverride { price, set_at: self.clock.now(), set_by: actor.name.clone() };
        let mut before = None;
        self.change(SettingsName::PriceOverrides, |document| {
            let mut all = overrides::parse(document)?;
            check_override(expected, all.get(model.as_str()))?;
            before = all.insert(model.as_str().to_owned(), stored.clone());
            if all.len() > MAX_OVERRIDES {
                let why = "cannot be overridden: there are 1,000 overrides";
                return Err(OperatorError::Invalid { field: "model", why });
            }
            Ok(Some(overrides::print(all)?))
        })
        .await?;
        let (before, after) = (before.as_ref().map(shown::price), Some(shown::price(&stored)));
        self.note(actor, "price.override", model.as_str(), before, after).await;
        Ok(stored)
    }

    /// Takes an override away, on behalf of `actor`. `false`: there is none of exactly this name.
    /// `expected`: only if it still has that revision.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Stale`] if it has another one,
    /// [`OperatorError::Store`] if the store fails.
    pub async fn remove_override(
        &self,
        model: &ModelName,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<bool, OperatorError> {
        let mut before = None;
        let removed = self
            .change(SettingsName::PriceOverrides, |document| {
                let mut all = overrides::parse(document)?;
                check_override(expected, all.get(model.as_str()))?;
                before = all.remove(model.as_str());
                Ok(if before.is_some() { Some(overrides::print(all)?) } else { None })
            })
            .await?;
        if removed {
            let before = before.as_ref().map(shown::price);
            self.note(actor, "price.restore", model.as_str(), before, None).await;
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

    /// The service rates, as the store has them, and their revision.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Store`] if the store fails.
    pub async fn stored_service_rates(&self) -> Result<(ServiceRatesDocument, u64), OperatorError> {
        let document = self.settings.read(SettingsName::ServiceRates).await?;
        let revision = revision_of(document.as_deref());
        Ok((service_rates::parse(document.as_deref())?, revision))
    }

    /// Sets every service rate on behalf of `actor`, and the base service if there is one; what is written
    /// is returned with its revision. `expected`: only if they still have that revision.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Stale`] if they have another one,
    /// [`OperatorError::Store`] if the store fails.
    pub async fn set_service_rates(
        &self,
        base_service: Option<relay_domain::Service>,
        rates: &ServiceRates,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<(ServiceRatesDocument, u64), OperatorError> {
        let mut written = ServiceRatesDocument::default();
        let mut revision = 0;
        let mut before = None;
        self.change(SettingsName::ServiceRates, |document| {
            check_revision(expected, revision_of(document))?;
            let old = service_rates::parse(document)?;
            before = Some(shown::service_rates(&old));
            written = ServiceRatesDocument {
                base_service: base_service.map_or(old.base_service, |base| base.name().to_owned()),
                rates: rates.clone(),
                updated_at: Some(self.clock.now().to_string()),
                updated_by: Some(actor.name.clone()),
            };
            let next = service_rates::print(document, &written)?;
            revision = revision_of(Some(&next));
            Ok(Some(next))
        })
        .await?;
        let after = Some(shown::service_rates(&written));
        self.note(actor, "service-rates.update", "service-rates", before, after).await;
        Ok((written, revision))
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

/// Whether an override still has the revision that the operator has seen, if one is named.
fn check_override(
    expected: Option<u64>,
    stored: Option<&StoredOverride>,
) -> Result<(), OperatorError> {
    check_revision(expected, stored.map_or(0, StoredOverride::revision))
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
