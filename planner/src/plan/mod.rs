//! The plan of one table: facts, decisions, one aggregate query, chunks.

pub mod assemble;
pub mod counting;
mod fresh;

use thaw_config::Config;
use thaw_model::plan::{ChunkingPlan, Decision, LoadMode, OnBadRow, OneScanPlan};
use thaw_model::{Classify, Disposition, RunId, SfIdent, TablePlan};
use thaw_snowflake::Client;

use crate::aggregate::{AggregateError, TableCounts};
use crate::check;
use crate::filter::FilterError;
use crate::introspect::source::TimeTravel;
use crate::snapshot;
use crate::strategy::choose::{self, Choice, StrategyError};
use crate::strategy::cut::{self, Counted, Cut};
use crate::strategy::distribution::Distribution;
use crate::strategy::{Limits, PlannedChunk, order};

use crate::watermark::Reading;
use crate::watermark::asked::AskedError;

use assemble::{Assembled, Facts, Refusal};

/// The decision that says what a lost result would cost.
pub const LOST_RESULT: &str = "lost result";

/// A planned table.
#[derive(Debug, Clone)]
pub struct Planned {
    pub plan: TablePlan,
    /// None yet where one statement reads the table: its result is cut when it is there.
    pub chunks: Vec<PlannedChunk>,
    /// Without the distribution, which has become chunks.
    pub counts: TableCounts,
    /// Another statement would count the same rows.
    pub is_counted: bool,
    /// The target is empty and everything goes there by COPY.
    pub is_initial_full_load: bool,
    /// Which rows are read, by the watermark.
    pub reading: Reading,
    /// Why rows may be missing although every chunk is completed: the next run must read them again then.
    pub leaves_gap_reason: Option<String>,
}

/// Why a table could not be planned.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Asked(#[from] AskedError),
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    #[error("the source's filter or bound cannot be rendered")]
    Render(#[from] thaw_snowflake::ChunkQueryError),
    #[error(
        "{rows} rows have NULL in key column \"{column}\", which ON CONFLICT never matches; fix them at the source, filter them, make the index NULLS NOT DISTINCT, or set them aside with on_bad_row: quarantine (up to max_bad_rows)"
    )]
    NullKeys { column: SfIdent, rows: u64 },
    #[error(transparent)]
    Strategy(#[from] StrategyError),
    #[error("the source's clock could not be read")]
    Clock,
    #[error("source_filter {0}")]
    Filter(#[from] FilterError),
    #[error(
        "source_filter uses {what}, which selects other rows for every statement, and the plan has {chunks} chunks; \
         raise batch_size or use strategy single_chunk or result_partitions"
    )]
    VolatileFilter { what: String, chunks: usize },
    #[error(transparent)]
    NotCombinable(#[from] fresh::NotCombinable),
    #[error(
        "run {run} did not complete and has left {rows} rows in the target, which another load would double, for nothing \
         tells them apart (no uniqueness_columns, no watermark): go on with `planner retry {run}`; or empty the table or \
         delete what that run has added, and load it with `planner run --full`"
    )]
    RowsLeft { run: RunId, rows: i64 },
}

impl Planned {
    /// Nothing is to be loaded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.plan.one_scan.is_none()
    }
}

impl PlanError {
    /// A stable word for `error_class`.
    #[must_use]
    pub fn class(&self) -> String {
        match self {
            Self::Filter(_)
            | Self::VolatileFilter { .. }
            | Self::Refused(_)
            | Self::Asked(_)
            | Self::RowsLeft { .. }
            | Self::NullKeys { .. }
            | Self::Strategy(_) => "plan".to_owned(),
            Self::NotCombinable(_) => thaw_status::execution::SNAPSHOT_GONE.to_owned(),
            Self::Aggregate(AggregateError::Source(error)) => error.class(),
            Self::Aggregate(AggregateError::Malformed { .. }) | Self::Clock => "source_answer".to_owned(),
            Self::Render(error) => error.class(),
        }
    }

    /// Whether the same question may be answered a little later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Aggregate(AggregateError::Source(error)) => match error.disposition() {
                Disposition::Retry | Disposition::Snooze { .. } | Disposition::HaltWorker => true,
                Disposition::Interrupted
                | Disposition::Abandon
                | Disposition::Unknown
                | Disposition::Fatal
                | Disposition::HaltTable => false,
            },
            _ => false,
        }
    }

    /// Whether every other table would meet the same: the planner stops then.
    #[must_use]
    pub fn stops_the_run(&self) -> bool {
        match self {
            Self::Aggregate(AggregateError::Source(error)) => error.disposition() == Disposition::HaltWorker,
            _ => false,
        }
    }
}

