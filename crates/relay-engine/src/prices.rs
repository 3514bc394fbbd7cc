//! What things cost at this moment, and the keeping of it.
//!
//! [`Prices`] is what a request asks: a snapshot that is swapped as a whole, so that a price is a look-up
//! and no request sees half of a change. [`PriceKeeper`] swaps it: it reads the price source, a file or a
//! URL, again when it changes, and the operator's overrides and service rates when any instance changes
//! them. What cannot be read or believed changes nothing: the prices in force stay, and the status says why.

mod edit;
mod fetch;
mod keeper;
mod overrides;
mod service_rates;
mod shown;
mod source;

use std::sync::Arc;

use arc_swap::ArcSwap;
use relay_domain::ServiceRates;
use relay_pricing::PriceBook;

pub use keeper::{PriceKeeper, PriceKeeperParts, PriceStatus, SourceFailure};
pub use overrides::StoredOverride;
pub use service_rates::ServiceRatesDocument;
pub use source::{InvalidUrl, PriceSource, PriceUrl, SourceError};

/// What things cost at this moment. All runtimes of a process share it.
#[derive(Debug)]
pub struct Prices {
    book: ArcSwap<PriceBook>,
    service_rates: ArcSwap<ServiceRates>,
}

impl Prices {
    /// The prices of `book`; every service's costs count as they are.
    #[must_use]
    pub fn of(book: PriceBook) -> Self {
        Self { book: ArcSwap::from_pointee(book), service_rates: ArcSwap::default() }
    }

    /// The price book.
    pub fn book(&self) -> Arc<PriceBook> {
        self.book.load_full()
    }

    /// By how much services' costs are multiplied.
    pub fn service_rates(&self) -> Arc<ServiceRates> {
        self.service_rates.load_full()
    }

    fn set_book(&self, book: PriceBook) {
        self.book.store(Arc::new(book));
    }

    fn set_service_rates(&self, rates: ServiceRates) {
        self.service_rates.store(Arc::new(rates));
    }
}
