//! Black-box tests of the real binary on both stores.
