//! The ports of what is kept, and the contract that every adapter passes.
