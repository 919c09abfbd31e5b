//! The plan of one table: facts, decisions, one aggregate query, chunks.

pub mod assemble;
mod fresh;

use thaw_config::Config;
use thaw_model::plan::{Decision, LoadMode};
use thaw_model::{Classify, Disposition, SfIdent, TablePlan};
use thaw_snowflake::{Client, chunk_query};

use crate::aggregate::{self, AggregateError, TableCounts};
use crate::check;
use crate::columns::Watermark;
use crate::filter::FilterError;
use crate::introspect::source::{self, TimeTravel};
use crate::snapshot;
use crate::strategy::choose::{self, Chosen};
use crate::strategy::{PlannedChunk, numeric_range, single_chunk};

use crate::watermark::asked::AskedError;
use crate::watermark::{Kind, Reading, ceiling};

use assemble::{Assembled, Facts, Refusal};

/// Buckets a chunk: the finer, the better chunks are filled; each is a row of the aggregate's answer.
const BUCKETS_PER_CHUNK: u64 = 8;

/// A planned table.
#[derive(Debug, Clone)]
pub struct Planned {
    pub plan: TablePlan,
    pub chunks: Vec<PlannedChunk>,
    pub counts: TableCounts,
    /// Another statement would count the same rows.
    pub is_counted: bool,
    /// The target is empty and everything goes there by COPY.
    pub is_initial_full_load: bool,
    /// Which rows are read, by the watermark.
    pub reading: Reading,
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
        "{rows} rows have NULL in key column \"{column}\", which ON CONFLICT never matches; fix them at the source, filter them, or make the index NULLS NOT DISTINCT"
    )]
    NullKeys { column: SfIdent, rows: u64 },
    #[error("strategy {strategy} is not available in this release; use auto, single_chunk or numeric_range")]
    Strategy { strategy: &'static str },
    #[error("strategy numeric_range needs a numeric column first in chunking_columns")]
    NotNumeric,
    #[error("the source's clock could not be read")]
    Clock,
    #[error("source_filter {0}")]
    Filter(#[from] FilterError),
    #[error(
        "source_filter uses {what}, which selects other rows for every statement, and the plan has {chunks} chunks; \
         raise batch_size or use strategy single_chunk"
    )]
    VolatileFilter { what: String, chunks: usize },
    #[error(transparent)]
    NotCombinable(#[from] fresh::NotCombinable),
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
            | Self::NullKeys { .. }
            | Self::Strategy { .. }
            | Self::NotNumeric => "plan".to_owned(),
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
    let Assembled { plan, is_initial_full_load } = assemble::assemble(facts)?;
    let mut planned = count_and_cut(side, facts, plan).await?;
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
    let plan = fresh::plan(earlier, facts.mapped, rows_there)?;
    count_and_cut(side, facts, plan).await
}

/// What follows the assembled plan: strategy, snapshot, counts, chunks.
async fn count_and_cut(
    side: SourceSide<'_>,
    facts: Facts<'_>,
    mut plan: TablePlan,
) -> Result<Planned, PlanError> {
    let (chosen, decision) = choose_strategy(facts)?;
    plan.decisions.push(decision);
    let chosen_snapshot =
        snapshot::choose(side.time_travel, side.server_time).await.ok_or(PlanError::Clock)?;
    plan.source.snapshot = chosen_snapshot.at;
    plan.decisions.push(chosen_snapshot.decision);
    let limit = check::batch_size(facts.entry, plan.load.mode).max(1);
    let counts = match count(side, facts, &plan, &chosen, limit).await {
        Err(PlanError::Aggregate(AggregateError::Source(error)))
            if plan.source.snapshot.is_some() && snapshot::is_refusal(&error, side.time_travel) =>
        {
            plan.source.snapshot = None;
            plan.decisions.retain(|decision| decision.subject != "snapshot");
            plan.decisions.push(snapshot::refused(side.time_travel));
            count(side, facts, &plan, &chosen, limit).await?
        }
        counted => counted?,
    };
    if plan.source.snapshot.is_some() {
        plan.decisions.extend(snapshot::too_short(side.time_travel, counts.rows));
    }
    check_keys(facts, &plan, &counts)?;
    let chunks = cut(&chosen, &counts, limit);
    if !facts.filter.volatile.is_empty() && chunks.len() > 1 {
        return Err(PlanError::VolatileFilter {
            what: facts.filter.volatile.join(", "),
            chunks: chunks.len(),
        });
    }
    let is_counted = facts.filter.volatile.is_empty();
    let reading = facts.reading.clone();
    Ok(Planned { plan, chunks, counts, is_counted, is_initial_full_load: false, reading })
}

