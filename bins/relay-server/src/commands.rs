//! The commands beside serving. They work on the store, with the server running or not.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod config;
pub(crate) mod key;
pub(crate) mod sandbox;
