//! Pages of an ordered set of rows: what remains where no column can be cut. Every page sorts the set again at the
//! source, so this is the dearest strategy.

use thaw_model::ChunkRange;
use thaw_model::range::Page;

use super::PlannedChunk;

/// Pages of `limit` rows over all `rows`.
#[must_use]
pub fn cut(rows: u64, limit: u64) -> Vec<PlannedChunk> {
    pages(rows, limit)
        .map(|(page, expected_rows)| PlannedChunk { range: ChunkRange::OffsetBased { page }, expected_rows })
        .collect()
}

/// The pages of a set of `rows` and the rows in each.
pub(super) fn pages(rows: u64, limit: u64) -> impl Iterator<Item = (Page, u64)> {
    let limit = limit.max(1);
    let total_sub_chunks = rows.div_ceil(limit);
    (0..total_sub_chunks).map(move |index| {
        let offset = index * limit;
        (Page { offset, limit, sub_chunk_index: index + 1, total_sub_chunks }, limit.min(rows - offset))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_the_last_one_holds_the_rest() {
        let found: Vec<(u64, u64, u64)> =
            pages(1_399_950, 50_000).map(|(page, rows)| (page.offset, page.sub_chunk_index, rows)).collect();
        assert_eq!(found.len(), 28);
        assert_eq!(found.first(), Some(&(0, 1, 50_000)));
        assert_eq!(found.last(), Some(&(1_350_000, 28, 49_950)));
        assert!(cut(0, 10).is_empty());
    }
}
