//! Ranges of a numeric column, cut by the distribution of its values, so that sparse ids give neither hundreds of
//! empty chunks nor one giant one.
//!
//! Numbers kept as text are compared as numbers (field note 21); what is no number gets a chunk of its own.

use thaw_model::range::NumericPart;
use thaw_model::{ChunkRange, SfIdent};

use super::distribution::{Distribution, pack, units};
use super::{Limits, PlannedChunk};

/// Packs the values into chunks of at most the limit; a single value with more rows is a chunk of its own. NULLs, and
/// texts that are no number, get a chunk each. The first and the last range are open, so that with those two the
/// ranges cover every row there can be.
#[must_use]
pub fn cut(
    column: &SfIdent,
    as_number: bool,
    distribution: &Distribution,
    limits: Limits,
) -> Vec<PlannedChunk> {
    let chunk = |part, expected_rows| PlannedChunk {
        range: ChunkRange::NumericRange { column: column.clone(), part },
        expected_rows,
    };
    let mut chunks = Vec::new();
    if limits.covers(distribution.null_rows) {
        chunks.push(chunk(NumericPart::Nulls {}, distribution.null_rows));
    }
    if as_number && limits.covers(distribution.unparsed_rows) {
        chunks.push(chunk(NumericPart::Unparsed {}, distribution.unparsed_rows));
    }
    let units = units(&distribution.buckets);
    let packs = pack(&units, limits.rows);
    for (position, pack) in packs.iter().enumerate() {
        let low = (position > 0).then(|| pack.low().to_owned());
        let high = packs.get(position + 1).map(|next| next.low().to_owned());
        chunks.push(chunk(NumericPart::Between { low, high }, pack.rows));
    }
    if packs.is_empty() && limits.covers(0) {
        chunks.push(chunk(NumericPart::Between { low: None, high: None }, 0));
    }
    chunks
}
