//! The admin REST through its router, on a real store in memory.

mod account_changes;
mod account_groups;
mod accounts;
mod automation;
mod browsers;
mod conditions;
mod doors;
mod events;
mod fixture;
mod groups;
mod health;
mod key_bulk;
mod key_changes;
mod key_pages;
mod keys;
mod login;
mod prices;
mod requests;
mod schemas;
mod service_rates;
mod stats;
mod takeover;
