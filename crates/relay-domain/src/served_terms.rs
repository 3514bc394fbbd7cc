//! On which terms a provider served a request: what its price depends on besides model and tokens.

use serde::{Deserialize, Serialize};

/// On which terms a request was served, by what the answer says and not by what was asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(default)]
pub struct ServedTerms {
    /// The tier that served it.
    #[serde(skip_serializing_if = "is_default")]
    pub tier: ServiceTier,
    /// Whether the fast mode served it.
    #[serde(skip_serializing_if = "is_default")]
    pub fast: bool,
    /// Whether it was kept to the United States, where that has a price.
    #[serde(skip_serializing_if = "is_default")]
    pub us_residency: bool,
    /// Web searches that the provider ran.
    #[serde(skip_serializing_if = "is_default")]
    pub web_searches: u64,
}

impl ServedTerms {
    /// Whether they are the usual ones.
    pub fn are_usual(&self) -> bool {
        is_default(self)
    }
}

/// A provider's way of serving requests sooner or cheaper.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The usual.
    #[default]
    Standard,
    /// Sooner.
    Priority,
    /// Cheaper, and later if need be.
    Flex,
    /// Cheapest, within a day.
    Batch,
}

impl ServiceTier {
    /// The tier that a provider's answer names (`service_tier`). Names without a price of their own,
    /// such as `default` and `scale`, are the standard tier.
    pub fn served(name: &str) -> Self {
        match name {
            "priority" => Self::Priority,
            "flex" => Self::Flex,
            "batch" => Self::Batch,
            _ => Self::Standard,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_usual_is_written() {
        let odd =
            ServedTerms { tier: ServiceTier::Flex, web_searches: 2, ..ServedTerms::default() };
        for (terms, text) in
            [(ServedTerms::default(), "{}"), (odd, r#"{"tier":"flex","web_searches":2}"#)]
        {
            assert_eq!(serde_json::to_string(&terms).unwrap(), text);
            assert_eq!(serde_json::from_str::<ServedTerms>(text).unwrap(), terms);
            assert_eq!(terms.are_usual(), text == "{}");
        }
    }
}
