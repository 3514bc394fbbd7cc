//! Fixtures for tests: a real Redis of one's own, waiting with a deadline, domain values with sensible
//! defaults. Knows no adapter. Whatever is missing on the machine fails the test and says how to get it;
//! nothing is ever skipped.

#![expect(clippy::panic, reason = "a fixture that cannot be had fails its test, with the reason")]

mod deadline;
mod domain;
mod redis_server;

pub use deadline::{Deadline, eventually};
pub use domain::{NOW, account, api_key};
pub use redis_server::{Listen, Persistence, RedisServer, tls_authority};
