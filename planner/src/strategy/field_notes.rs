//! Failures that users of the script met in production, where cutting alone decides.

use thaw_model::plan::ChunkingColumn;
use thaw_model::range::{DatePart, NumericPart};
use thaw_model::{ChunkRange, SfIdent, SourceType};

use super::choose::{Choice, Method};
use super::cut::{Counted, Cut, cut};
use super::date_range::LargeDays;
use super::distribution::{Bucket, Distribution};
use super::{Limits, PlannedChunk, numeric_range};

fn single(value: impl ToString, rows: u64) -> Bucket {
    Bucket { low: value.to_string(), high: value.to_string(), rows, rows_before_high: 0 }
}

fn snapshot(rows: u64) -> Limits {
    Limits { rows, has_snapshot: true }
}

#[test]
fn note_02_sparse_ids_give_no_empty_and_no_giant_chunk() {
    let near = (0..10_000).map(|id: u64| single(id, 1));
    let far = (0..10_000).map(|id: u64| single(1_000_000_000_000 + id * 97, 1));
    let counted = Distribution { buckets: near.chain(far).collect(), ..Distribution::default() };
    let chunks = numeric_range::cut(&SfIdent::exact("ID"), false, &counted, snapshot(1000));
    assert_eq!(chunks.len(), 20);
    assert!(chunks.iter().all(|chunk| chunk.expected_rows == 1000), "{chunks:?}");
}

/// 272,000,000 rows on 199 days, 12.4 million of them on one, which are 497 pages; the other days are as uneven as a
/// real table's, and fill 10,273 pages and a bit more than half of one each.
fn claims() -> Distribution {
    let mut day = "2025-01-01".to_owned();
    let mut buckets = Vec::new();
    let (mut full_pages, mut rests) = (10_273, 272_000_000 - 12_412_345 - 10_273 * 25_000);
    for position in 0..199_u64 {
        let (full, rest) = match position {
            120 => (496, 12_345),
            198 => (full_pages, rests),
            _ => (31 + position * 37 % 41, 13_900 + position % 2 * 100),
        };
        if position != 120 {
            full_pages -= full;
            rests -= rest;
        }
        buckets.push(single(&day, full * 25_000 + rest));
        day = thaw_model::range::next_day(&day).expect("a day");
    }
    Distribution { buckets, ..Distribution::default() }
}

fn cut_by_days(counted: &Distribution, large_days: Option<LargeDays>, limits: Limits) -> Cut {
    let column = ChunkingColumn {
        name: SfIdent::exact("Visit Date"),
        source_type: SourceType::Date,
        as_number: false,
    };
    let is_named = large_days.is_some();
    let choice = Choice { method: Method::DateRange { column, large_days }, reason: "r".into(), is_named };
    let rows = counted.buckets.iter().map(|bucket| bucket.rows).sum::<u64>() + counted.null_rows;
    cut(&choice, Counted { rows, distribution: counted }, limits, 32)
}

#[test]
fn note_05_the_real_distribution_is_planned_as_the_script_planned_it() {
    let claims = claims();
    assert_eq!(claims.buckets.iter().map(|day| day.rows).sum::<u64>(), 272_000_000);
    let named = cut_by_days(&claims, Some(LargeDays::Paged), snapshot(25_000));
    assert_eq!(named.chunks.len(), 10_968);
    assert!(named.chunks.iter().all(|chunk| chunk.expected_rows <= 25_000));
    // auto has one statement read all of it.
    let auto = cut_by_days(&claims, None, snapshot(25_000));
    assert!(auto.is_one_scan && auto.chunks.is_empty());
    assert!(auto.decisions[0].choice.contains("result_partitions"), "{:?}", auto.decisions);
    assert!(!named.decisions[0].reason.contains("result_partitions"), "{:?}", named.decisions);
    // date_range keeps days whole, and says so.
    let whole = cut_by_days(&claims, Some(LargeDays::Whole), snapshot(25_000));
    assert_eq!(whole.chunks.len(), 199);
    assert!(whole.decisions.iter().any(|decision| decision.subject == "large values"));
}

#[test]
fn note_20_a_null_date_is_a_chunk_of_its_own() {
    let counted = Distribution {
        buckets: vec![single("2024-01-10", 60), single("2024-01-11", 60)],
        null_rows: 7,
        ..Distribution::default()
    };
    let chunks = cut_by_days(&counted, None, snapshot(100)).chunks;
    let nulls = PlannedChunk { range: ChunkRange::DateRange { part: DatePart::Nulls {} }, expected_rows: 7 };
    assert_eq!((chunks.len(), &chunks[0]), (3, &nulls));
    let all_null = Distribution { null_rows: 150, ..Distribution::default() };
    let cut = cut_by_days(&all_null, None, snapshot(100));
    assert_eq!(cut.chunks.len(), 1);
    assert!(cut.decisions.iter().any(|decision| decision.reason.contains("NULL in every row")));
}

