//! Cutting a table into chunks: pure functions over what the aggregate query found, one file a strategy.
//!
//! Knows no database and no clock. The property that holds for every strategy: the chunks of a plan select each
//! row of the source exactly once, and none is larger than the limit unless it is one value that cannot be split.

pub mod choose;
pub mod numeric_range;
pub mod single_chunk;

use thaw_model::ChunkRange;

/// A chunk before it has a number: its range and the rows the aggregate counted in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChunk {
    pub range: ChunkRange,
    pub expected_rows: u64,
}
