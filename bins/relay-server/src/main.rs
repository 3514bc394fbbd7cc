//! Relay: the relay between AI coding clients and their model providers.

fn main() {}
