//! `RELAY_COMPAT`: whose defaults hold where v1 and v2 had different ones.

use std::fmt;

use relay_domain::Calendar;
use serde::Deserialize;

/// Which predecessor this installation takes over from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compat {
    /// Claude Relay Service v1.
    V1,
    /// Claude Relay Service v2.
    V2,
}

/// What a setting is if it is not given.
pub(super) enum DefaultValue {
    Whole(u64),
    Hours(f64),
}

impl Compat {
    /// The defaults of this predecessor that are not Relay's own, by path. Not among them: where it
    /// listened, whom it trusted as a proxy and whose browsers it let in, which Relay opens to nobody
    /// unless it is told to.
    pub(super) fn defaults(self) -> &'static [(&'static str, DefaultValue)] {
        match self {
            Self::V1 => &[
                ("server.port", DefaultValue::Whole(3000)),
                ("sticky.lifetime_hours", DefaultValue::Hours(1.0)),
                ("sticky.renewal_minutes", DefaultValue::Whole(0)),
            ],
            Self::V2 => &[],
        }
    }

    /// The database of Redis that it used unless it was told another.
    pub(super) fn database(self) -> u8 {
        match self {
            Self::V1 => 0,
            Self::V2 => 1,
        }
    }

    /// The calendar by which it counted, told `calendar`: both took an offset of 0 for 8 hours, and v1
    /// dropped a fraction. Days that they have counted must not shift.
    pub(super) fn calendar(self, calendar: Calendar) -> Calendar {
        let minutes = match self {
            Self::V1 => calendar.standard_offset_minutes() / 60 * 60,
            Self::V2 => calendar.standard_offset_minutes(),
        };
        let minutes = if minutes == 0 { 8 * 60 } else { minutes };
        Calendar::with_offset_minutes(minutes).unwrap_or(calendar)
    }
}

impl fmt::Display for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_as_the_predecessor_counted_them() {
        let cases = [
            (Compat::V1, 0, 480),
            (Compat::V1, 330, 300),
            (Compat::V1, -210, -180),
            (Compat::V1, 30, 480),
            (Compat::V2, 0, 480),
            (Compat::V2, 330, 330),
        ];
        for (compat, given, expected) in cases {
            let calendar = Calendar::with_offset_minutes(given).unwrap();
            assert_eq!(
                compat.calendar(calendar).standard_offset_minutes(),
                expected,
                "{compat} {given}"
            );
        }
    }
}
