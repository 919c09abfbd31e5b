//! From a choice and the counts to the chunks, and what a person should know of them.

use thaw_model::ChunkRange;
use thaw_model::plan::Decision;

use super::choose::{Choice, Method};
use super::date_range::{self, LargeDays};
use super::distribution::Distribution;
use super::{Limits, PlannedChunk, grouped_values, numeric_range, offset_based, single_chunk};

/// Pages of one table above which, unasked, one scan takes their place: each page scans and sorts its rows again.
pub const PAGES_MAX: u64 = 100;

/// Everything that [`cut`] decides on; a table that is cut again drops its earlier decisions on these.
pub const SUBJECTS: [&str; 5] = ["strategy", LARGE_VALUES, NULL_VALUES, NO_NUMBER, PAGES];

const LARGE_VALUES: &str = "large values";
const NULL_VALUES: &str = "null values";
const NO_NUMBER: &str = "text that is no number";
const PAGES: &str = "pages";

/// What the source counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    pub rows: u64,
    /// Empty for the methods that need none.
    pub distribution: &'a Distribution,
}

/// The chunks of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    pub chunks: Vec<PlannedChunk>,
    /// One statement reads the table, and its result is cut when it is there: there are no chunks yet.
    pub is_one_scan: bool,
    /// The strategy and its reason, and what follows from it.
    pub decisions: Vec<Decision>,
    /// Why rows may be missing although every chunk is completed; the next run must read them again then.
    pub leaves_gap_reason: Option<String>,
}

/// Cuts. `pages_max` is the number of pages for one value above which, unasked, one scan takes their place.
#[must_use]
pub fn cut(choice: &Choice, counted: Counted<'_>, limits: Limits, pages_max: u32) -> Cut {
    let Counted { rows, distribution } = counted;
    let (chunks, mut reason) = if rows <= limits.rows {
        let reason =
            format!("{rows} rows fit one chunk of {}; more are cut by {}", limits.rows, choice.name());
        (Some(single_chunk::cut(rows)), format!("{reason}: {}", choice.reason))
    } else {
        chunks(choice, counted, limits)
    };
    let found = Found::of(chunks.as_deref().unwrap_or_default(), limits.rows);
    let sorts_too_often =
        !choice.is_named && (found.pages > PAGES_MAX || found.pages_of_a_value > pages_max.into());
    if sorts_too_often {
        reason = format!("{reason}; its {} pages would each scan and sort their rows again", found.pages);
    }
    let Some(chunks) = chunks.filter(|_| !sorts_too_often) else { return one_scan(counted, limits, reason) };
    let mut decisions = vec![decision("strategy", found.strategy.unwrap_or(choice.name()), reason)];
    decisions.extend(found.large_values(limits.rows));
    if rows > 0 && distribution.null_rows == rows && choice.column().is_some() {
        let reason = "the chunking column is NULL in every row, so there is nothing to cut by";
        decisions.push(decision(NULL_VALUES, "one chunk", reason.to_owned()));
    }
    if distribution.unparsed_rows > 0 {
        let reason = format!("{} rows hold text that is no number", distribution.unparsed_rows);
        decisions.push(decision(NO_NUMBER, "a chunk of its own", reason));
    }
    let leaves_gap_reason = (found.pages > 0 && !limits.has_snapshot).then(|| {
        "pages of LIMIT and OFFSET were read without a snapshot, so a row that moved between two pages may be missing"
            .to_owned()
    });
    if let Some(reason) = &leaves_gap_reason {
        decisions.push(decision(PAGES, "the next run reads these rows again", reason.clone()));
    }
    Cut { chunks, is_one_scan: false, decisions, leaves_gap_reason }
}

/// One statement instead of one for each chunk.
fn one_scan(Counted { rows, .. }: Counted<'_>, limits: Limits, reason: String) -> Cut {
    let statements = rows.div_ceil(limits.rows.max(1));
    let reason =
        format!("{reason}; one statement reads all rows, pages of LIMIT and OFFSET would be {statements}");
    let decisions = vec![decision("strategy", "result_partitions", reason)];
    Cut { is_one_scan: true, decisions, ..Cut::default() }
}

/// `None`: one scan.
fn chunks(choice: &Choice, counted: Counted<'_>, limits: Limits) -> (Option<Vec<PlannedChunk>>, String) {
    let Counted { rows, distribution } = counted;
    let reason = choice.reason.clone();
    let chunks = match &choice.method {
        Method::SingleChunk => single_chunk::cut(rows),
        Method::NumericRange { column } => {
            numeric_range::cut(&column.name, column.as_number, distribution, limits)
        }
        Method::GroupedValues { .. } => grouped_values::cut(distribution, limits),
        Method::DateRange { large_days, .. } => {
            // Pages without a snapshot can lose a row; nobody gets them unasked.
            let safest = if limits.has_snapshot { LargeDays::Paged } else { LargeDays::Whole };
            date_range::cut(distribution, large_days.unwrap_or(safest), limits)
        }
        Method::PagesOrScan if !limits.has_snapshot => {
            return (None, format!("{reason}, and pages without a snapshot could lose rows"));
        }
        Method::OffsetBased | Method::PagesOrScan => offset_based::cut(rows, limits.rows),
        Method::ResultPartitions => return (None, reason),
    };
    (Some(chunks), reason)
}

/// What the chunks turned out to be.
#[derive(Debug, Default)]
struct Found {
    strategy: Option<&'static str>,
    pages: u64,
    pages_of_a_value: u64,
    /// Chunks above the limit: one value each.
    large: u64,
    largest: u64,
}

impl Found {
    fn of(chunks: &[PlannedChunk], limit: u64) -> Self {
        let mut found = Self::default();
        for chunk in chunks {
            let strategy = chunk.range.strategy();
            match &chunk.range {
                ChunkRange::DateRangeOffset { page, .. } | ChunkRange::OffsetBased { page } => {
                    found.pages += 1;
                    found.pages_of_a_value = found.pages_of_a_value.max(page.total_sub_chunks);
                    found.strategy = Some(strategy);
                }
                ChunkRange::SingleChunk {} => found.strategy = Some(strategy),
                ChunkRange::NumericRange { .. }
                | ChunkRange::GroupedValues { .. }
                | ChunkRange::DateRange { .. }
                | ChunkRange::ResultPartitions { .. } => {
                    found.strategy.get_or_insert(strategy);
                    found.large += u64::from(chunk.expected_rows > limit);
                }
            }
            found.largest = found.largest.max(chunk.expected_rows);
        }
        found
    }

    fn large_values(&self, limit: u64) -> Option<Decision> {
        let Self { large, largest, .. } = self;
        let reason = format!(
            "{large} values have more than {limit} rows (the most: {largest}), and one value cannot be split"
        );
        (*large > 0).then(|| decision(LARGE_VALUES, "a chunk each", reason))
    }
}

fn decision(subject: &str, choice: &str, reason: String) -> Decision {
    Decision { subject: subject.into(), choice: choice.into(), reason }
}
