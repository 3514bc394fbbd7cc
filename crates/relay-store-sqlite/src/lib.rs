//! Relay's store in one embedded `SQLite` file.
//!
//! One process serves on a file, so what decides about a request is in that process's memory: who is in
//! (`holds`) and how every limit stands (`limit_book`). An admission waits for no disk, but for the first
//! look at what somebody with budgets has spent. One thread writes (`writer`): settlements that come up at
//! the same time share a transaction, in which each counter is written once. A settlement returns when its
//! transaction is committed.
//!
//! Statistics and searches read on connections and threads of their own (`long_reads`).
//!
//! Other processes may administer the same file meanwhile. What they commit is seen by the next
//! admission (`change_watch`). A file that one of them keeps locked, or that cannot be written for another
//! reason, lets nobody in whose limits count (`stall`); it recovers by itself.
//!
//! The death of the process loses nothing that was committed. A request that it had let in is in the file
//! after a tenth of a second, one that holds a budget after half of that or with the first commit that
//! comes before; the next process weighs it until its lease has ended and it is settled. Of younger ones
//! nothing is left, nor of their places in a rate window. The death of the machine may lose the last
//! commits before it, and damages nothing: the write-ahead log is not flushed with every commit.

mod account_groups;
mod accounts;
mod admin;
mod admin_tokens;
mod archive;
mod audit;
mod batch;
mod bindings;
mod change_watch;
mod corrections;
mod counters;
mod error;
mod events;
mod groups;
mod holds;
mod idempotency;
mod in_flight;
mod keys;
mod ledger;
mod limit_book;
mod limit_rows;
mod long_reads;
mod own_days;
mod owner_lock;
mod presence;
mod queue;
mod reader;
mod recent;
mod record_search;
mod schema;
mod settings;
mod spent;
mod stall;
mod statistics;
mod store;
mod stored;
mod telling;
mod uncounted;
mod usage;
mod waiting;
mod windows;
mod writer;

pub use error::SqliteError;
pub use store::{Access, SqliteOptions, SqliteStore};
