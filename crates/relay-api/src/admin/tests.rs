//! The admin REST through its router, on a real store in memory.

mod accounts;
mod browsers;
mod doors;
mod fixture;
mod health;
mod keys;
mod login;
mod requests;
mod stats;
mod takeover;
