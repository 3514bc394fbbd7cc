//! Statistics: what was used in any range of time, by key, group, account and model.
//!
//! Both adapters keep the same thing, in one form that only this module reads. What a commit counts is a
//! handful of [`Cells`]: one for each key, group, account and model that occur in it, with sums. They are
//! appended as they are, in the same atomic step as the settlement. Later, off every request's path, they are folded into the segment of their hour ([`Fold`]); the hours of a day
//! that is over become segments of that day, and the days of a month those of the month ([`Roll`]). A
//! query reads the coarsest segments that fit into its range and asks for no more dimensions than they
//! have ([`Plan`]), and adds them up ([`Tallying`]).
//!
//! So an adapter only stores bytes under names. It owes three things: the append is atomic with the
//! settlement; a [`Change`] is made whole, and only if the state is still the one that it was made from;
//! a query reads state, fresh cells and segments of one moment.

mod cells;
mod codec;
mod column;
mod commit;
mod hours;
mod leb128;
mod name;
mod numbering;
mod numbers;
mod plan;
mod query;
mod roll;
mod segment;
mod tallying;

pub use cells::Cells;
pub use codec::Malformed;
pub use commit::CommitCells;
pub use hours::Hour;
pub use plan::{Piece, Plan};
pub use query::{
    Dimension, Grain, MAX_ROWS, RangeError, Statistics, StatisticsFilter, StatisticsQuery,
    StatisticsRow,
};
pub use roll::{Change, Fold, Fresh, Roll, State};
pub use segment::{SegmentName, Table};
pub use tallying::Tallying;
