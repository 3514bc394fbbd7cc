//! The price book, and the exact cost of a usage.
