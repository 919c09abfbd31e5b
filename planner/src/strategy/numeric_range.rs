//! Ranges of a numeric column, cut by the distribution of its values, so that sparse ids give neither hundreds of
//! empty chunks nor one giant one.
//!
//! The source counts rows per value, orders the values and groups them into buckets of about a fraction of a chunk
//! (`aggregate::sql`). Within a bucket it tells how many rows lie before its last value: a bucket can be split there,
//! which is all that is needed to keep every chunk within the limit without asking again.

use thaw_model::range::NumericPart;
use thaw_model::{ChunkRange, SfIdent};

use super::PlannedChunk;

/// A stretch of neighbouring values as the source counted it. Buckets arrive in ascending order of their values and
/// do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The least value, as decimal text.
    pub low: String,
    /// The greatest value, as decimal text.
    pub high: String,
    /// Rows of all its values.
    pub rows: u64,
    /// Rows of all its values but the greatest.
    pub rows_before_high: u64,
}

/// A stretch that is not split further.
struct Unit<'a> {
    low: &'a str,
    rows: u64,
}

/// Packs buckets into chunks of at most `limit` rows; a single value with more rows is a chunk of its own. The rows
/// whose column is NULL get a chunk of their own. The first and the last range are open, so that together with the
/// NULL chunk the ranges cover every row there can be.
#[must_use]
pub fn cut(column: &SfIdent, buckets: &[Bucket], null_rows: u64, limit: u64) -> Vec<PlannedChunk> {
    let mut chunks = Vec::new();
    if null_rows > 0 {
        chunks.push(PlannedChunk {
            range: ChunkRange::NumericRange { column: column.clone(), part: NumericPart::Nulls {} },
            expected_rows: null_rows,
        });
    }
    let packs = pack(&units(buckets), limit);
    for (position, pack) in packs.iter().enumerate() {
        let low = (position > 0).then(|| pack.low.to_owned());
        let high = packs.get(position + 1).map(|next| next.low.to_owned());
        chunks.push(PlannedChunk {
            range: ChunkRange::NumericRange {
                column: column.clone(),
                part: NumericPart::Between { low, high },
            },
            expected_rows: pack.rows,
        });
    }
    chunks
}

fn units(buckets: &[Bucket]) -> Vec<Unit<'_>> {
    let mut units = Vec::with_capacity(buckets.len() * 2);
    for bucket in buckets {
        if bucket.rows_before_high > 0 {
            units.push(Unit { low: &bucket.low, rows: bucket.rows_before_high });
        }
        units.push(Unit { low: &bucket.high, rows: bucket.rows.saturating_sub(bucket.rows_before_high) });
    }
    units
}

fn pack<'a>(units: &[Unit<'a>], limit: u64) -> Vec<Unit<'a>> {
    let mut packs: Vec<Unit<'a>> = Vec::new();
    for unit in units {
        match packs.last_mut() {
            Some(last) if last.rows + unit.rows <= limit => last.rows += unit.rows,
            _ => packs.push(Unit { low: unit.low, rows: unit.rows }),
        }
    }
    packs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What the source's aggregate answers for a distribution: an independent statement of `aggregate::sql`.
    fn buckets_of(distribution: &BTreeMap<i64, u64>, grain: u64) -> Vec<Bucket> {
        let mut grouped: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
        let mut before = 0;
        for (value, rows) in distribution {
            grouped.entry(before / grain).or_default().push((*value, *rows));
            before += rows;
        }
        grouped
            .into_values()
            .map(|values| {
                let rows: u64 = values.iter().map(|(_, rows)| rows).sum();
                Bucket {
                    low: values.first().expect("not empty").0.to_string(),
                    high: values.last().expect("not empty").0.to_string(),
                    rows,
                    rows_before_high: rows - values.last().expect("not empty").1,
                }
            })
            .collect()
    }

    fn covers(part: &NumericPart, value: Option<i64>) -> bool {
        let number = |text: &String| text.parse::<i64>().expect("a number");
        match (part, value) {
            (NumericPart::Nulls {}, None) => true,
            (NumericPart::Nulls {}, Some(_)) | (NumericPart::Between { .. }, None) => false,
            (NumericPart::Between { low, high }, Some(value)) => {
                low.as_ref().is_none_or(|low| number(low) <= value)
                    && high.as_ref().is_none_or(|high| value < number(high))
            }
        }
    }

    fn part_of(chunk: &PlannedChunk) -> &NumericPart {
        match &chunk.range {
            ChunkRange::NumericRange { part, .. } => part,
            ChunkRange::SingleChunk {} => panic!("not a numeric range"),
        }
    }

    #[test]
    fn note_02_sparse_ids_give_no_empty_and_no_giant_chunk() {
        let mut distribution: BTreeMap<i64, u64> = (0..10_000).map(|id| (id, 1)).collect();
        distribution.extend((0..10_000).map(|id| (1_000_000_000_000 + id * 97, 1)));
        let chunks = cut(&SfIdent::exact("ID"), &buckets_of(&distribution, 125), 0, 1000);
        assert!(chunks.iter().all(|chunk| (500..=1000).contains(&chunk.expected_rows)), "{chunks:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_row_is_in_exactly_one_chunk_and_no_chunk_is_too_large(
            distribution in prop::collection::btree_map(-1000_i64..1000, prop_oneof![8 => 1_u64..20, 1 => 100_u64..5000], 0..200),
            null_rows in 0_u64..50,
            limit in 1_u64..300,
        ) {
            let grain = (limit / 8).max(1);
            let chunks = cut(&SfIdent::exact("ID"), &buckets_of(&distribution, grain), null_rows, limit);
            let counted: u64 = chunks.iter().map(|chunk| chunk.expected_rows).sum();
            prop_assert_eq!(counted, distribution.values().sum::<u64>() + null_rows);
            for value in distribution.keys().map(|value| Some(*value)).chain((null_rows > 0).then_some(None)) {
                let holders = chunks.iter().filter(|chunk| covers(part_of(chunk), value)).count();
                prop_assert_eq!(holders, 1, "value {:?}", value);
            }
            for chunk in &chunks {
                let values: Vec<u64> = distribution.iter()
                    .filter(|(value, _)| covers(part_of(chunk), Some(**value)))
                    .map(|(_, rows)| *rows).collect();
                if part_of(chunk) != &(NumericPart::Nulls {}) {
                    prop_assert_eq!(values.iter().sum::<u64>(), chunk.expected_rows);
                    prop_assert!(chunk.expected_rows <= limit || values.len() == 1);
                }
            }
        }
    }
}
