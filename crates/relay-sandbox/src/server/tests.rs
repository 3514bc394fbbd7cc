//! The sandbox over a real socket, seen by a client that looks at every byte.

mod client;
mod control;
mod faults;
mod transcripts;
