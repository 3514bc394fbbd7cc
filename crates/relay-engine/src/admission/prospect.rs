//! What a request may come to, whichever of the accounts serves it that its key may use.

use relay_domain::{Multiplier, Platform, UnpricedTreatment};
use relay_store::Estimate;

use super::Applicant;
use crate::EngineError;
use crate::core::Core;
use crate::estimate::{Allowance, Prospect};
use crate::journey::Relay;
use crate::payer::Payer;
use crate::roster::Roster;

impl Applicant<'_> {
    fn allowance(&self) -> &Allowance {
        self.allowance.get_or_init(|| Allowance::of(self.scan, self.incoming.body))
    }
}

impl Relay {
    /// What a request may come to. A model without a price is refused if its payer's policy is that, and never by
    /// an old snapshot.
    pub(super) async fn estimate(
        &self,
        payer: &Payer,
        applicant: &Applicant<'_>,
    ) -> Result<Estimate, EngineError> {
        let core = &self.core;
        if let Some(estimate) = core.estimate(&core.directory.roster(), payer, applicant) {
            return Ok(estimate);
        }
        self.bring_up_to_date().await?;
        core.estimate(&core.directory.roster(), payer, applicant).ok_or_else(|| {
            let model = &applicant.scan.model;
            core.note_unpriced(model, payer.id(), None, UnpricedTreatment::Refused);
            EngineError::ModelUnpriced(model.clone())
        })
    }
}

impl Core {
    /// What a request may come to with the accounts of `roster`. `None`: it has no price, under no name, and its
    /// payer has it refused then.
    fn estimate(
        &self,
        roster: &Roster,
        payer: &Payer,
        applicant: &Applicant<'_>,
    ) -> Option<Estimate> {
        let Applicant { incoming, scan, affinity, .. } = applicant;
        let book = self.prices.book();
        let model = scan.model.as_str();
        let has_price = |model: &str| book.lookup(model).is_some();
        // The accounts may know it by a name that has one, or by a dearer one.
        let ways = || roster.ways(model, payer.key.binding(Platform::ClaudeConsole));
        let mut names = std::iter::once(model).chain(ways().map(|(name, _)| name));
        let priced_as = names.find(|name| has_price(name));
        if priced_as.is_none() && payer.unpriced() == UnpricedTreatment::Refused {
            return None;
        }
        let rates = [payer.rate(), self.service_rate(), Multiplier::ONE];
        if !payer.is_hard() {
            let by = book.reckoning(priced_as);
            let (key, body, affinity) = (payer.id(), incoming.body, affinity.as_ref());
            let prospect = Prospect { key, scan, body, affinity, by, rates };
            return Some(self.experience.guess(&prospect, payer.is_limited()));
        }
        // Whichever account it will be.
        let worst_as = |name, rate| {
            let [of_key, of_service, _] = rates;
            let by = book.reckoning([name, model]);
            applicant.allowance().worst_case(&by, &[of_key, of_service, rate])
        };
        let dearest_rate = ways().map(|(_, rate)| rate).fold(Multiplier::ONE, Multiplier::max);
        let is_sent = ways().next().is_none() || ways().any(|(name, _)| name == model);
        let mut worst = Estimate::default();
        if is_sent || has_price(model) {
            worst = worst_as(model, dearest_rate);
        }
        // Accounts mostly say the same.
        let mut seen = Vec::new();
        for (name, _) in ways().filter(|(name, _)| *name != model) {
            if !seen.contains(&name) {
                seen.push(name);
                worst = worst.raised_to(&worst_as(name, dearest_rate));
            }
        }
        Some(worst)
    }
}
