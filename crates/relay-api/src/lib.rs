//! Relay's HTTP edge: client routes, admin REST, error dialects, `OpenAPI`.
//!
//! The client routes are a plain service in front of the admin router: they are the hot path, and a
//! router has nothing to tell them. What a refusal looks like to a client is decided in one place,
//! `dialect.rs`.

pub mod admin;
mod client_address;
mod dialect;
mod documentation;
mod edge;
pub mod health;
mod heard_out;
mod messages;
mod models;
mod observer;
pub mod openapi;
mod self_service;
mod starting;

pub use edge::{Edge, EdgeBody, EdgeConfig};
pub use observer::{AnsweredRoute, EdgeObserver};
pub use starting::Starting;