/// What the source side contributes.
#[derive(Debug, Clone, Copy)]
pub struct SourceSide<'a> {
    pub client: &'a Client,
    pub config: &'a Config,
    pub time_travel: &'a TimeTravel,
    /// As [`source::server_time`] gives it.
    pub server_time: &'a str,
}

/// Plans a table: at most one statement that scans it, two where its Time Travel turns out to be missing.
///
/// # Errors
/// A refusal with what to do, or the source's.
pub async fn plan_table(side: SourceSide<'_>, facts: Facts<'_>) -> Result<Planned, PlanError> {
    let choice = choose::choose(facts.entry, &facts.mapped.chunking)?;
    let facts = Facts { is_date_strategy: choice.is_date_strategy(), ..facts };
    let Assembled { plan, is_initial_full_load } = assemble::assemble(facts)?;
    let mut planned = count_and_cut(side, facts, plan, &choice).await?;
    finish(facts, &mut planned.plan, &planned.counts);
    Ok(Planned { is_initial_full_load, ..planned })
}

/// Plans a fresh execution of a table: bound, filter and start are those of the plan before, whose executions have left
/// so many rows in the target.
///
/// # Errors
/// As [`plan_table`]; [`PlanError::NotCombinable`] where the rows that are there can neither be removed nor matched.
pub async fn plan_execution(
    side: SourceSide<'_>,
    facts: Facts<'_>,
    (earlier, rows_there): (&TablePlan, i64),
) -> Result<Planned, PlanError> {
    let choice = choose::choose(facts.entry, &facts.mapped.chunking)?;
    let plan = fresh::plan(earlier, facts.mapped, rows_there)?;
    let mut planned = count_and_cut(side, facts, plan, &choice).await?;
    fresh::check_rows(&planned.plan.start, planned.counts.rows, facts.entry.allow_empty_source)?;
    if let Some(scan) = &mut planned.plan.one_scan {
        scan.is_over_rows = true;
    }
    Ok(planned)
}

/// What follows the assembled plan: snapshot, counts, chunks.
async fn count_and_cut(
    side: SourceSide<'_>,
    facts: Facts<'_>,
    mut plan: TablePlan,
    choice: &Choice,
) -> Result<Planned, PlanError> {
    plan.chunking = chunking(facts, &plan, choice);
    let chosen_snapshot =
        snapshot::choose(side.time_travel, side.server_time).await.ok_or(PlanError::Clock)?;
    plan.source.snapshot = chosen_snapshot.at;
    plan.decisions.push(chosen_snapshot.decision);
    let limit = check::batch_size(facts.entry, plan.load.mode).max(1);
    let mut counts = match counting::count(side, facts, &plan, choice, limit).await {
        Err(PlanError::Aggregate(AggregateError::Source(error)))
            if plan.source.snapshot.is_some() && snapshot::is_refusal(&error, side.time_travel) =>
        {
            plan.source.snapshot = None;
            plan.decisions.retain(|decision| decision.subject != "snapshot");
            plan.decisions.push(snapshot::refused(side.time_travel));
            counting::count(side, facts, &plan, choice, limit).await?
        }
        counted => counted?,
    };
    if plan.source.snapshot.is_some() {
        plan.decisions.extend(snapshot::too_short(side.time_travel, counts.rows));
    }
    check_keys(facts, &mut plan, &counts)?;
    // A filter that selects other rows each time is no snapshot of anything.
    let has_snapshot = plan.source.snapshot.is_some() && facts.filter.volatile.is_empty();
    let limits = Limits { rows: limit, has_snapshot };
    let counted = Counted { rows: counts.rows, distribution: &counts.distribution };
    let Cut { chunks, is_one_scan, decisions, leaves_gap_reason } =
        cut::cut(choice, counted, limits, facts.entry.offset_sub_chunks_max);
    plan.decisions.extend(decisions);
    if is_one_scan {
        plan.chunking = None;
        plan.one_scan = Some(OneScanPlan {
            rows_per_chunk: limit,
            allow_empty: facts.entry.allow_empty_source,
            counted: has_snapshot.then_some(counts.rows),
            is_over_rows: false,
        });
        plan.decisions.push(lost_result(&plan, counts.rows));
    }
    // A hundred thousand buckets are not needed while their chunks are stored.
    counts.distribution = Distribution::default();
    if !facts.filter.volatile.is_empty() && chunks.len() > 1 {
        return Err(PlanError::VolatileFilter {
            what: facts.filter.volatile.join(", "),
            chunks: chunks.len(),
        });
    }
    let is_counted = facts.filter.volatile.is_empty();
    let reading = facts.reading.clone();
    let is_initial_full_load = false;
    Ok(Planned { plan, chunks, counts, is_counted, is_initial_full_load, reading, leaves_gap_reason })
}

