//! Relay's store in one embedded `SQLite` file.
//!
//! One process serves on a file, so what decides about a request is in that process's memory
//! (`holds`), and an admission waits for no disk. One thread writes (`writer`): settlements that come
//! up at the same time share a transaction, in which each counter is written once. A settlement returns
//! when its transaction is committed.
//!
//! Other processes may administer the same file meanwhile. What they commit is seen by the next
//! admission (`change_watch`).
//!
//! The death of the process loses nothing that was committed. The death of the machine may lose the last
//! commits before it, and damages nothing: the write-ahead log is not flushed with every commit.

mod accounts;
mod admin;
mod archive;
mod batch;
mod bindings;
mod change_watch;
mod counters;
mod error;
mod holds;
mod in_flight;
mod keys;
mod ledger;
mod limit_book;
mod limit_rows;
mod owner_lock;
mod queue;
mod reader;
mod recent;
mod schema;
mod spent;
mod store;
mod stored;
mod usage;
mod windows;
mod writer;

pub use error::SqliteError;
pub use store::{Access, SqliteOptions, SqliteStore};
