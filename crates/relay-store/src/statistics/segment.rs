//! The names under which cells are stored.

use std::fmt;

use relay_domain::PeriodKind;

use super::hours::Hour;
use super::query::Dimension;

/// The kinds of segment. A coarser one has fewer dimensions, for they are what makes it large.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// An hour, in all dimensions.
    HourCells,
    /// A day, in all dimensions.
    DayCells,
    /// A day, by account and model.
    DayPool,
    /// A month, by key, group and model.
    MonthKeys,
    /// A month, by account and model.
    MonthPool,
}

impl Table {
    /// Its number, as a column has it.
    pub const fn number(self) -> u8 {
        match self {
            Self::HourCells => 0,
            Self::DayCells => 1,
            Self::DayPool => 2,
            Self::MonthKeys => 3,
            Self::MonthPool => 4,
        }
    }

    /// Its name, as a part of other names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HourCells => "hour",
            Self::DayCells => "day",
            Self::DayPool => "day-pool",
            Self::MonthKeys => "month",
            Self::MonthPool => "month-pool",
        }
    }

    /// How long the periods of its segments are.
    pub(super) const fn period(self) -> PeriodKind {
        match self {
            Self::HourCells => PeriodKind::Hour,
            Self::DayCells | Self::DayPool => PeriodKind::Day,
            Self::MonthKeys | Self::MonthPool => PeriodKind::Month,
        }
    }

    /// Whether its cells tell `dimension` apart.
    pub(super) fn has(self, dimension: Dimension) -> bool {
        match self {
            Self::HourCells | Self::DayCells => true,
            Self::DayPool | Self::MonthPool => {
                matches!(dimension, Dimension::Account | Dimension::Model)
            }
            Self::MonthKeys => dimension != Dimension::Account,
        }
    }
}

/// The name of a segment: a period's cells in one table.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SegmentName {
    /// Which table.
    pub table: Table,
    /// The first hour of its period.
    pub start: Hour,
}

impl SegmentName {
    /// The segment of `table` in whose period `hour` lies.
    pub(super) fn of(table: Table, hour: Hour) -> Self {
        let start = match table.period() {
            PeriodKind::Hour => hour,
            PeriodKind::Day => hour.day(),
            PeriodKind::Month | PeriodKind::Total => hour.month(),
        };
        Self { table, start }
    }
}

impl fmt::Display for SegmentName {
    /// Such as `day:2026-11-23`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.table.name(), self.start.period(self.table.period()))
    }
}
