//! The property of every strategy: each row is selected exactly once, and no chunk is above the limit unless it is one
//! value. The distributions are skewed, sparse, with NULLs, duplicates, one giant value, or empty.

use std::collections::BTreeMap;

use proptest::prelude::*;
use thaw_model::range::{DatePart, NumericPart, Page, ValuePart};
use thaw_model::{ChunkRange, SfIdent};
use time::{Date, Duration, Month};

use super::date_range::{self, LargeDays};
use super::distribution::{Bucket, Distribution};
use super::{Limits, PlannedChunk, grouped_values, numeric_range, offset_based};

/// Rows per value, and those without one.
#[derive(Debug, Clone)]
struct Rows {
    values: BTreeMap<i64, u64>,
    nulls: u64,
    unparsed: u64,
}

impl Rows {
    fn total(&self) -> u64 {
        self.values.values().sum::<u64>() + self.nulls + self.unparsed
    }
}

/// What the source's aggregate answers: an independent statement of `aggregate::sql`. `single_values` is the number of
/// values up to which each is a bucket of its own.
fn distribution(rows: &Rows, limit: u64, single_values: usize, text: fn(i64) -> String) -> Distribution {
    let grain = (limit / 8).max(1);
    let mut grouped: BTreeMap<u64, Vec<(i64, u64)>> = BTreeMap::new();
    let mut before = 0;
    for (position, (value, count)) in rows.values.iter().enumerate() {
        let is_single = rows.values.len() <= single_values;
        let bucket = if is_single { position as u64 } else { before / grain };
        grouped.entry(bucket).or_default().push((*value, *count));
        before += count;
    }
    let bucket = |values: Vec<(i64, u64)>| {
        let rows: u64 = values.iter().map(|(_, rows)| rows).sum();
        let (first, last) = (values[0], values[values.len() - 1]);
        Bucket { low: text(first.0), high: text(last.0), rows, rows_before_high: rows - last.1 }
    };
    Distribution {
        buckets: grouped.into_values().map(bucket).collect(),
        null_rows: rows.nulls,
        unparsed_rows: rows.unparsed,
    }
}

/// A row as a chunk sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Null,
    Unparsed,
    Value(i64),
}

fn number(value: i64) -> String {
    format!("{}.{:02}", value / 100, value.abs() % 100).replace("0.", if value < 0 { "-0." } else { "0." })
}

/// Texts in the order of their bytes.
fn word(value: i64) -> String {
    let group = ["", "A", "\\", "it's", "zz", "ß", "\u{1F600}"]
        [usize::try_from(value.div_euclid(1000) + 3).unwrap_or(0)];
    format!("{group}{:03}", value.rem_euclid(1000))
}

fn day(value: i64) -> String {
    let day = match value {
        -1000 => Date::from_calendar_date(1, Month::January, 1),
        1999 => Date::from_calendar_date(9999, Month::December, 31),
        value => Date::from_calendar_date(2024, Month::February, 1).map(|day| day + Duration::days(value)),
    };
    day.expect("a day").to_string()
}

