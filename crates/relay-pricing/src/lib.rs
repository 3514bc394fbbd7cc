//! The price book, and the exact cost of a usage.
//!
//! Prices are data (`prices.json`), arithmetic is integer, and what has no published price costs
//! *unknown*, which is an error or a `None` and never zero. A model's name is matched as it stands
//! or as a dated form of a known name; nothing is guessed from parts of names.

pub mod book;
pub mod cost;
pub mod error;
mod file;
mod name;
pub mod price;

pub use book::{PriceBook, Quote};
pub use cost::{Charge, ServiceTier, cost};
pub use error::{ChargeKind, PricingError};
pub use price::{ModelPrice, Rates};
