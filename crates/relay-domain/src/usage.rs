//! What a provider counted for one message.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

/// A number of tokens. Sums saturate.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct TokenCount(u64);

impl TokenCount {
    /// No tokens.
    pub const ZERO: Self = Self(0);

    /// `count` tokens.
    #[must_use]
    pub const fn new(count: u64) -> Self {
        Self(count)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Add for TokenCount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for TokenCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Add::add)
    }
}

/// Tokens by kind, each with a price of its own. The kinds do not overlap: all input of a request
/// is `input + cache_read + cache_write_5m + cache_write_1h`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct TokenUsage {
    /// Input that was neither read from nor written to the prompt cache.
    pub input: TokenCount,
    /// Output, reasoning included.
    pub output: TokenCount,
    /// Input read from the prompt cache.
    pub cache_read: TokenCount,
    /// Input written to the prompt cache for five minutes.
    pub cache_write_5m: TokenCount,
    /// Input written to the prompt cache for an hour.
    pub cache_write_1h: TokenCount,
}

impl TokenUsage {
    /// Nothing was counted.
    pub const ZERO: Self = Self {
        input: TokenCount::ZERO,
        output: TokenCount::ZERO,
        cache_read: TokenCount::ZERO,
        cache_write_5m: TokenCount::ZERO,
        cache_write_1h: TokenCount::ZERO,
    };

    /// All input, however it was served: what decides about a long-context price.
    pub fn all_input(&self) -> TokenCount {
        self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h
    }

    /// Everything, v1's `allTokens`.
    pub fn total(&self) -> TokenCount {
        self.all_input() + self.output
    }
}

impl Add for TokenUsage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_write_5m: self.cache_write_5m + other.cache_write_5m,
            cache_write_1h: self.cache_write_1h + other.cache_write_1h,
        }
    }
}
