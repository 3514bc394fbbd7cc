//! Fixtures for Relay's tests. Never a normal dependency.
