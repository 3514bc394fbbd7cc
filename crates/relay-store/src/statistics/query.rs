//! What can be asked, and what is answered.

use relay_domain::{AccountId, Calendar, GroupId, KeyId, ModelName, Period, PeriodKind, Timestamp};

use super::hours::Hour;
use super::segment::{DAYS, MONTHS, Table};
use crate::UsageTotals;

/// For so many days before today, single hours can be told apart.
pub(super) const HOURS_KEPT_DAYS: u32 = 35;
/// For so many months before the present one, single days can be told apart.
pub(super) const DAYS_KEPT_MONTHS: u32 = 13;
/// For so many months before the present one, there is anything.
pub(super) const MONTHS_KEPT: u32 = 120;

/// The most rows that an answer has: what an answer takes of memory is bounded.
pub const MAX_ROWS: usize = 50_000;

/// What usage is told apart by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dimension {
    /// The API key.
    Key,
    /// The group of the key, as it was at the time.
    Group,
    /// The account that served.
    Account,
    /// The model that was served; the one that was asked for where the provider did not say.
    Model,
}

impl Dimension {
    /// Every dimension, in the order in which they are stored.
    pub const ALL: [Self; 4] = [Self::Key, Self::Group, Self::Account, Self::Model];

    /// Its place in [`ALL`](Self::ALL).
    pub(super) const fn place(self) -> usize {
        match self {
            Self::Key => 0,
            Self::Group => 1,
            Self::Account => 2,
            Self::Model => 3,
        }
    }
}

/// How finely time is told apart.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Grain {
    /// Not at all: the whole range.
    Whole,
    /// By calendar months.
    Month,
    /// By calendar days.
    Day,
    /// By hours.
    Hour,
}

impl Grain {
    /// The kind of its periods; `None` for the whole range.
    pub(super) const fn period(self) -> Option<PeriodKind> {
        match self {
            Self::Whole => None,
            Self::Month => Some(PeriodKind::Month),
            Self::Day => Some(PeriodKind::Day),
            Self::Hour => Some(PeriodKind::Hour),
        }
    }
}

/// Only what has all of these. Nothing is no condition.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StatisticsFilter {
    /// Of this key.
    pub key: Option<KeyId>,
    /// Of this group.
    pub group: Option<GroupId>,
    /// Through this account.
    pub account: Option<AccountId>,
    /// Of this model.
    pub model: Option<ModelName>,
}

impl StatisticsFilter {
    /// The conditions as texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (Dimension, &str)> {
        let texts = [
            (Dimension::Key, self.key.as_ref().map(KeyId::as_str)),
            (Dimension::Group, self.group.as_ref().map(GroupId::as_str)),
            (Dimension::Account, self.account.as_ref().map(AccountId::as_str)),
            (Dimension::Model, self.model.as_ref().map(ModelName::as_str)),
        ];
        texts.into_iter().filter_map(|(dimension, text)| Some((dimension, text?)))
    }
}

/// Why a range cannot be answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RangeError {
    /// It holds no moment.
    #[error("the range must end after it begins")]
    Empty,
    /// It needs single hours that are not kept any more.
    #[error(
        "single hours are kept for {HOURS_KEPT_DAYS} days: begin and end such a range with a whole day"
    )]
    HoursGone,
    /// It needs single days that are not kept any more.
    #[error(
        "single days, and usage by account together with key or group, are kept for \
         {DAYS_KEPT_MONTHS} months: begin and end such a range with a whole month"
    )]
    DaysGone,
}

/// A question that the store can answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatisticsQuery {
    pub(super) from: Hour,
    pub(super) to: Hour,
    pub(super) grain: Grain,
    pub(super) by: Vec<Dimension>,
    pub(super) filter: StatisticsFilter,
}

impl StatisticsQuery {
    /// Asks for the hours from the one in which `from` lies up to the last that begins before `to`, told
    /// apart by `grain` and `by`.
    ///
    /// # Errors
    ///
    /// [`RangeError`] if the range is empty, or so old that it is not kept as finely as it is asked for.
    pub fn new(
        (calendar, now): (Calendar, Timestamp),
        (from, to): (Timestamp, Timestamp),
        grain: Grain,
        by: &[Dimension],
        filter: StatisticsFilter,
    ) -> Result<Self, RangeError> {
        if to <= from {
            return Err(RangeError::Empty);
        }
        let last = Timestamp::from_millis(to.as_millis().saturating_sub(1));
        let after = Hour::of(calendar, last).plus(1);
        let (from, now) = (Hour::of(calendar, from), Hour::of(calendar, now));
        // Nothing is older, and the clocks of several instances differ by less than an hour.
        let from = from.max(now.minus_months(MONTHS_KEPT));
        let to = after.min(now.plus(2)).max(from);
        let mut by = by.to_vec();
        by.sort_unstable();
        by.dedup();
        let query = Self { from, to, grain, by, filter };
        query.check_kept(now).map(|()| query)
    }

    fn check_kept(&self, now: Hour) -> Result<(), RangeError> {
        let hours_since = now.day().minus_days(HOURS_KEPT_DAYS);
        let edges = [self.from, self.to];
        let cuts_a_day = edges.iter().any(|edge| *edge != edge.day() && *edge < hours_since);
        if cuts_a_day || (self.grain == Grain::Hour && self.from < hours_since) {
            return Err(RangeError::HoursGone);
        }
        let days_since = now.minus_months(DAYS_KEPT_MONTHS);
        let cuts_a_month = edges.iter().any(|edge| *edge != edge.month() && *edge < days_since);
        let needs_days = self.grain == Grain::Day || self.table(PeriodKind::Month).is_none();
        if cuts_a_month || (needs_days && self.from < days_since) {
            return Err(RangeError::DaysGone);
        }
        Ok(())
    }

    /// The smallest table of such periods that tells apart all that is asked for.
    pub(super) fn table(&self, period: PeriodKind) -> Option<Table> {
        let tables: &[Table] = match period {
            PeriodKind::Hour => &[Table::HourCells],
            PeriodKind::Day => &DAYS,
            PeriodKind::Month => &MONTHS,
            PeriodKind::Total => &[],
        };
        let filtered = self.filter.texts().map(|(dimension, _)| dimension);
        let asked: Vec<_> = self.by.iter().copied().chain(filtered).collect();
        tables.iter().copied().find(|table| asked.iter().all(|dimension| table.has(*dimension)))
    }
}

/// One line of an answer. What was not asked to be told apart is `None`, and so is what there was not: a
/// key without a group, a request without an account.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatisticsRow {
    /// Which period; `None` for the whole range.
    pub period: Option<Period>,
    /// Which key.
    pub key: Option<KeyId>,
    /// Which group.
    pub group: Option<GroupId>,
    /// Which account.
    pub account: Option<AccountId>,
    /// Which model.
    pub model: Option<ModelName>,
    /// What was used.
    pub totals: UsageTotals,
}

/// An answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statistics {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends; this moment is not in it.
    pub to: Timestamp,
    /// All of it.
    pub total: UsageTotals,
    /// Only rows in which anything was used, by period and then by cost, the greatest first. `None`: there
    /// are more than [`MAX_ROWS`].
    pub rows: Option<Vec<StatisticsRow>>,
}
