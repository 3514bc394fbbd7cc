//! What can go wrong with prices, by what the caller can do about it.

use std::fmt;

use relay_domain::MoneyError;

/// Why there is no price book, or no cost.
#[derive(Debug, thiserror::Error)]
pub enum PricingError {
    /// The source is no price table at all: mend it.
    #[error("the price table {why}")]
    NoTable {
        /// What it is instead, as the end of a sentence.
        why: &'static str,
    },
    /// The source is not the JSON that it should be, or was cut off: mend it.
    #[error("the price table cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// Entries of the source have prices that cannot be: mend them.
    #[error("{wrong} of {of} entries of the price table are wrong, the first: {first}")]
    WrongEntries {
        /// How many.
        wrong: usize,
        /// Of how many.
        of: usize,
        /// Which is the first, and what is wrong with it.
        first: String,
    },
    /// A price that an operator gave cannot be.
    #[error("{what} {why}")]
    Refused {
        /// Which part of it.
        what: &'static str,
        /// What is wrong with it, as the end of a sentence.
        why: &'static str,
    },
    /// Something was charged that has no published price: the cost is unknown, not zero.
    #[error("the model has no price for {kind}")]
    Unpriced {
        /// What.
        kind: ChargeKind,
    },
    /// The cost does not fit: the counts are not to be believed.
    #[error("the cost is too large to be true")]
    Overflow(#[source] MoneyError),
}

/// What a provider charges for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChargeKind {
    /// Tokens read from the prompt cache.
    CacheRead,
    /// Tokens written to the prompt cache for an hour.
    CacheWrite1h,
    /// Tokens written to the prompt cache for five minutes.
    CacheWrite5m,
    /// The fast mode, by a multiplier on all tokens.
    FastMode,
    /// Tokens of input.
    Input,
    /// Tokens of output.
    Output,
    /// Processing in the United States only, by a multiplier on all tokens.
    UsResidency,
    /// Web searches, each.
    WebSearch,
}

impl fmt::Display for ChargeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CacheRead => "cache reads",
            Self::CacheWrite1h => "cache writes for an hour",
            Self::CacheWrite5m => "cache writes for five minutes",
            Self::FastMode => "the fast mode",
            Self::Input => "input",
            Self::Output => "output",
            Self::UsResidency => "processing in the United States only",
            Self::WebSearch => "web searches",
        })
    }
}