/// Whether the range, pages aside, selects the cell.
fn selects(range: &ChunkRange, cell: Cell) -> bool {
    fn within<T: PartialOrd>(value: &T, low: Option<&T>, high: Option<&T>) -> bool {
        low.is_none_or(|low| low <= value) && high.is_none_or(|high| value < high)
    }
    let parse = |text: &String| text.replace('.', "").parse::<i64>().expect("a number");
    match (range, cell) {
        (ChunkRange::ResultPartitions { .. }, _) => panic!("no chunk of a plan"),
        (ChunkRange::SingleChunk {} | ChunkRange::OffsetBased { .. }, _) => true,
        (ChunkRange::NumericRange { part: NumericPart::Nulls {}, .. }, cell) => cell == Cell::Null,
        (ChunkRange::NumericRange { part: NumericPart::Unparsed {}, .. }, cell) => cell == Cell::Unparsed,
        (ChunkRange::GroupedValues { part: ValuePart::Nulls {} }, cell)
        | (ChunkRange::DateRange { part: DatePart::Nulls {} }, cell) => cell == Cell::Null,
        (_, Cell::Null | Cell::Unparsed) => false,
        (ChunkRange::NumericRange { part: NumericPart::Between { low, high }, .. }, Cell::Value(value)) => {
            within(&value, low.as_ref().map(parse).as_ref(), high.as_ref().map(parse).as_ref())
        }
        (ChunkRange::GroupedValues { part: ValuePart::In { values } }, Cell::Value(value)) => {
            values.iter().any(|known| known.as_str() == word(value))
        }
        (ChunkRange::GroupedValues { part: ValuePart::Between { low, high } }, Cell::Value(value)) => {
            within(&word(value).into(), low.as_ref(), high.as_ref())
        }
        (ChunkRange::DateRange { part: DatePart::Between { low, high } }, Cell::Value(value)) => {
            within(&day(value), low.as_ref(), high.as_ref())
        }
        (ChunkRange::DateRangeOffset { date_value, .. }, Cell::Value(value)) => *date_value == day(value),
    }
}

fn page(range: &ChunkRange) -> Option<Page> {
    match range {
        ChunkRange::DateRangeOffset { page, .. } | ChunkRange::OffsetBased { page } => Some(*page),
        _ => None,
    }
}

/// How often a row of `cell` is read, should there be `rows` of them on a page's set.
fn times_read(chunks: &[PlannedChunk], cell: Cell, rows: u64) -> Result<u64, TestCaseError> {
    let mut whole = 0;
    let mut paged = 0;
    for chunk in chunks.iter().filter(|chunk| selects(&chunk.range, cell)) {
        match page(&chunk.range) {
            None => whole += 1,
            Some(page) => {
                prop_assert_eq!(page.offset, paged, "pages follow each other");
                paged += page.limit;
            }
        }
    }
    prop_assert!(paged == 0 || paged >= rows, "the pages end at {} of {} rows", paged, rows);
    Ok(whole + u64::from(paged > 0))
}

fn check(chunks: &[PlannedChunk], rows: &Rows, limits: Limits) -> Result<(), TestCaseError> {
    prop_assert_eq!(chunks.iter().map(|chunk| chunk.expected_rows).sum::<u64>(), rows.total());
    for (value, count) in &rows.values {
        prop_assert_eq!(times_read(chunks, Cell::Value(*value), *count)?, 1, "value {}", value);
    }
    for (cell, count) in [(Cell::Null, rows.nulls), (Cell::Unparsed, rows.unparsed)] {
        if count > 0 {
            prop_assert_eq!(times_read(chunks, cell, count)?, 1, "{:?}", cell);
        }
    }
    for chunk in chunks {
        let values: Vec<u64> = rows
            .values
            .iter()
            .filter(|(value, _)| selects(&chunk.range, Cell::Value(**value)))
            .map(|(_, count)| *count)
            .collect();
        let others = [(Cell::Null, rows.nulls), (Cell::Unparsed, rows.unparsed)];
        let others: u64 =
            others.iter().filter(|(cell, _)| selects(&chunk.range, *cell)).map(|(_, rows)| rows).sum();
        let selected = values.iter().sum::<u64>() + others;
        match page(&chunk.range) {
            None => {
                prop_assert_eq!(selected, chunk.expected_rows);
                let is_one_value = values.len() == 1 || (values.is_empty() && others > 0);
                prop_assert!(chunk.expected_rows <= limits.rows || is_one_value);
            }
            Some(page) => {
                prop_assert!(chunk.expected_rows <= limits.rows && chunk.expected_rows > 0);
                prop_assert_eq!(chunk.expected_rows, page.limit.min(selected - page.offset));
            }
        }
        prop_assert!(!limits.has_snapshot || chunk.expected_rows > 0, "an empty chunk");
    }
    Ok(())
}

