//! Days of a date or timestamp column, packed up to the limit.
//!
//! A day with more rows than that is one chunk under `date_range`, and pages of LIMIT and OFFSET under
//! `date_range_offset`. The stretches between the pages stay ranges.

use thaw_model::ChunkRange;
use thaw_model::range::{DatePart, next_day};

use super::distribution::{Distribution, Pack, Unit, pack, units};
use super::offset_based::pages;
use super::{Limits, PlannedChunk};

/// What becomes of a day with more rows than a chunk may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargeDays {
    /// It is one chunk: one value cannot be split.
    Whole,
    /// It is read page by page.
    Paged,
}

/// Days in order: some packed into one range, or one that is read page by page.
enum Segment<'a> {
    Range(Pack<'a>),
    Pages(Unit<'a>),
}

impl<'a> Segment<'a> {
    fn low(&self) -> &'a str {
        match self {
            Self::Range(pack) => pack.low(),
            Self::Pages(day) => day.low,
        }
    }

    /// The day after a paged day, where the next range begins; `None`: the range begins with its own first day.
    fn next_day(&self) -> Option<String> {
        match self {
            Self::Range(_) => None,
            Self::Pages(day) => next_day(day.low),
        }
    }
}

/// Packs the days into chunks of at most the limit. NULLs get a chunk of their own (field note 20). The first and the
/// last range are open. Without a snapshot the ranges also cover the days on which the count found no row.
#[must_use]
pub fn cut(distribution: &Distribution, large_days: LargeDays, limits: Limits) -> Vec<PlannedChunk> {
    let mut chunks = Vec::new();
    if limits.covers(distribution.null_rows) {
        chunks.push(range(DatePart::Nulls {}, distribution.null_rows));
    }
    let units = units(&distribution.buckets);
    let segments = segments(&units, large_days, limits.rows);
    let mut previous: Option<&Segment<'_>> = None;
    for (position, segment) in segments.iter().enumerate() {
        let after_pages = previous.and_then(Segment::next_day);
        match segment {
            Segment::Range(pack) => {
                let low = previous.map(|_| after_pages.unwrap_or_else(|| pack.low().to_owned()));
                let high = segments.get(position + 1).map(|next| next.low().to_owned());
                chunks.push(range(DatePart::Between { low, high }, pack.rows));
            }
            Segment::Pages(day) => {
                let is_reached = match previous {
                    Some(Segment::Range(_)) => true,
                    Some(Segment::Pages(_)) => after_pages.as_deref() == Some(day.low),
                    None => day.low == FIRST_DAY,
                };
                if !is_reached && limits.covers(0) {
                    chunks.push(range(
                        DatePart::Between { low: after_pages, high: Some(day.low.to_owned()) },
                        0,
                    ));
                }
                chunks.extend(pages_of(*day, limits.rows));
            }
        }
        previous = Some(segment);
    }
    let after_pages = previous.and_then(Segment::next_day);
    if limits.covers(0) && (previous.is_none() || after_pages.is_some()) {
        chunks.push(range(DatePart::Between { low: after_pages, high: None }, 0));
    }
    chunks
}

/// No day before it can be named; it stands for them too.
const FIRST_DAY: &str = "0001-01-01";

fn segments<'a>(units: &'a [Unit<'a>], large_days: LargeDays, limit: u64) -> Vec<Segment<'a>> {
    let is_paged = |day: &Unit<'_>| large_days == LargeDays::Paged && day.is_one_value && day.rows > limit;
    let mut segments = Vec::new();
    for stretch in units.chunk_by(|one, other| !is_paged(one) && !is_paged(other)) {
        match stretch {
            [day] if is_paged(day) => segments.push(Segment::Pages(*day)),
            days => segments.extend(pack(days, limit).into_iter().map(Segment::Range)),
        }
    }
    segments
}

fn range(part: DatePart, expected_rows: u64) -> PlannedChunk {
    PlannedChunk { range: ChunkRange::DateRange { part }, expected_rows }
}

fn pages_of(day: Unit<'_>, limit: u64) -> impl Iterator<Item = PlannedChunk> {
    pages(day.rows, limit).map(move |(page, expected_rows)| PlannedChunk {
        range: ChunkRange::DateRangeOffset { date_value: day.low.to_owned(), page },
        expected_rows,
    })
}
