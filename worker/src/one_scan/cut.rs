//! Cutting a result into chunks: runs of whole partitions near the size of a chunk. Pure; it knows no database.

use thaw_model::range::ResultPart;
use thaw_snowflake::PartitionInfo;

/// Cuts. Each partition is in exactly one chunk, in order; a chunk has at most `rows_per_chunk` rows unless it is one
/// partition (with empty ones beside it). A result without rows has no chunk.
#[must_use]
pub fn cut(handle: &str, partitions: &[PartitionInfo], rows_per_chunk: u64) -> Vec<ResultPart> {
    let mut parts: Vec<ResultPart> = Vec::new();
    let mut rows = 0_u64;
    for (number, partition) in (0_u32..).zip(partitions) {
        let fits = rows.saturating_add(partition.row_count) <= rows_per_chunk || rows == 0;
        match parts.last_mut() {
            Some(part) if fits || partition.row_count == 0 => {
                part.rows.push(partition.row_count);
                part.bytes = part.bytes.saturating_add(partition.uncompressed_bytes);
                rows = rows.saturating_add(partition.row_count);
            }
            _ => {
                parts.push(ResultPart {
                    handle: handle.to_owned(),
                    first: number,
                    rows: vec![partition.row_count],
                    bytes: partition.uncompressed_bytes,
                });
                rows = partition.row_count;
            }
        }
    }
    if parts.iter().all(|part| part.row_count() == 0) { Vec::new() } else { parts }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn partitions(rows: &[u64]) -> Vec<PartitionInfo> {
        let partition = |rows: &u64| PartitionInfo {
            row_count: *rows,
            uncompressed_bytes: rows * 100,
            compressed_bytes: Some(rows * 10),
        };
        rows.iter().map(partition).collect()
    }

    fn runs(rows: &[u64], limit: u64) -> Vec<(u32, Vec<u64>)> {
        cut("h", &partitions(rows), limit).into_iter().map(|part| (part.first, part.rows)).collect()
    }

    #[test]
    fn runs_of_partitions_come_near_the_limit_and_no_partition_is_split() {
        assert_eq!(runs(&[4, 4, 4, 4], 10), [(0, vec![4, 4]), (2, vec![4, 4])]);
        assert_eq!(runs(&[25, 4, 6], 10), [(0, vec![25]), (1, vec![4, 6])]);
        assert_eq!(runs(&[10, 10], 10), [(0, vec![10]), (1, vec![10])]);
    }

    #[test]
    fn empty_partitions_are_nobodys_chunk_of_their_own() {
        assert_eq!(runs(&[0, 25, 0, 0, 4], 10), [(0, vec![0, 25, 0, 0]), (4, vec![4])]);
        assert!(runs(&[0, 0, 0], 10).is_empty());
        assert!(runs(&[], 10).is_empty());
    }

    #[test]
    fn twenty_thousand_partitions_are_cut_in_a_moment() {
        let started = Instant::now();
        let parts = cut("h", &partitions(&vec![8_000; 20_000]), 50_000);
        assert_eq!(parts.len(), 3_334);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }

    proptest! {
        #[test]
        fn each_partition_is_in_exactly_one_chunk_and_only_a_partition_exceeds_the_limit(
            rows in prop::collection::vec(prop_oneof![Just(0_u64), 0..40_u64], 0..60),
            limit in 1..60_u64,
        ) {
            let infos = partitions(&rows);
            let parts = cut("h", &infos, limit);
            if rows.iter().sum::<u64>() == 0 {
                prop_assert!(parts.is_empty());
                return Ok(());
            }
            let covered: Vec<(u32, u64)> = parts.iter().flat_map(ResultPart::partitions).collect();
            let all: Vec<(u32, u64)> = (0..).zip(rows.iter().copied()).collect();
            prop_assert_eq!(covered, all);
            for part in &parts {
                let filled = part.rows.iter().filter(|rows| **rows > 0).count();
                prop_assert!(part.row_count() <= limit || filled == 1, "{:?}", part);
                prop_assert_eq!(part.bytes, part.row_count() * 100);
            }
            // Near the limit: two neighbours never fit one chunk together.
            for pair in parts.windows(2) {
                let next = pair[1].rows.iter().copied().find(|rows| *rows > 0).unwrap_or(0);
                prop_assert!(pair[0].row_count() + next > limit, "{:?}", pair);
            }
        }
    }
}
