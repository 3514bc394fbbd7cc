//! The commands beside serving. They work on the store, with the server running or not.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod adopt;
pub(crate) mod config;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod key;
mod passphrase;
pub(crate) mod release;
pub(crate) mod reprice;
pub(crate) mod sandbox;
