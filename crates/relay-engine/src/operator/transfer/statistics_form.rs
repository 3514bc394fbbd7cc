//! Statistics in the file: as they are stored, for both stores keep them in one form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relay_store::statistics::{Fresh, Hour, SegmentName, State, Table};
use relay_store::{StatisticsProgress, StoredSegment};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub(super) struct SegmentForm {
    table: String,
    /// The number of its first hour.
    start: u32,
    /// In base64.
    parts: Vec<String>,
}

#[derive(Deserialize, Serialize)]
pub(super) struct ProgressForm {
    state: Option<State>,
    /// Hours and cells, these in base64.
    fresh: Vec<(u32, String)>,
}

impl From<StoredSegment> for SegmentForm {
    fn from(StoredSegment { name, parts }: StoredSegment) -> Self {
        let parts = parts.iter().map(|part| STANDARD.encode(part)).collect();
        Self { table: name.table.name().to_owned(), start: name.start.number(), parts }
    }
}

impl SegmentForm {
    /// The segment, if there are such.
    pub(super) fn into_segment(self) -> Option<StoredSegment> {
        let table = Table::ALL.into_iter().find(|table| table.name() == self.table)?;
        let parts = self.parts.iter().map(|part| STANDARD.decode(part).ok());
        let parts = parts.collect::<Option<_>>()?;
        let name = SegmentName { table, start: Hour::from_number(self.start) };
        Some(StoredSegment { name, parts })
    }
}

impl From<StatisticsProgress> for ProgressForm {
    fn from(StatisticsProgress { state, fresh }: StatisticsProgress) -> Self {
        let fresh = fresh.iter();
        let fresh = fresh.map(|fresh| (fresh.hour.number(), STANDARD.encode(&fresh.written)));
        Self { state, fresh: fresh.collect() }
    }
}

impl ProgressForm {
    /// The same, if it can be read.
    pub(super) fn into_progress(self) -> Option<StatisticsProgress> {
        let fresh = self.fresh.into_iter().map(|(hour, cells)| {
            let written = STANDARD.decode(cells).ok()?;
            Some(Fresh { hour: Hour::from_number(hour), written })
        });
        Some(StatisticsProgress { state: self.state, fresh: fresh.collect::<Option<_>>()? })
    }
}
