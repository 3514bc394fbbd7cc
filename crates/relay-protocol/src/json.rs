//! A JSON scanner that skips: it finds members and spans, checks structure, and builds no tree.

mod scan;
mod string;

pub(crate) use scan::{Cursor, Value};
pub(crate) use string::{push_quoted, unescape};