fn choose_strategy(facts: Facts<'_>) -> Result<(Chosen, Decision), PlanError> {
    let first = facts.mapped.chunking.first().map(|(column, source_type)| (column, *source_type));
    let named = |chosen| {
        let decision = Decision {
            subject: "strategy".into(),
            choice: choose::name(&chosen).into(),
            reason: "named by the configuration".into(),
        };
        (chosen, decision)
    };
    match facts.entry.strategy {
        thaw_config::Strategy::Auto => Ok(choose::automatic(first)),
        thaw_config::Strategy::SingleChunk => Ok(named(Chosen::SingleChunk)),
        thaw_config::Strategy::NumericRange => match choose::automatic(first).0 {
            chosen @ Chosen::NumericRange { .. } => Ok(named(chosen)),
            Chosen::SingleChunk => Err(PlanError::NotNumeric),
        },
        later => Err(PlanError::Strategy { strategy: later.as_str() }),
    }
}

async fn count(
    side: SourceSide<'_>,
    facts: Facts<'_>,
    plan: &TablePlan,
    chosen: &Chosen,
    limit: u64,
) -> Result<TableCounts, PlanError> {
    let source_clause = chunk_query::source_clause(&plan.source)?;
    let key_columns: Vec<SfIdent> = facts.mapped.keys.iter().map(|(source, _)| source.clone()).collect();
    let ceiling = ceiling_of(side, facts)?;
    let question = aggregate::sql::Question {
        source_clause: &source_clause,
        key_columns: &key_columns,
        watermark: facts
            .mapped
            .watermark
            .as_ref()
            .map(|watermark| (&watermark.source, watermark.source_type)),
        ceiling: ceiling.as_deref(),
    };
    let statement = |sql| source::statement(side.config, facts.source, facts.entry, sql);
    Ok(match chosen {
        Chosen::SingleChunk => {
            aggregate::totals(side.client, &statement(aggregate::sql::totals(question))).await?
        }
        Chosen::NumericRange { column } => {
            let grain = (limit / BUCKETS_PER_CHUNK).max(1);
            let sql = aggregate::sql::distribution(question, column, grain);
            aggregate::distribution(side.client, &statement(sql)).await?
        }
    })
}

/// The snapshot's moment in the type of a watermark that can be a bound, also where there is no snapshot.
fn ceiling_of(side: SourceSide<'_>, facts: Facts<'_>) -> Result<Option<String>, PlanError> {
    let has_keys = !facts.mapped.keys.is_empty();
    let bounding = |watermark: &&Watermark| Kind::of(watermark, &facts.entry.timezone, has_keys).is_some();
    let Some(watermark) = facts.mapped.watermark.as_ref().filter(bounding) else { return Ok(None) };
    let moment = snapshot::before(side.server_time).ok_or(PlanError::Clock)?;
    Ok(ceiling::at_source(watermark.source_type, &moment))
}

fn check_keys(facts: Facts<'_>, plan: &TablePlan, counts: &TableCounts) -> Result<(), PlanError> {
    let Some(arbiter) = &plan.load.arbiter else { return Ok(()) };
    if arbiter.nulls_not_distinct || facts.entry.truncate_onstart {
        return Ok(());
    }
    match facts.mapped.keys.iter().zip(&counts.null_keys).find(|(_, rows)| **rows > 0) {
        Some(((column, _), rows)) => Err(PlanError::NullKeys { column: column.clone(), rows: *rows }),
        None => Ok(()),
    }
}

fn cut(chosen: &Chosen, counts: &TableCounts, limit: u64) -> Vec<PlannedChunk> {
    match chosen {
        Chosen::NumericRange { column } if counts.rows > limit => {
            numeric_range::cut(column, &counts.buckets, counts.null_rows, limit)
        }
        Chosen::NumericRange { .. } | Chosen::SingleChunk => single_chunk::cut(counts.rows),
    }
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