/// NULL keys are bad rows for every worker: said before any row moves, and counted where they are set aside.
fn check_keys(facts: Facts<'_>, plan: &mut TablePlan, counts: &TableCounts) -> Result<(), PlanError> {
    let is_strict = plan.load.arbiter.as_ref().is_some_and(|arbiter| !arbiter.nulls_not_distinct);
    if !is_strict || facts.entry.truncate_onstart {
        return Ok(());
    }
    let keys = facts.mapped.keys.iter().zip(&counts.null_keys);
    let Some(((column, _), rows)) = keys.max_by_key(|(_, rows)| **rows).filter(|(_, rows)| **rows > 0) else {
        return Ok(());
    };
    let policy = plan.bad_rows;
    if policy.on_bad_row != OnBadRow::Quarantine || *rows > u64::from(policy.max_bad_rows) {
        return Err(PlanError::NullKeys { column: column.clone(), rows: *rows });
    }
    plan.decisions.push(Decision {
        subject: "null keys".into(),
        choice: "quarantined".into(),
        reason: format!("{rows} rows have NULL in key column \"{column}\", and on_bad_row is quarantine"),
    });
    Ok(())
}

/// What a result that is lost in the middle of the load would cost: all chunks load again, and this is how.
fn lost_result(plan: &TablePlan, rows: u64) -> Decision {
    // One row that was loaded is enough to decide it.
    let choice = match plan.load.over_rows(&plan.start, 1).map(|load| load.mode) {
        None => "the table would fail",
        Some(_) if plan.start.truncate => "truncated and loaded again",
        Some(_) if plan.start.replace_tail.is_some() => "its tail deleted and loaded again",
        Some(LoadMode::InsertOnly) => "loaded again, rows that are there kept by their keys",
        Some(_) => "loaded again over the same keys",
    };
    let reason = if choice == "the table would fail" {
        format!(
            "nothing would tell the rows that are there from the {rows} that load again; uniqueness_columns, a bound or \
             truncate_onstart would"
        )
    } else {
        format!("one more statement would read all {rows} rows; the source keeps a result for 24 hours")
    };
    Decision { subject: LOST_RESULT.into(), choice: choice.into(), reason }
}

/// What the chunks' ranges have in common: the column they speak of, and the order of pages.
fn chunking(facts: Facts<'_>, plan: &TablePlan, choice: &Choice) -> Option<ChunkingPlan> {
    let keys: Vec<SfIdent> = facts.mapped.keys.iter().map(|(source, _)| source.clone()).collect();
    let order_by = if choice.may_page() {
        order::total(&facts.mapped.chunking, &keys, &plan.columns)
    } else {
        Vec::new()
    };
    let is_loose = |name: &&SfIdent| {
        let mut columns = plan.columns.iter().filter(|column| column.source == **name);
        columns.any(|column| facts.mapped.loosely_equal.contains(&column.target))
    };
    let collated = order_by.iter().filter(is_loose).cloned().collect();
    let column = choice.column().cloned();
    (column.is_some() || !order_by.is_empty()).then_some(ChunkingPlan { column, order_by, collated })
}

/// The decisions that need the counts.
fn finish(facts: Facts<'_>, plan: &mut TablePlan, counts: &TableCounts) {
    plan.start.drop_indexes = assemble::drops_indexes(facts, plan.load.mode, counts.rows);
    let mut decide = |subject: &str, choice: &str, reason: String| {
        plan.decisions.push(Decision { subject: subject.into(), choice: choice.into(), reason });
    };
    if facts.entry.disable_index {
        let choice = if plan.start.drop_indexes { "dropped and rebuilt" } else { "kept" };
        decide("indexes", choice, format!("{} rows are to be loaded", counts.rows));
    }
    if plan.start.truncate && counts.rows == 0 && !facts.entry.allow_empty_source {
        plan.start.truncate = false;
        let reason = "the source has no row; set allow_empty_source to empty the target".to_owned();
        decide("truncate", "not done", reason);
    }
    if plan.start.replace_tail.is_some() && counts.rows == 0 && !facts.entry.allow_empty_source {
        plan.start.replace_tail = None;
        let reason = "the source has no row there; set allow_empty_source to delete the target's".to_owned();
        decide("tail", "not done", reason);
    }
    if counts.rows_above_snapshot > 0 {
        let reason = format!(
            "{} rows have a watermark above the snapshot's moment; they do not move the bound and are read every run",
            counts.rows_above_snapshot
        );
        decide("future watermarks", "read", reason);
    }
    if counts.null_watermarks > 0 {
        let reason = format!("{} rows have no watermark and are read every run", counts.null_watermarks);
        decide("null watermarks", "read", reason);
    }
    if plan.load.mode == LoadMode::Copy && plan.load.arbiter.is_none() && !facts.entry.truncate_onstart {
        decide(
            "duplicates",
            "not detected",
            "the target has no unique index that could prove them".to_owned(),
        );
    }
}
