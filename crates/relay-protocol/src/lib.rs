//! What providers' wire protocols say: request scan, SSE frames, usage, errors. No I/O.
//!
//! Everything works on borrowed bytes, on any split of them, and changes none of them. JSON is
//! walked by a scanner of our own that builds no tree, because the bodies of coding turns are large
//! and Relay needs a handful of facts from them; a document object model is absent on purpose.

pub mod anthropic;
mod error;
pub mod headers;
mod json;
pub mod session;
pub mod sse;

pub use error::ScanError;
