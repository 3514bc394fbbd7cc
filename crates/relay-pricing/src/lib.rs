//! The price book, and the exact cost of a usage.
//!
//! Prices are data: a table that is part of the program, above it one in `LiteLLM`'s form if there is one,
//! above both what an operator overrides. Arithmetic is integer, and what has no published price costs
//! *unknown*, which is an error or a `None` and never zero. A model's name is matched as it stands
//! or as a dated form of a known name; nothing is guessed from parts of names.

pub mod book;
pub mod cost;
pub mod decimal;
pub mod error;
mod fallback;
mod file;
mod litellm;
mod name;
pub mod price;
pub mod price_override;
pub mod reckoning;
pub mod table;

pub use book::{BookLayer, Listed, Origin, PriceBook, Quote};
pub use cost::{Charge, breakdown, cost};
pub use error::{ChargeKind, PricingError};
pub use file::LongContext;
pub use price::{ModelPrice, Rates, Tariff};
pub use price_override::PriceOverride;
pub use reckoning::Reckoning;
pub use relay_domain::ServiceTier;
pub use table::{PassedOver, PriceTable};
