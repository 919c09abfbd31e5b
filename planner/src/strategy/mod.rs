//! Cutting a table into chunks: pure functions over what the aggregate query found, one file a strategy.
//!
//! Knows no database and no clock. The property that holds for every strategy: the chunks of a plan select each
//! row of the source exactly once, and none is larger than the limit unless it is one value that cannot be split.

pub mod choose;
pub mod cut;
pub mod date_range;
pub mod distribution;
pub mod grouped_values;
pub mod numeric_range;
pub mod offset_based;
pub mod order;
pub mod single_chunk;

#[cfg(test)]
mod field_notes;
#[cfg(test)]
mod tests;

use thaw_model::ChunkRange;

/// A chunk before it has a number: its range and the rows the aggregate counted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChunk {
    pub range: ChunkRange,
    pub expected_rows: u64,
}

/// What every strategy keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a chunk; at least 1.
    pub rows: u64,
    /// The count and every chunk read the same moment, so what was not counted is not there.
    pub has_snapshot: bool,
}

impl Limits {
    /// Whether a set with so many counted rows needs a chunk: without a snapshot a row may come into it after the count.
    fn covers(self, counted: u64) -> bool {
        counted > 0 || !self.has_snapshot
    }
}
