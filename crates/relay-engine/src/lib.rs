//! The journey of a request: admit, rank, forward, commit, stream, settle.
