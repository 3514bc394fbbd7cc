//! What a recomputation has found, or done, added up.

use std::collections::BTreeMap;

use relay_domain::{KeyId, ModelName, NanoUsd, RequestRecord};
use relay_store::{Price, Uncorrectable};

use super::verdict::Verdict;

/// What requests come to.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bills {
    /// At the provider.
    pub cost: NanoUsd,
    /// For the budgets of keys and groups.
    pub charged: NanoUsd,
}

impl Bills {
    fn add(&mut self, price: &Price) {
        self.cost = self.cost + price.cost.unwrap_or_default();
        self.charged = self.charged + price.charged.unwrap_or_default();
    }
}

/// How some requests change.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shift {
    /// How many there are.
    pub requests: u64,
    /// How many of them change.
    pub changed: u64,
    /// How many of those had no price before.
    pub newly_priced: u64,
    /// What they all came to so far.
    pub before: Bills,
    /// What they all come to.
    pub after: Bills,
}

impl Shift {
    /// By how much they cost more at the provider; less than nothing if they cost less.
    pub fn difference(&self) -> NanoUsd {
        self.after.cost - self.before.cost
    }

    fn add(&mut self, before: &Price, after: Option<&Price>) {
        self.requests += 1;
        self.changed += u64::from(after.is_some());
        self.newly_priced += u64::from(after.is_some() && before.cost.is_none());
        self.before.add(before);
        self.after.add(after.unwrap_or(before));
    }
}

/// How many requests are counted of which there is no record any more.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unrecorded {
    /// None.
    #[default]
    None,
    /// About so many: a few that began in the range may have ended after it.
    About(u64),
    /// It cannot be told.
    Unknown,
}

/// What a recomputation has found, or done.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RepriceReport {
    /// Records that were looked at.
    pub looked_at: u64,
    /// Those that count, and were asked for.
    pub total: Shift,
    /// The same by the model that was served.
    pub by_model: BTreeMap<ModelName, Shift>,
    /// The same by key.
    pub by_key: BTreeMap<KeyId, Shift>,
    /// How many stay without a price, by model.
    pub unpriced: BTreeMap<ModelName, u64>,
    /// How many have a price, though there is none for the model now, by model: they stay as they are.
    pub price_gone: BTreeMap<ModelName, u64>,
    /// Of how many it is not known in which hour they count: they stay as they are.
    pub undated: u64,
    /// How many used nothing, and count nowhere.
    pub unused: u64,
    /// How many have a price, where only those without were asked for.
    pub passed_over: u64,
    /// How many were others by the time that they were to be corrected: they stay as they are.
    pub not_as_read: u64,
    /// How many requests of the range are counted, but have no record any more: they cannot be recomputed.
    pub unrecorded: Unrecorded,
}

impl RepriceReport {
    /// How many of the records that were looked at count in statistics.
    pub(super) fn counted(&self) -> u64 {
        self.looked_at - self.unused
    }

    pub(super) fn count(&mut self, record: &RequestRecord, verdict: &Verdict) {
        self.looked_at += 1;
        let model = record.served_model.as_ref().unwrap_or(&record.model);
        let after = match verdict {
            Verdict::Not(Uncorrectable::Unused) => {
                self.unused += 1;
                return;
            }
            Verdict::PassedOver => {
                self.passed_over += 1;
                return;
            }
            Verdict::Not(Uncorrectable::Undated) => {
                self.undated += 1;
                None
            }
            Verdict::Unpriced => {
                *self.unpriced.entry(model.clone()).or_default() += 1;
                None
            }
            Verdict::PriceGone => {
                *self.price_gone.entry(model.clone()).or_default() += 1;
                None
            }
            Verdict::Right => None,
            Verdict::Changed(price) => Some(price),
        };
        let before = Price::of(record);
        let of_model = self.by_model.entry(model.clone()).or_default();
        let of_key = self.by_key.entry(record.key.clone()).or_default();
        for shift in [&mut self.total, of_model, of_key] {
            shift.add(&before, after);
        }
    }
}
