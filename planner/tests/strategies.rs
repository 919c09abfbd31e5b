//! How long cutting takes, and how much memory its chunks need, at the sizes of the field (field note 5).

use std::time::{Duration, Instant};

use thaw_model::plan::ChunkingColumn;
use thaw_model::{SfIdent, SourceType};
use thaw_planner::strategy::Limits;
use thaw_planner::strategy::choose::{Choice, Method};
use thaw_planner::strategy::cut::{Counted, Cut, cut};
use thaw_planner::strategy::date_range::LargeDays;
use thaw_planner::strategy::distribution::{Bucket, Distribution};

const LIMITS: Limits = Limits { rows: 25_000, has_snapshot: true };

fn timed(method: impl Fn(ChunkingColumn) -> Method, distribution: &Distribution) -> (Cut, Duration) {
    let column = ChunkingColumn {
        name: SfIdent::exact("Visit Date"),
        source_type: SourceType::Date,
        as_number: false,
    };
    let choice = Choice { method: method(column), reason: "named".into(), is_named: true };
    let rows = distribution.buckets.iter().map(|bucket| bucket.rows).sum();
    let began = Instant::now();
    let cut = cut(&choice, Counted { rows, distribution }, LIMITS, 32);
    (cut, began.elapsed())
}

#[test]
fn note_05_a_day_of_millions_of_rows_is_cut_in_milliseconds() {
    let days = (0..199).map(|position: u64| {
        let day = format!("2024-{:02}-{:02}", 1 + position / 28, 1 + position % 28);
        let rows = if position == 120 { 12_412_345 } else { 1_311_000 };
        Bucket { low: day.clone(), high: day, rows, rows_before_high: 0 }
    });
    let counted = Distribution { buckets: days.collect(), ..Distribution::default() };
    let method = |column| Method::DateRange { column, large_days: Some(LargeDays::Paged) };
    let (cut, took) = timed(method, &counted);
    assert_eq!(cut.chunks.len(), 497 + 198 * 53);
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[test]
fn a_hundred_thousand_chunks_need_no_more_than_their_own_size() {
    let buckets = (0..200_000).map(|position: u64| Bucket {
        low: (position * 1_000).to_string(),
        high: (position * 1_000 + 999).to_string(),
        rows: 12_500,
        rows_before_high: 12_400,
    });
    let counted = Distribution { buckets: buckets.collect(), ..Distribution::default() };
    let method = |column| Method::NumericRange { column };
    let (cut, took) = timed(method, &counted);
    assert!((100_000..=103_000).contains(&cut.chunks.len()), "{}", cut.chunks.len());
    assert!(took < Duration::from_secs(3), "{took:?}");
    let chunk = size_of_val(&cut.chunks[0]);
    assert!(chunk <= 128, "{chunk} bytes a chunk, its texts aside");
}
