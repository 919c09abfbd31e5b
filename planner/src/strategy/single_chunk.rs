//! Everything in one chunk: small tables, and tables without a column to cut by.

use thaw_model::ChunkRange;

use super::PlannedChunk;

/// One chunk, or none where there is no row to load.
#[must_use]
pub fn cut(rows: u64) -> Vec<PlannedChunk> {
    if rows == 0 {
        return Vec::new();
    }
    vec![PlannedChunk { range: ChunkRange::SingleChunk {}, expected_rows: rows }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_no_chunk() {
        assert!(cut(0).is_empty());
        assert_eq!(cut(7)[0].expected_rows, 7);
    }
}