/// Without a snapshot: rows that come after the count are read too, whatever their value.
fn check_open(chunks: &[PlannedChunk]) -> Result<(), TestCaseError> {
    for value in (-1000..2000).step_by(173).chain([-1000, -999, 1998, 1999]) {
        prop_assert_eq!(times_read(chunks, Cell::Value(value), 1)?, 1, "a new value {}", value);
    }
    prop_assert_eq!(times_read(chunks, Cell::Null, 1)?, 1, "a new NULL");
    Ok(())
}

prop_compose! {
    fn any_rows()(
        values in prop_oneof![
            1 => Just(BTreeMap::new()),
            8 => prop::collection::btree_map(
                prop_oneof![6 => -50_i64..50, 3 => -1000_i64..2000, 1 => Just(-1000_i64), 1 => Just(1999_i64)],
                prop_oneof![8 => 1_u64..20, 1 => 100_u64..5000],
                0..50,
            ),
            1 => prop::collection::btree_map(-1000_i64..2000, 1_000_u64..20_000, 1),
        ],
        nulls in prop_oneof![2 => Just(0_u64), 1 => 1_u64..500],
        unparsed in prop_oneof![2 => Just(0_u64), 1 => 1_u64..500],
    ) -> Rows {
        Rows { values, nulls, unparsed }
    }
}

prop_compose! {
    fn any_limits()(rows in 1_u64..300, has_snapshot in any::<bool>()) -> Limits {
        Limits { rows, has_snapshot }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn numeric_ranges_select_each_row_once(
        rows in any_rows(), limits in any_limits(), singles in 0_usize..50, as_number in any::<bool>(),
    ) {
        let rows = if as_number { rows } else { Rows { unparsed: 0, ..rows } };
        let counted = distribution(&rows, limits.rows, singles, number);
        let chunks = numeric_range::cut(&SfIdent::exact("ID"), as_number, &counted, limits);
        check(&chunks, &rows, limits)?;
        if !limits.has_snapshot {
            check_open(&chunks)?;
            prop_assert_eq!(times_read(&chunks, Cell::Unparsed, 1)?, u64::from(as_number));
        }
    }

    #[test]
    fn grouped_values_select_each_row_once(
        rows in any_rows(), limits in any_limits(), singles in 0_usize..50,
    ) {
        let rows = Rows { unparsed: 0, ..rows };
        let counted = distribution(&rows, limits.rows, singles, word);
        let chunks = grouped_values::cut(&counted, limits);
        check(&chunks, &rows, limits)?;
        if !limits.has_snapshot {
            check_open(&chunks)?;
        }
    }

    #[test]
    fn days_select_each_row_once(
        rows in any_rows(), limits in any_limits(), singles in 0_usize..50, is_paged in any::<bool>(),
    ) {
        let rows = Rows { unparsed: 0, ..rows };
        let counted = distribution(&rows, limits.rows, singles, day);
        let large_days = if is_paged { LargeDays::Paged } else { LargeDays::Whole };
        let chunks = date_range::cut(&counted, large_days, limits);
        check(&chunks, &rows, limits)?;
        if is_paged {
            let largest = chunks.iter()
                .filter(|chunk| !selects(&chunk.range, Cell::Null))
                .map(|chunk| chunk.expected_rows).max();
            prop_assert!(largest.unwrap_or_default() <= limits.rows);
        }
        if !limits.has_snapshot {
            check_open(&chunks)?;
        }
    }

    #[test]
    fn pages_select_each_row_once(rows in 0_u64..100_000, limit in 1_u64..5000) {
        let chunks = offset_based::cut(rows, limit);
        let all = Rows { values: BTreeMap::new(), nulls: rows, unparsed: 0 };
        check(&chunks, &all, Limits { rows: limit, has_snapshot: true })?;
    }
}

#[test]
fn texts_of_the_tests_are_in_the_order_of_their_values() {
    let words: Vec<String> = (-3000..4000).map(word).collect();
    assert!(words.is_sorted());
    let days: Vec<String> = (-1000..2000).map(day).collect();
    assert!(days.is_sorted());
    assert_eq!((number(-5), number(105), number(-250)), ("-0.05".into(), "1.05".into(), "-2.50".into()));
}
