//! Which rows a chunk covers. Ranges are half-open on the bare column, so that micro-partitions prune.
//!
//! A range is stored in `migration_chunk_status.range` as JSON tagged by its strategy. Its values are the user's
//! data: never logged, shown only when asked for. What all chunks of a table share (the column, its type, the order of
//! OFFSET pages) stands once, in [`crate::plan::ChunkingPlan`].

use serde::{Deserialize, Serialize};

use crate::ident::SfIdent;

mod result_part;
mod text_value;

pub use result_part::ResultPart;
pub use text_value::TextValue;

/// The range of one chunk, one variant a strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum ChunkRange {
    /// Everything the plan selects.
    SingleChunk {},
    /// A stretch of a numeric column.
    NumericRange {
        column: SfIdent,
        #[serde(flatten)]
        part: NumericPart,
    },
    /// Some values of the chunking column, or a stretch of them.
    GroupedValues {
        #[serde(flatten)]
        part: ValuePart,
    },
    /// A stretch of days of the chunking column.
    DateRange {
        #[serde(flatten)]
        part: DatePart,
    },
    /// One page of the rows of one day: LIMIT and OFFSET in the plan's total order.
    DateRangeOffset {
        /// `2024-01-10`. The first day there is (0001-01-01) stands for all before it too, the last one (9999-12-31) for
        /// all after it.
        date_value: String,
        #[serde(flatten)]
        page: Page,
    },
    /// One page of all rows.
    OffsetBased {
        #[serde(flatten)]
        page: Page,
    },
    /// Whole partitions of the result of the execution's one statement.
    ResultPartitions {
        #[serde(flatten)]
        part: ResultPart,
    },
}

/// Which stretch of the numeric column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum NumericPart {
    /// `low <= column < high`, as decimal text; an end that is `None` is open. The first and the last range of a
    /// plan are open, so that a row that arrives beyond them is not lost.
    Between { low: Option<String>, high: Option<String> },
    /// The rows whose column is NULL; no range matches them.
    Nulls {},
    /// The rows whose text is no number; no range matches them.
    Unparsed {},
}

/// Which values of the column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum ValuePart {
    /// Exactly these.
    In { values: Vec<TextValue> },
    /// `low <= column < high` in the order of the source; an end that is `None` is open.
    Between { low: Option<TextValue>, high: Option<TextValue> },
    /// The rows whose column is NULL.
    Nulls {},
}

/// Which days of the column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum DatePart {
    /// From the beginning of the day `low` to the beginning of the day `high`, in the plan's time zone where the column
    /// holds instants; an end that is `None` is open.
    Between { low: Option<String>, high: Option<String> },
    /// The rows whose column is NULL.
    Nulls {},
}

/// One page of an ordered set of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    pub offset: u64,
    pub limit: u64,
    /// From 1.
    pub sub_chunk_index: u64,
    pub total_sub_chunks: u64,
}

impl ChunkRange {
    /// The strategy's name, as the configuration and the status tables spell it.
    #[must_use]
    pub const fn strategy(&self) -> &'static str {
        match self {
            Self::SingleChunk {} => "single_chunk",
            Self::NumericRange { .. } => "numeric_range",
            Self::GroupedValues { .. } => "grouped_values",
            Self::DateRange { .. } => "date_range",
            Self::DateRangeOffset { .. } => "date_range_offset",
            Self::OffsetBased { .. } => "offset_based",
            Self::ResultPartitions { .. } => "result_partitions",
        }
    }
}

