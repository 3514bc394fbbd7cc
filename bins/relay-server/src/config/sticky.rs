//! `[sticky]`: how long a conversation stays on its account.

use std::time::Duration;

use serde::Deserialize;

use super::Objections;

/// Unless it is set, a binding is renewed when so much of its life is over, of so much. Of the 15 days of
/// the default that leaves 14, v2's rule.
const RENEWED_AFTER: (u32, u32) = (1, 15);

/// How long a conversation stays on its account.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StickySection {
    /// 0: it does not.
    lifetime_hours: f64,
    /// A binding with less left than this is renewed; 0: never.
    renewal_minutes: Option<u64>,
}

impl Default for StickySection {
    fn default() -> Self {
        Self { lifetime_hours: 15.0 * 24.0, renewal_minutes: None }
    }
}

impl StickySection {
    pub(super) fn validate(&self, objections: &mut Objections) {
        // A minute to a year, or none.
        let binds = self.lifetime_hours != 0.0;
        if binds && !(1.0 / 60.0..=8_760.0).contains(&self.lifetime_hours) {
            let why =
                format!("{} is not 0 or between a minute and 8760 hours", self.lifetime_hours);
            objections.add("sticky.lifetime_hours", why);
        }
        if let Some(minutes) = self.renewal_minutes {
            objections.within("sticky.renewal_minutes", minutes, 0..=525_600);
        }
    }

    /// How long a binding lasts after its last renewal; zero: there are none.
    pub(crate) fn lifetime(&self) -> Duration {
        Duration::try_from_secs_f64(self.lifetime_hours * 3_600.0).unwrap_or_default()
    }

    /// A binding with less left than this is renewed by the next request.
    pub(crate) fn renewal(&self) -> Duration {
        let (part, of) = RENEWED_AFTER;
        let usual = || self.lifetime() * (of - part) / of;
        self.renewal_minutes.map_or_else(usual, |minutes| Duration::from_secs(minutes * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_last_fifteen_days_and_are_renewed_below_fourteen() {
        let usual = StickySection::default();
        assert_eq!(usual.lifetime(), Duration::from_hours(15 * 24));
        assert_eq!(usual.renewal(), Duration::from_hours(14 * 24));
        let short = StickySection { lifetime_hours: 0.5, renewal_minutes: None };
        assert_eq!(short.lifetime(), Duration::from_mins(30));
        assert_eq!(short.renewal(), Duration::from_mins(28));
        let never = StickySection { renewal_minutes: Some(0), ..short };
        assert_eq!(never.renewal(), Duration::ZERO);
    }
}
