//! Which account serves a request, and why: the crate that other programs may embed.
//!
#![doc = include_str!("../README.md")]

pub mod candidate;
pub mod exclusion;
pub mod rank;
pub mod ranking;
pub mod shortage;

pub use candidate::{Ask, Candidate, Policy, Readiness};
pub use exclusion::{Exclusion, Filter, exclusion};
pub use rank::rank;
pub use ranking::{ChosenWhy, Ranking, Verdict};
pub use shortage::Shortage;

#[cfg(test)]
mod pool;
#[cfg(test)]
mod properties;
