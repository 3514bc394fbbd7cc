//! Relay's development tasks: ci, test, bench, openapi.

fn main() {}
