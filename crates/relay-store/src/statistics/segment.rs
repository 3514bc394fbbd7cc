//! The names under which cells are stored.

use std::fmt;

use relay_domain::PeriodKind;

use super::hours::Hour;
use super::query::Dimension;

/// The kinds of segment. What tells fewer dimensions apart has fewer cells, and answers the questions that
/// ask for no more.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// An hour, in all dimensions.
    HourCells,
    /// A day, in all dimensions.
    DayCells,
    /// A day, by account and model.
    DayPool,
    /// A day, by group and model.
    DayTeams,
    /// A month, by key, group and model.
    MonthKeys,
    /// A month, by account and model.
    MonthPool,
    /// A month, by group and model.
    MonthTeams,
    /// A month, by key and group.
    MonthOwners,
}

/// Those of days, the smallest first as a rule.
pub(super) const DAYS: [Table; 3] = [Table::DayTeams, Table::DayPool, Table::DayCells];
/// Those of months, the smallest first as a rule.
pub(super) const MONTHS: [Table; 4] =
    [Table::MonthTeams, Table::MonthPool, Table::MonthOwners, Table::MonthKeys];

impl Table {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::HourCells,
        Self::DayCells,
        Self::DayPool,
        Self::DayTeams,
        Self::MonthKeys,
        Self::MonthPool,
        Self::MonthTeams,
        Self::MonthOwners,
    ];

    /// Its number, as a column has it.
    pub const fn number(self) -> u8 {
        match self {
            Self::HourCells => 0,
            Self::DayCells => 1,
            Self::DayPool => 2,
            Self::MonthKeys => 3,
            Self::MonthPool => 4,
            Self::DayTeams => 5,
            Self::MonthTeams => 6,
            Self::MonthOwners => 7,
        }
    }

    /// Its name, as a part of other names.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HourCells => "hour",
            Self::DayCells => "day",
            Self::DayPool => "day-pool",
            Self::DayTeams => "day-teams",
            Self::MonthKeys => "month",
            Self::MonthPool => "month-pool",
            Self::MonthTeams => "month-teams",
            Self::MonthOwners => "month-owners",
        }
    }

    /// How long the periods of its segments are.
    pub(super) const fn period(self) -> PeriodKind {
        match self {
            Self::HourCells => PeriodKind::Hour,
            Self::DayCells | Self::DayPool | Self::DayTeams => PeriodKind::Day,
            Self::MonthKeys | Self::MonthPool | Self::MonthTeams | Self::MonthOwners => {
                PeriodKind::Month
            }
        }
    }

    /// Whether its cells tell `dimension` apart.
    pub(super) fn has(self, dimension: Dimension) -> bool {
        match self {
            Self::HourCells | Self::DayCells => true,
            Self::DayPool | Self::MonthPool => {
                matches!(dimension, Dimension::Account | Dimension::Model)
            }
            Self::DayTeams | Self::MonthTeams => {
                matches!(dimension, Dimension::Group | Dimension::Model)
            }
            Self::MonthOwners => matches!(dimension, Dimension::Key | Dimension::Group),
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
