//! Values of a text column, packed: IN lists while the values are single and few, stretches of values (`low <= c <
//! high` in the source's order) where there are too many.

use thaw_model::ChunkRange;
use thaw_model::range::{TextValue, ValuePart};

use super::distribution::{Distribution, Pack, pack, units};
use super::{Limits, PlannedChunk};

/// Values of one IN list: more make a statement that is parsed longer than it runs.
const LIST_VALUES: usize = 1000;
/// Bytes of the values of one IN list: statements have a limit of 1 MB
/// (docs.snowflake.com/en/user-guide/query-size-limits), and a list is stored with its chunk.
const LIST_BYTES: usize = 64 * 1024;

/// Packs the values into chunks of at most the limit; a single value with more rows is a chunk of its own, and so are the
/// NULLs. Without a snapshot every chunk is a stretch, the first and the last one open, so that a value that nobody has
/// counted is not lost.
#[must_use]
pub fn cut(distribution: &Distribution, limits: Limits) -> Vec<PlannedChunk> {
    let chunk =
        |part, expected_rows| PlannedChunk { range: ChunkRange::GroupedValues { part }, expected_rows };
    let mut chunks = Vec::new();
    if limits.covers(distribution.null_rows) {
        chunks.push(chunk(ValuePart::Nulls {}, distribution.null_rows));
    }
    let units = units(&distribution.buckets);
    let packs = pack(&units, limits.rows);
    for (position, pack) in packs.iter().enumerate() {
        let list = limits.has_snapshot.then(|| list(pack)).flatten();
        let part = list.unwrap_or_else(|| ValuePart::Between {
            low: (position > 0).then(|| TextValue::from(pack.low())),
            high: packs.get(position + 1).map(|next| TextValue::from(next.low())),
        });
        chunks.push(chunk(part, pack.rows));
    }
    if packs.is_empty() && limits.covers(0) {
        chunks.push(chunk(ValuePart::Between { low: None, high: None }, 0));
    }
    chunks
}

/// The pack as an IN list, where it is one of known values and not too long.
fn list(pack: &Pack<'_>) -> Option<ValuePart> {
    let bytes: usize = pack.units.iter().map(|unit| unit.low.len()).sum();
    let fits = pack.units.len() <= LIST_VALUES && bytes <= LIST_BYTES;
    if !fits || pack.units.iter().any(|unit| !unit.is_one_value) {
        return None;
    }
    Some(ValuePart::In { values: pack.units.iter().map(|unit| TextValue::from(unit.low)).collect() })
}
