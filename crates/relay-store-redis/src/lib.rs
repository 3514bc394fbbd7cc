//! Relay's store in Redis, in the key layout of Claude Relay Service v1.
