//! Recomputing what past requests came to, by the prices that hold now: for an operator who finds that a
//! model had a wrong price for some days, or none.
//!
//! What is corrected is the price. By how much a request counts for its key is kept as its record says it.
//! Nothing that had a price is made to have none: a model that has gone from the table is told of and left.
//!
//! Each record is corrected in one atomic step with all that it counts in, and only if it still is as it was
//! read. So a run may end anywhere, and the next one goes on where it ended.

mod report;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::HashMap;
use std::sync::Arc;

use relay_domain::{
    AccountId, Actor, Calendar, KeyId, ModelName, Multiplier, PeriodStarts, RequestRecord,
    ServiceRates, Timestamp,
};
use relay_pricing::PriceBook;
use relay_store::statistics::{Grain, Hour, StatisticsFilter, StatisticsQuery};
use relay_store::{Corrected, Correction, RecordQuery, Stores};
use serde_json::json;

use self::verdict::Verdict;
use super::audit::{self, Change};
use super::{Operator, OperatorError};
use crate::Clock;
use crate::prices::Prices;

pub use report::{Bills, RepriceReport, Shift, Unrecorded};

/// How many records are read, and corrected, at once.
const PAGE: usize = 200;

/// Which requests.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RepriceRange {
    /// Those that arrived then or later.
    pub from: Timestamp,
    /// Those that arrived before.
    pub to: Timestamp,
    /// Of this key only.
    pub key: Option<KeyId>,
    /// Of this model only, asked for or served.
    pub model: Option<ModelName>,
    /// Only those that have no price so far.
    pub only_unpriced: bool,
}

/// A recomputation: the prices, the rates and the requests that it is about.
pub struct Repricing {
    stores: Stores,
    clock: Arc<dyn Clock>,
    range: RepriceRange,
    book: Arc<PriceBook>,
    service_rates: Arc<ServiceRates>,
    keys: HashMap<KeyId, OfKey>,
    account_rates: HashMap<AccountId, Multiplier>,
}

/// What has to be known of a key.
struct OfKey {
    rates: ServiceRates,
    starts: PeriodStarts,
}

impl Operator {
    /// A recomputation of the requests of `range` by the present `prices`. Nothing is read or written yet
    /// but the rates of keys and accounts.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if the range holds no moment; the store's.
    pub async fn repricing(
        &self,
        prices: &Prices,
        range: RepriceRange,
    ) -> Result<Repricing, OperatorError> {
        if range.to <= range.from {
            return Err(OperatorError::Invalid { field: "to", why: "must be later than from" });
        }
        let keys = self.stores.keys.list().await?.into_iter().map(|key| {
            let of_key = OfKey { rates: key.service_rates, starts: key.limits.starts };
            (key.id, of_key)
        });
        let accounts = self.stores.accounts.list().await?.into_iter();
        Ok(Repricing {
            stores: self.stores.clone(),
            clock: Arc::clone(&self.clock),
            range,
            book: prices.book(),
            service_rates: prices.service_rates(),
            keys: keys.collect(),
            account_rates: accounts.map(|account| (account.id, account.rate)).collect(),
        })
    }
}

impl Repricing {
    /// What applying would do. Reads only.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn plan(&self) -> Result<RepriceReport, OperatorError> {
        let mut report = RepriceReport::default();
        let mut after = None;
        loop {
            let page = self.stores.usage.search(&self.page(after)).await?;
            for record in &page.records {
                report.count(record, &self.verdict(record));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        report.unrecorded = self.unrecorded(report.counted()).await?;
        Ok(report)
    }

    /// Corrects what is to be corrected, and notes that `actor` did. `report` tells what has been done, also
    /// if it fails: then it may be repeated, and goes on.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn apply(
        &self,
        actor: &Actor,
        report: &mut RepriceReport,
    ) -> Result<(), OperatorError> {
        let applied = self.apply_pages(report).await;
        if 0 < report.total.changed {
            let RepriceRange { from, to, key, model, only_unpriced } = &self.range;
            let bills = |bills: &Bills| json!({"cost": bills.cost.to_string(), "charged": bills.charged.to_string()});
            let mut after = bills(&report.total.after);
            after["changed"] = json!(report.total.changed);
            after["key"] = json!(key);
            after["model"] = json!(model);
            after["onlyUnpriced"] = json!(only_unpriced);
            let change = Change {
                action: "history.reprice",
                kind: "history",
                id: format!("{from}/{to}"),
                before: Some(bills(&report.total.before)),
                after: Some(after),
            };
            audit::note(&*self.stores.audit, self.clock.now(), actor, change).await;
        }
        applied
    }

