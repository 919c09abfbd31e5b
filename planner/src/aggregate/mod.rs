//! Asks the aggregate query and reads its answer into the facts the strategies cut by.

pub mod sql;

use thaw_snowflake::{Client, SnowflakeError, Statement};

use crate::strategy::numeric_range::Bucket;

/// What one aggregate query told about a table, under the plan's snapshot, filter and bound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TableCounts {
    pub rows: u64,
    pub null_watermarks: u64,
    /// The greatest watermark at or below the question's ceiling, as the wire spells a value of its type, every digit
    /// kept; `None` where there is none.
    pub greatest_watermark: Option<String>,
    /// Rows whose watermark lies above the ceiling.
    pub rows_above_snapshot: u64,
    /// In the order of the key columns asked for.
    pub null_keys: Vec<u64>,
    /// Rows whose chunking column is NULL.
    pub null_rows: u64,
    pub buckets: Vec<Bucket>,
}

/// Why an aggregate could not be had.
#[derive(Debug, thiserror::Error)]
pub enum AggregateError {
    #[error("the source could not be counted")]
    Source(#[from] SnowflakeError),
    #[error("the source's count has an unexpected form at column {column} of row {row}")]
    Malformed { row: usize, column: usize },
}

/// Counts everything in one row.
///
/// # Errors
/// The source's refusal, or an answer that is no count.
pub async fn totals(client: &Client, statement: &Statement) -> Result<TableCounts, AggregateError> {
    let answer = client.query(statement).await?;
    let row = answer.rows.first().ok_or(AggregateError::Malformed { row: 0, column: 0 })?;
    let reader = Reader { row, position: 0 };
    Ok(TableCounts {
        rows: reader.count(0)?,
        greatest_watermark: reader.text(1).map(str::to_owned),
        null_watermarks: reader.count(2)?,
        rows_above_snapshot: reader.count(3)?,
        null_keys: (4..row.len()).map(|column| reader.count(column)).collect::<Result<_, _>>()?,
        ..TableCounts::default()
    })
}

/// Counts by buckets of the chunking column.
///
/// # Errors
/// The source's refusal, or an answer that is no distribution.
pub async fn distribution(client: &Client, statement: &Statement) -> Result<TableCounts, AggregateError> {
    let answer = client.query(statement).await?;
    let mut counts = TableCounts::default();
    for (position, row) in answer.rows.iter().enumerate() {
        let reader = Reader { row, position };
        let rows = reader.count(3)?;
        counts.rows += rows;
        counts.greatest_watermark = reader.text(5).map(str::to_owned);
        counts.null_watermarks += reader.count(6)?;
        counts.rows_above_snapshot += reader.count(7)?;
        counts.null_keys.resize(row.len().saturating_sub(8), 0);
        for (sum, column) in counts.null_keys.iter_mut().zip(8..) {
            *sum += reader.count(column)?;
        }
        if reader.text(1).is_none() {
            counts.null_rows += rows;
            continue;
        }
        counts.buckets.push(Bucket {
            low: reader.value(1)?,
            high: reader.value(2)?,
            rows,
            rows_before_high: reader.count(4)?,
        });
    }
    Ok(counts)
}

struct Reader<'a> {
    row: &'a [Option<String>],
    position: usize,
}

impl Reader<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        self.row.get(column)?.as_deref()
    }

    fn value(&self, column: usize) -> Result<String, AggregateError> {
        self.text(column).map(str::to_owned).ok_or(AggregateError::Malformed { row: self.position, column })
    }

    /// A count may come as `12` or, after arithmetic, as `12.000000`.
    fn count(&self, column: usize) -> Result<u64, AggregateError> {
        let malformed = AggregateError::Malformed { row: self.position, column };
        let Some(text) = self.text(column) else { return Err(malformed) };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if fraction.bytes().any(|digit| digit != b'0') {
            return Err(malformed);
        }
        whole.parse().map_err(|_| malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_may_carry_an_empty_fraction_but_no_other() {
        let row = [Some("12".to_owned()), Some("12.000".to_owned()), Some("1.5".to_owned()), None];
        let reader = Reader { row: &row, position: 0 };
        assert_eq!(reader.count(0).expect("a count"), 12);
        assert_eq!(reader.count(1).expect("a count"), 12);
        assert!(reader.count(2).is_err());
        assert!(reader.count(3).is_err());
    }
}
