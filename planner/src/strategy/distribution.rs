//! What the source counted along the chunking column, and how neighbouring values are packed into chunks.
//!
//! The source counts rows per value and orders the values. Few values come one by one; many come grouped into buckets of
//! about a fraction of a chunk, each with the rows before its last value: a bucket can be split there, which is all that
//! is needed to keep every chunk within the limit without asking again (`aggregate::sql`).

/// A stretch of neighbouring values as the source counted it. Buckets arrive in ascending order of their values and
/// do not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// The least value: a decimal, a text, or a day (`2024-01-10`).
    pub low: String,
    /// The greatest value; the same as `low` where the bucket is one value.
    pub high: String,
    /// Rows of all its values.
    pub rows: u64,
    /// Rows of all its values but the greatest.
    pub rows_before_high: u64,
}

/// Everything the strategies need to know of a table's chunking column.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    pub buckets: Vec<Bucket>,
    /// Rows whose chunking column is NULL.
    pub null_rows: u64,
    /// Rows whose text is no number, where numbers are wanted.
    pub unparsed_rows: u64,
}

/// A stretch that is not split further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unit<'a> {
    pub(super) low: &'a str,
    pub(super) rows: u64,
    /// `low` is all there is of it.
    pub(super) is_one_value: bool,
}

/// Neighbouring units of one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pack<'a> {
    pub(super) units: &'a [Unit<'a>],
    pub(super) rows: u64,
}

impl<'a> Pack<'a> {
    /// Where it begins.
    pub(super) fn low(&self) -> &'a str {
        self.units.first().map_or("", |unit| unit.low)
    }
}

/// The stretches of all buckets, in order. Buckets that begin alike (days that four digits cannot name) are one.
pub(super) fn units(buckets: &[Bucket]) -> Vec<Unit<'_>> {
    let mut units: Vec<Unit<'_>> = Vec::with_capacity(buckets.len());
    for bucket in buckets {
        let is_one_value = bucket.low == bucket.high;
        if bucket.rows_before_high > 0 && !is_one_value {
            add(&mut units, &bucket.low, bucket.rows_before_high, false);
            add(&mut units, &bucket.high, bucket.rows.saturating_sub(bucket.rows_before_high), true);
        } else {
            add(&mut units, &bucket.high, bucket.rows, true);
        }
    }
    units
}

fn add<'a>(units: &mut Vec<Unit<'a>>, low: &'a str, rows: u64, is_one_value: bool) {
    match units.last_mut() {
        Some(last) if last.low == low => {
            last.rows = last.rows.saturating_add(rows);
            last.is_one_value &= is_one_value;
        }
        _ => units.push(Unit { low, rows, is_one_value }),
    }
}

/// Fills chunks of at most `limit` rows in order; a unit with more rows is alone. The last one is no exception.
pub(super) fn pack<'a>(units: &'a [Unit<'a>], limit: u64) -> Vec<Pack<'a>> {
    let mut packs = Vec::new();
    let (mut first, mut rows) = (0, 0_u64);
    for (position, unit) in units.iter().enumerate() {
        let together = rows.saturating_add(unit.rows);
        if position > first && together > limit {
            packs.push(Pack { units: &units[first..position], rows });
            (first, rows) = (position, unit.rows);
        } else {
            rows = together;
        }
    }
    if first < units.len() {
        packs.push(Pack { units: &units[first..], rows });
    }
    packs
}