/// The day after `day` (`2024-01-10`), up to 9999-12-31, the last one that four digits can name; `None` after it and
/// for what is no day.
#[must_use]
pub fn next_day(day: &str) -> Option<String> {
    let well_formed = day.len() == 10
        && day.bytes().enumerate().all(|(position, byte)| match position {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !well_formed {
        return None;
    }
    let mut fields = day.split('-').map(str::parse::<u16>);
    let (year, month, date) = (fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    let next = match (year, month, date) {
        (0, ..) | (_, _, 0) | (9999, 12, 31) => return None,
        (year, month, date) if date < last => (year, month, date + 1),
        (year, 12, date) if date == last => (year + 1, 1, 1),
        (year, month, date) if date == last => (year, month + 1, 1),
        _ => return None,
    };
    Some(format!("{:04}-{:02}-{:02}", next.0, next.1, next.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_stored_as(range: &ChunkRange, expected: &str) {
        let json = serde_json::to_string(range).expect("serializes");
        assert_eq!(json, expected);
        assert_eq!(&serde_json::from_str::<ChunkRange>(&json).expect("reads"), range);
        assert!(json.contains(&format!("\"strategy\":\"{}\"", range.strategy())));
    }

    #[test]
    fn ranges_are_stored_as_json_tagged_by_strategy() {
        let range = ChunkRange::NumericRange {
            column: SfIdent::exact("ID"),
            part: NumericPart::Between { low: Some("1".into()), high: None },
        };
        is_stored_as(
            &range,
            r#"{"strategy":"numeric_range","column":"ID","part":"between","low":"1","high":null}"#,
        );
        is_stored_as(&ChunkRange::SingleChunk {}, r#"{"strategy":"single_chunk"}"#);
        is_stored_as(
            &ChunkRange::GroupedValues {
                part: ValuePart::In { values: vec![TextValue::from("it's"), TextValue::from("ß")] },
            },
            r#"{"strategy":"grouped_values","part":"in","values":["it's","ß"]}"#,
        );
        is_stored_as(
            &ChunkRange::DateRange { part: DatePart::Between { low: None, high: Some("2024-01-10".into()) } },
            r#"{"strategy":"date_range","part":"between","low":null,"high":"2024-01-10"}"#,
        );
        is_stored_as(
            &ChunkRange::DateRange { part: DatePart::Nulls {} },
            r#"{"strategy":"date_range","part":"nulls"}"#,
        );
    }

    #[test]
    fn a_sub_chunk_of_a_day_has_the_metadata_of_the_old_script() {
        let page = Page { offset: 0, limit: 50_000, sub_chunk_index: 1, total_sub_chunks: 28 };
        is_stored_as(
            &ChunkRange::DateRangeOffset { date_value: "2024-01-10".into(), page },
            r#"{"strategy":"date_range_offset","date_value":"2024-01-10","offset":0,"limit":50000,"sub_chunk_index":1,"total_sub_chunks":28}"#,
        );
        is_stored_as(
            &ChunkRange::OffsetBased { page },
            r#"{"strategy":"offset_based","offset":0,"limit":50000,"sub_chunk_index":1,"total_sub_chunks":28}"#,
        );
    }

    #[test]
    fn partitions_of_a_result_are_stored_with_their_handle_and_their_rows() {
        let part =
            ResultPart { handle: "01b2-c3".into(), first: 4, rows: vec![8000, 7999], bytes: 31_000_000 };
        is_stored_as(
            &ChunkRange::ResultPartitions { part },
            r#"{"strategy":"result_partitions","handle":"01b2-c3","first":4,"rows":[8000,7999],"bytes":31000000}"#,
        );
    }

    #[test]
    fn days_follow_each_other_to_the_end_of_the_calendar() {
        for (day, next) in [
            ("2024-01-10", Some("2024-01-11")),
            ("2024-02-28", Some("2024-02-29")),
            ("2023-02-28", Some("2023-03-01")),
            ("1900-02-28", Some("1900-03-01")),
            ("2000-02-29", Some("2000-03-01")),
            ("2024-12-31", Some("2025-01-01")),
            ("0001-01-01", Some("0001-01-02")),
            ("9999-12-31", None),
            ("2024-13-01", None),
            ("2024-04-31", None),
            ("0000-01-01", None),
            ("24-01-10", None),
            ("2024-01-10 ", None),
            ("2024-0é-1", None),
        ] {
            assert_eq!(next_day(day).as_deref(), next, "{day}");
        }
    }
}
