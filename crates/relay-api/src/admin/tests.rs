//! The admin REST through its router, on a real store in memory.

mod accounts;
mod browsers;
mod doors;
mod fixture;
mod health;
mod key_bulk;
mod key_changes;
mod key_pages;
mod keys;
mod login;
mod prices;
mod requests;
mod service_rates;
mod stats;
mod takeover;