    async fn apply_pages(&self, report: &mut RepriceReport) -> Result<(), OperatorError> {
        let mut after = None;
        loop {
            let page = self.stores.usage.search(&self.page(after)).await?;
            let (mut corrections, mut corrected) = (Vec::new(), Vec::new());
            for record in page.records {
                let verdict = self.verdict(&record);
                let Verdict::Changed(price) = verdict else {
                    report.count(&record, &verdict);
                    continue;
                };
                let starts = self.keys.get(&record.key).map(|key| key.starts).unwrap_or_default();
                // Whatever cannot be corrected has another verdict.
                if let Ok(correction) = Correction::new(record.clone(), price, starts) {
                    corrections.push(correction);
                    corrected.push((record, verdict));
                }
            }
            let now = self.clock.now();
            let outcomes = self.stores.corrections.correct(&corrections, now).await?;
            for ((record, verdict), outcome) in corrected.iter().zip(outcomes) {
                match outcome {
                    Corrected::Made => report.count(record, verdict),
                    Corrected::NotAsRead => report.not_as_read += 1,
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn page(&self, after: Option<relay_domain::RequestId>) -> RecordQuery {
        let RepriceRange { from, to, key, model, .. } = &self.range;
        RecordQuery {
            key: key.clone(),
            model: model.clone(),
            from: Some(*from),
            to: Some(*to),
            after,
            limit: PAGE,
            ..RecordQuery::default()
        }
    }

    fn verdict(&self, record: &RequestRecord) -> Verdict {
        if self.range.only_unpriced && record.cost.is_some() {
            return Verdict::PassedOver;
        }
        let of_key = self.keys.get(&record.key).map(|key| key.rates.of(record.platform));
        let of_account = record.account.as_ref().and_then(|id| self.account_rates.get(id));
        let rates = [
            of_key.unwrap_or_default(),
            self.service_rates.of(record.platform),
            of_account.copied().unwrap_or_default(),
        ];
        verdict::of(record, &self.book, &rates)
    }

    /// How many requests of the range have no record any more, if `found` still have one.
    async fn unrecorded(&self, found: u64) -> Result<Unrecorded, OperatorError> {
        let RepriceRange { from, to, key, model, .. } = &self.range;
        // Records go from the oldest on.
        let before = RecordQuery { to: Some(*from), limit: 1, ..RecordQuery::default() };
        let before = self.stores.usage.search(&before).await?;
        if !before.records.is_empty() || before.next.is_some() {
            return Ok(Unrecorded::None);
        }
        let calendar = self.stores.usage.calendar();
        let filter = StatisticsFilter {
            key: key.clone(),
            model: model.clone(),
            ..StatisticsFilter::default()
        };
        let ask = |range| {
            let now = self.clock.now();
            StatisticsQuery::new((calendar, now), range, Grain::Whole, &[], filter.clone()).ok()
        };
        // Where single hours are not kept any more, whole days tell.
        let query = ask((*from, *to)).or_else(|| ask(whole_days(calendar, (*from, *to))));
        let Some(query) = query else { return Ok(Unrecorded::Unknown) };
        let counted = self.stores.usage.statistics(&query).await?.total.requests;
        Ok(match counted.saturating_sub(found) {
            0 => Unrecorded::None,
            gone => Unrecorded::About(gone),
        })
    }
}

/// The days in which a range lies.
fn whole_days(calendar: Calendar, (from, to): (Timestamp, Timestamp)) -> (Timestamp, Timestamp) {
    let last = Timestamp::from_millis(to.as_millis().saturating_sub(1));
    let start = |hour: Hour| hour.start(calendar);
    (start(Hour::of(calendar, from).day()), start(Hour::of(calendar, last).next_day()))
}
