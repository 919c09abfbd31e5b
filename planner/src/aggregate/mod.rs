//! Asks the aggregate query and reads its answer into the facts the strategies cut by.

pub mod sql;

use time::{Date, Duration, Month};

use thaw_snowflake::{Client, RowSink, SnowflakeError, Statement};

use crate::strategy::distribution::{Bucket, Distribution};

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
    /// Along the chunking column; empty where only totals were asked for.
    pub distribution: Distribution,
}

/// What the values of a distribution are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Numbers and texts, kept as the wire spells them.
    AsItIs,
    /// Days since 1970-01-01 on the wire, kept as `2024-01-10`.
    Day,
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

/// Counts by buckets of the chunking column. The answer is read as a stream: only the buckets are kept.
///
/// # Errors
/// The source's refusal, or an answer that is no distribution.
pub async fn distribution(
    client: &Client,
    statement: &Statement,
    kind: ValueKind,
) -> Result<TableCounts, AggregateError> {
    let answer = client.submit_sync(statement).await?;
    let mut buckets = Buckets { kind, counts: TableCounts::default(), row: Vec::new(), position: 0 };
    for partition in 0..answer.partitions.len() {
        client.read_partition(&answer, partition, &mut buckets).await?;
    }
    Ok(buckets.counts)
}

/// Takes the rows of [`sql::distribution`].
struct Buckets {
    kind: ValueKind,
    counts: TableCounts,
    row: Vec<Option<String>>,
    position: usize,
}

impl Buckets {
    fn take(&mut self) -> Result<(), AggregateError> {
        let reader = Reader { row: &self.row, position: self.position };
        let keys = 8..self.row.len().saturating_sub(1);
        let rows = reader.count(3)?;
        let counts = &mut self.counts;
        counts.rows = counts.rows.saturating_add(rows);
        counts.greatest_watermark = reader.text(5).map(str::to_owned);
        counts.null_watermarks += reader.count(6)?;
        counts.rows_above_snapshot += reader.count(7)?;
        counts.null_keys.resize(keys.len(), 0);
        for (sum, column) in counts.null_keys.iter_mut().zip(keys) {
            *sum += reader.count(column)?;
        }
        if reader.text(1).is_none() {
            let unparsed = reader.count(self.row.len().saturating_sub(1))?;
            counts.distribution.unparsed_rows += unparsed;
            counts.distribution.null_rows += rows.saturating_sub(unparsed);
            return Ok(());
        }
        counts.distribution.buckets.push(Bucket {
            low: reader.value(1, self.kind)?,
            high: reader.value(2, self.kind)?,
            rows,
            rows_before_high: reader.count(4)?,
        });
        Ok(())
    }
}

impl RowSink for Buckets {
    type Error = AggregateError;

    fn cell(&mut self, _column: usize, value: Option<&str>) -> Result<(), AggregateError> {
        self.row.push(value.map(str::to_owned));
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), AggregateError> {
        self.take()?;
        self.row.clear();
        self.position += 1;
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), AggregateError> {
        Ok(())
    }
}

/// The day so many days after 1970-01-01. A day that four digits cannot name is the first or the last one that they can:
/// ranges are open there.
fn day(days: &str) -> Option<String> {
    let days: i64 = days.parse().ok()?;
    let epoch = Date::from_calendar_date(1970, Month::January, 1).ok()?;
    let (first, last) = (
        Date::from_calendar_date(1, Month::January, 1).ok()?,
        Date::from_calendar_date(9999, Month::December, 31).ok()?,
    );
    let day = match epoch.checked_add(Duration::days(days.clamp(-1_000_000, 4_000_000))) {
        Some(day) => day.clamp(first, last),
        None if days < 0 => first,
        None => last,
    };
    Some(format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day()))
}

struct Reader<'a> {
    row: &'a [Option<String>],
    position: usize,
}

impl Reader<'_> {
    fn text(&self, column: usize) -> Option<&str> {
        self.row.get(column)?.as_deref()
    }

    fn value(&self, column: usize, kind: ValueKind) -> Result<String, AggregateError> {
        let value = self.text(column).and_then(|text| match kind {
            ValueKind::AsItIs => Some(text.to_owned()),
            ValueKind::Day => day(text),
        });
        value.ok_or(AggregateError::Malformed { row: self.position, column })
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

    #[test]
    fn days_beyond_the_calendar_are_its_first_and_last_one() {
        for (days, expected) in [
            ("0", Some("1970-01-01")),
            ("-1", Some("1969-12-31")),
            ("19732", Some("2024-01-10")),
            ("-719162", Some("0001-01-01")),
            ("-719528", Some("0001-01-01")),
            ("2932896", Some("9999-12-31")),
            ("2932897", Some("9999-12-31")),
            ("99999999999", Some("9999-12-31")),
            ("-99999999999", Some("0001-01-01")),
            ("2024-01-10", None),
        ] {
            assert_eq!(day(days).as_deref(), expected, "{days}");
        }
    }
}
