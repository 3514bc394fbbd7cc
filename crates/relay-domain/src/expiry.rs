//! When an API key ends.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// When a key ends, and how that came about. v1's and v2's fields, all of which read back as they were
/// written; [`end`](Self::end) and [`due`](Self::due) say what they amount to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expiry {
    /// What sets the end.
    pub mode: ExpiryMode,
    /// The end, as far as there is one yet.
    pub at: Option<Timestamp>,
    /// How long the key is good after its first use. Means nothing if its end is fixed.
    pub lifetime: Lifetime,
    /// Whether the first use has come. Means nothing if its end is fixed.
    pub is_activated: bool,
    /// When it came.
    pub activated_at: Option<Timestamp>,
}

/// What sets a key's end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpiryMode {
    /// An operator.
    #[default]
    Fixed,
    /// Its first use.
    Activation,
}

/// How long a key is good after its first use.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lifetime {
    /// How many hours or days.
    pub count: u32,
    /// What is counted.
    pub unit: LifetimeUnit,
}

/// What a lifetime counts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LifetimeUnit {
    /// Hours.
    Hours,
    /// Days of 24 hours.
    #[default]
    Days,
}

impl Lifetime {
    /// So many hours.
    #[must_use]
    pub const fn hours(count: u32) -> Self {
        Self { count, unit: LifetimeUnit::Hours }
    }

    /// So many days.
    #[must_use]
    pub const fn days(count: u32) -> Self {
        Self { count, unit: LifetimeUnit::Days }
    }

    /// The same as a span of time.
    #[must_use]
    pub fn length(self) -> Duration {
        let hours = match self.unit {
            LifetimeUnit::Hours => 1,
            LifetimeUnit::Days => 24,
        };
        Duration::from_secs(u64::from(self.count) * hours * 3_600)
    }
}

impl Expiry {
    /// No end.
    pub const NEVER: Self = Self {
        mode: ExpiryMode::Fixed,
        at: None,
        lifetime: Lifetime::days(0),
        is_activated: true,
        activated_at: None,
    };

    /// An end at a fixed moment.
    #[must_use]
    pub const fn at(end: Timestamp) -> Self {
        Self { at: Some(end), ..Self::NEVER }
    }

    /// An end so long after the first use, which has not come yet.
    #[must_use]
    pub const fn after_first_use(lifetime: Lifetime) -> Self {
        Self { mode: ExpiryMode::Activation, lifetime, is_activated: false, ..Self::NEVER }
    }

    /// The end, if there is one and it is known.
    pub fn end(&self) -> Option<Timestamp> {
        if self.due().is_some() { None } else { self.at }
    }

    /// Whether the key's time is over at `now`.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.end().is_some_and(|end| end <= now)
    }

    /// How long the key will be good after its first use, if that sets its end and has not come yet.
    pub fn due(&self) -> Option<Duration> {
        let is_due = self.mode == ExpiryMode::Activation && !self.is_activated;
        is_due.then(|| self.lifetime.length())
    }

    /// The same after the first use, at `now`; unchanged if that sets no end or has come before.
    #[must_use]
    pub fn activated(self, now: Timestamp) -> Self {
        let Some(length) = self.due() else { return self };
        Self { at: Some(now.plus(length)), is_activated: true, activated_at: Some(now), ..self }
    }
}

impl Default for Expiry {
    fn default() -> Self {
        Self::NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_use_sets_the_end_once() {
        let (first, second) = (Timestamp::from_millis(1_000), Timestamp::from_millis(2_000));
        let fresh = Expiry::after_first_use(Lifetime::hours(1));
        assert_eq!((fresh.end(), fresh.due()), (None, Some(Duration::from_hours(1))));
        assert!(!fresh.is_over(Timestamp::from_millis(u64::MAX)));
        let begun = fresh.activated(first);
        assert_eq!(begun.end(), Some(first.plus(Duration::from_hours(1))));
        assert_eq!((begun.due(), begun.activated_at), (None, Some(first)));
        assert_eq!(begun.lifetime, fresh.lifetime, "it is remembered");
        assert_eq!(begun.activated(second), begun);
        for fixed in [Expiry::NEVER, Expiry::at(second)] {
            assert_eq!(fixed.activated(first), fixed);
        }
    }

    #[test]
    fn an_end_that_is_now_has_come() {
        let end = Timestamp::from_millis(5);
        assert!(Expiry::at(end).is_over(end));
        assert!(!Expiry::at(end).is_over(Timestamp::from_millis(4)));
        assert!(!Expiry::NEVER.is_over(end));
    }

    #[test]
    fn a_lifetime_counts_hours_or_days() {
        assert_eq!(Lifetime::days(2).length(), Lifetime::hours(48).length());
        assert_eq!(Lifetime::days(u32::MAX).length().as_secs(), u64::from(u32::MAX) * 86_400);
    }
}