#[test]
fn note_21_text_that_is_no_number_is_a_chunk_of_its_own() {
    let counted =
        Distribution { buckets: vec![single("9", 60), single("10", 60)], null_rows: 3, unparsed_rows: 5 };
    let chunks = numeric_range::cut(&SfIdent::exact("ID"), true, &counted, snapshot(100));
    let parts: Vec<(&NumericPart, u64)> = chunks
        .iter()
        .map(|chunk| match &chunk.range {
            ChunkRange::NumericRange { part, .. } => (part, chunk.expected_rows),
            other => panic!("{other:?}"),
        })
        .collect();
    let between = |low: Option<&str>, high: Option<&str>| NumericPart::Between {
        low: low.map(Into::into),
        high: high.map(Into::into),
    };
    assert_eq!(
        parts,
        [
            (&NumericPart::Nulls {}, 3),
            (&NumericPart::Unparsed {}, 5),
            (&between(None, Some("10")), 60),
            (&between(Some("10"), None), 60),
        ]
    );
}

#[test]
fn pages_without_a_snapshot_are_only_had_by_name_and_leave_a_gap_behind() {
    let counted = Distribution {
        buckets: vec![single("2024-01-10", 1_000), single("2024-01-12", 10)],
        ..Distribution::default()
    };
    let none = Limits { rows: 100, has_snapshot: false };
    let auto = cut_by_days(&counted, None, none);
    assert_eq!((auto.leaves_gap_reason, auto.decisions[0].choice.as_str()), (None, "date_range"));
    let named = cut_by_days(&counted, Some(LargeDays::Paged), none);
    assert!(named.leaves_gap_reason.is_some());
    assert!(named.decisions.iter().any(|decision| decision.subject == "pages"), "{:?}", named.decisions);
    assert_eq!(cut_by_days(&counted, Some(LargeDays::Paged), snapshot(100)).leaves_gap_reason, None);
}

#[test]
fn a_table_without_a_chunking_column_is_read_by_one_statement() {
    let choice = Choice {
        method: Method::ResultPartitions,
        reason: "no chunking column is named".into(),
        is_named: false,
    };
    expect_strategies(
        &choice,
        &[
            (100, true, ("single_chunk", 1)),
            (101, true, ("result_partitions", 0)),
            (950, false, ("result_partitions", 0)),
            (0, true, ("result_partitions", 0)),
        ],
    );
}

#[test]
fn a_column_that_no_range_can_speak_of_is_paged_only_where_that_is_safe_and_cheap() {
    let choice = Choice { method: Method::PagesOrScan, reason: "a float".into(), is_named: false };
    expect_strategies(
        &choice,
        &[
            (100, true, ("single_chunk", 1)),
            (950, true, ("offset_based", 10)),
            (950, false, ("result_partitions", 0)),
            (10_000, true, ("offset_based", 100)),
            (10_001, true, ("result_partitions", 0)),
        ],
    );
}

/// Rows, whether there is a snapshot, and the strategy with its chunks.
fn expect_strategies(choice: &Choice, expected: &[(u64, bool, (&str, usize))]) {
    for &(rows, has_snapshot, expected) in expected {
        let counted = Counted { rows, distribution: &Distribution::default() };
        let cut = cut(choice, counted, Limits { rows: 100, has_snapshot }, 1_000);
        assert_eq!((cut.decisions[0].choice.as_str(), cut.chunks.len()), expected, "{rows}");
        assert_eq!(cut.is_one_scan, expected.0 == "result_partitions" && rows > 100, "{rows}");
    }
}

#[test]
fn a_day_of_too_many_pages_turns_the_table_into_one_scan_unless_pages_are_named() {
    let counted = Distribution {
        buckets: vec![single("2024-01-10", 3_301), single("2024-01-12", 10)],
        ..Distribution::default()
    };
    let auto = cut_by_days(&counted, None, snapshot(100));
    assert!(auto.is_one_scan && auto.chunks.is_empty(), "{:?}", auto.decisions);
    assert!(auto.decisions[0].reason.contains("sort"), "{:?}", auto.decisions);
    let named = cut_by_days(&counted, Some(LargeDays::Paged), snapshot(100));
    assert_eq!((named.is_one_scan, named.chunks.len()), (false, 35));
}
