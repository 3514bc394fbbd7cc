//! By how much a service's costs count: v1's service rates.

use std::collections::BTreeMap;

use crate::{Multiplier, Platform};

/// What v1 has a rate for. Relay serves the first two and keeps the others for v1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// Claude.
    Claude,
    /// Codex.
    Codex,
    /// Gemini.
    Gemini,
    /// Droid.
    Droid,
    /// Bedrock.
    Bedrock,
    /// Azure.
    Azure,
    /// Claude Code Router.
    Ccr,
}

impl Service {
    /// Every service, in v1's order.
    pub const ALL: [Self; 7] = [
        Self::Claude,
        Self::Codex,
        Self::Gemini,
        Self::Droid,
        Self::Bedrock,
        Self::Azure,
        Self::Ccr,
    ];

    /// v1's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Droid => "droid",
            Self::Bedrock => "bedrock",
            Self::Azure => "azure",
            Self::Ccr => "ccr",
        }
    }

    /// The service that v1 calls `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }
}

impl From<Platform> for Service {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::ClaudeConsole => Self::Claude,
            Platform::Codex => Self::Codex,
        }
    }
}

/// A rate for each service. What has none counts as it is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceRates(BTreeMap<Service, Multiplier>);

impl ServiceRates {
    /// The rate of a service.
    pub fn of(&self, service: impl Into<Service>) -> Multiplier {
        self.0.get(&service.into()).copied().unwrap_or_default()
    }

    /// Every service that has a rate, for storing and showing.
    pub fn pairs(&self) -> impl Iterator<Item = (Service, Multiplier)> {
        self.0.iter().map(|(service, rate)| (*service, *rate))
    }

    /// Gives a service a rate. v1 takes zero for one, and so does Relay: a service that costs nothing
    /// cannot be said in v1's form.
    pub fn set(&mut self, service: Service, rate: Multiplier) {
        if rate == Multiplier::ONE || rate.as_micros() == 0 {
            self.0.remove(&service);
        } else {
            self.0.insert(service, rate);
        }
    }
}

impl FromIterator<(Service, Multiplier)> for ServiceRates {
    fn from_iter<I: IntoIterator<Item = (Service, Multiplier)>>(rates: I) -> Self {
        let mut all = Self::default();
        for (service, rate) in rates {
            all.set(service, rate);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for service in Service::ALL {
            assert_eq!(Service::named(service.name()), Some(service));
        }
        assert_eq!(Service::named("Claude"), None);
    }

    #[test]
    fn what_has_no_rate_and_what_has_zero_count_as_they_are() {
        let half = Multiplier::from_micros(500_000);
        let zero = Multiplier::from_micros(0);
        let rates: ServiceRates =
            [(Service::Claude, half), (Service::Codex, zero)].into_iter().collect();
        assert_eq!(rates.of(Platform::ClaudeConsole), half);
        assert_eq!(rates.of(Platform::Codex), Multiplier::ONE);
        assert_eq!(rates.of(Service::Gemini), Multiplier::ONE);
        let one = Multiplier::ONE;
        let ones = [(Service::Claude, half), (Service::Claude, one)].into_iter().collect();
        assert_eq!(ServiceRates::default(), ones, "what counts as it is has no rate");
    }
}
