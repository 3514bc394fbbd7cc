//! The source and the store change, and the prices follow; what cannot be believed changes nothing.

mod mirror;
mod of_files;
mod of_operators;
mod of_urls;

use std::sync::atomic::{AtomicU64, Ordering};

use relay_domain::{Calendar, PicoUsdPerToken, TokenCount};
use relay_pricing::ServiceTier;
use relay_store::Stores;
use relay_store_sqlite::{Access, SqliteOptions, SqliteStore};

use super::*;

/// A clock that a second passes on with every look.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

fn stores() -> Stores {
    let options = SqliteOptions {
        calendar: Calendar::UTC,
        record_capacity: 10,
        record_lifetime: Duration::from_hours(24),
        access: Access::Serve,
    };
    SqliteStore::in_memory(options).unwrap().stores()
}

async fn keeper_on(source: PriceSource, settings: Arc<dyn SettingsRepository>) -> PriceKeeper {
    let clock = Arc::new(Ticking::default());
    let refresh = Duration::from_hours(24);
    let audit = stores().audit;
    let parts = PriceKeeperParts { source, refresh, settings, audit, clock };
    let keeper = PriceKeeper::new(parts).unwrap();
    keeper.start().await;
    keeper
}

async fn keeper(source: PriceSource) -> PriceKeeper {
    keeper_on(source, stores().settings).await
}

/// A table in which the house model's input costs so many dollars per million tokens.
fn table(dollars: u32) -> String {
    format!(
        r#"{{"house-model": {{"mode": "chat", "litellm_provider": "us",
            "input_cost_per_token": {dollars}e-06, "output_cost_per_token": 1e-05}}}}"#
    )
}

/// What a million tokens of input cost, in dollars.
fn input(keeper: &PriceKeeper, model: &str) -> Option<i64> {
    let book = keeper.prices().book();
    let (_, price) = book.lookup(model)?;
    let rates = price.rates(ServiceTier::Standard, TokenCount::ZERO);
    rates.input.map(|rate| rate.as_picos() / 1_000_000)
}

fn dollars(dollars: i64) -> PicoUsdPerToken {
    PicoUsdPerToken::from_picos(dollars * 1_000_000)
}

/// Why the source is not taken at present.
fn failure(keeper: &PriceKeeper) -> String {
    keeper.status().failure.map(|failure| failure.why).unwrap_or_default()
}
