//! What the query of a statistic says: a range, what to tell apart, and of what.

use relay_domain::{Calendar, Timestamp};
use relay_store::statistics::{Dimension, Grain, Hour, StatisticsFilter, StatisticsQuery};

use crate::admin::error::ApiError;
use crate::admin::session::Session;

/// How far back a range begins if the query does not say, in days before today.
const DEFAULT_DAYS: u32 = 29;

/// A range as the query says it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AskedRange<'a> {
    /// A day, or a moment.
    pub(crate) from: Option<&'a str>,
    /// The last day, or the moment before which it ends.
    pub(crate) to: Option<&'a str>,
}

impl AskedRange<'_> {
    /// The range; by default the last thirty days, today included.
    pub(crate) fn moments(
        self,
        calendar: Calendar,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), ApiError> {
        let today = Hour::of(calendar, now).day();
        let from = match self.from {
            Some(text) => moment("from", text, calendar)?.first(),
            None => today.minus_days(DEFAULT_DAYS).start(calendar),
        };
        let to = match self.to {
            Some(text) => moment("to", text, calendar)?.after(),
            None => today.next_day().start(calendar),
        };
        Ok((from, to))
    }
}

/// A day, or a moment.
pub(crate) enum Edge {
    Day { first: Timestamp, after: Timestamp },
    Moment(Timestamp),
}

impl Edge {
    /// Where what begins here begins.
    pub(crate) fn first(&self) -> Timestamp {
        match self {
            Self::Day { first, .. } => *first,
            Self::Moment(moment) => *moment,
        }
    }

    /// Where what ends here ends: a day is in it, a moment is not.
    pub(crate) fn after(&self) -> Timestamp {
        match self {
            Self::Day { after, .. } => *after,
            Self::Moment(moment) => *moment,
        }
    }
}

/// Reads `2026-11-23`, a day of the operator's calendar, or an RFC 3339 moment.
pub(crate) fn moment(
    field: &'static str,
    text: &str,
    calendar: Calendar,
) -> Result<Edge, ApiError> {
    if let Some(moment) = Timestamp::parse_rfc3339(text) {
        return Ok(Edge::Moment(moment));
    }
    let as_if_utc = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
    let day = as_if_utc.filter(|_| text.len() == 10).map(|day| Hour::of(Calendar::UTC, day));
    let why = "must be a day such as 2026-11-23, or a moment such as 2026-11-23T08:00:00Z";
    let day = day.ok_or(ApiError::Invalid { field, why })?;
    Ok(Edge::Day { first: day.start(calendar), after: day.next_day().start(calendar) })
}

/// What to tell apart.
#[derive(Debug)]
pub(crate) struct Distinctions {
    pub(crate) grain: Grain,
    pub(crate) by: Vec<Dimension>,
}

impl Distinctions {
    /// Reads such as `day,model`.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let why = "must be a list of key, group, account, model, and one of month, day, hour";
        let invalid = ApiError::Invalid { field: "by", why };
        let (mut grain, mut by) = (Grain::Whole, Vec::new());
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let finer = match word {
                "key" => Err(Dimension::Key),
                "group" => Err(Dimension::Group),
                "account" => Err(Dimension::Account),
                "model" => Err(Dimension::Model),
                "month" => Ok(Grain::Month),
                "day" => Ok(Grain::Day),
                "hour" => Ok(Grain::Hour),
                _ => return Err(invalid),
            };
            match finer {
                Err(dimension) if !by.contains(&dimension) => by.push(dimension),
                Ok(finer) if grain == Grain::Whole => grain = finer,
                Ok(_) | Err(_) => return Err(invalid),
            }
        }
        Ok(Self { grain, by })
    }
}

/// The question that the query amounts to.
pub(crate) fn question(
    session: &Session,
    range: AskedRange<'_>,
    distinctions: &Distinctions,
    filter: StatisticsFilter,
) -> Result<StatisticsQuery, ApiError> {
    let (calendar, now) = (session.usage().calendar(), session.now());
    let range = range.moments(calendar, now)?;
    let Distinctions { grain, by } = distinctions;
    StatisticsQuery::new((calendar, now), range, *grain, by, filter)
        .map_err(|why| ApiError::bad_request(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_operators_and_moments_are_moments() {
        let calendar = Calendar::with_offset_minutes(480).unwrap();
        let now = Timestamp::parse_rfc3339("2026-11-23T20:00:00Z").unwrap();
        let cases = [
            (None, None, "2026-10-25T16:00:00.000Z", "2026-11-24T16:00:00.000Z"),
            (
                Some("2026-11-01"),
                Some("2026-11-02"),
                "2026-10-31T16:00:00.000Z",
                "2026-11-02T16:00:00.000Z",
            ),
            (
                Some("2026-11-01T08:00:00+08:00"),
                Some("2026-11-02T00:00:00Z"),
                "2026-11-01T00:00:00.000Z",
                "2026-11-02T00:00:00.000Z",
            ),
        ];
        for (from, to, first, after) in cases {
            let (found_first, found_after) =
                AskedRange { from, to }.moments(calendar, now).unwrap();
            assert_eq!(
                (found_first.to_string(), found_after.to_string()),
                (first.into(), after.into())
            );
        }
        for text in ["yesterday", "2026-13-01", "2026-11-1", "20261101", ""] {
            assert!(moment("from", text, calendar).is_err(), "{text:?}");
        }
    }

    #[test]
    fn distinctions_are_read_or_refused() {
        let both = Distinctions::parse("day, model").unwrap();
        assert_eq!((both.grain, both.by), (Grain::Day, vec![Dimension::Model]));
        assert_eq!(Distinctions::parse("").unwrap().grain, Grain::Whole);
        for text in ["day,hour", "key,key", "week", "keys"] {
            assert!(Distinctions::parse(text).is_err(), "{text}");
        }
    }
}
