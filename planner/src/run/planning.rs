//! Plans every reserved table, stores each plan with its chunks in one transaction, and hands it on to be started.

use futures_util::StreamExt as _;
use futures_util::stream;
use thaw_config::Config;
use thaw_model::plan::{Decision, LoadMode};
use thaw_model::{ErrorReport, TableId, TablePlan};
use thaw_status::{NewChunk, NewPlan, PlannerClaim, StoreError, WatermarkWindow};

use thaw_worker::one_scan;

use crate::filter::{self, SentFilter};
use crate::introspect::target::{self, TargetRows};
use crate::plan::assemble::{Facts, OwnRows};
use crate::plan::{self, PlanError, Planned, SourceSide};
use crate::preflight::Ready;
use crate::run::reading::{self, Read, ReadError};
use crate::run::reserve::{ReservedDatabase, ReservedEntry};
use crate::select::Selected;
use crate::session::{PLANNING_CONCURRENCY, Session};
use crate::snapshot;
use crate::watermark::{Asked, Reading, WatermarkValue};

/// How planning one table ended.
#[derive(Debug)]
pub enum Outcome {
    /// `is_empty`: it has no chunk.
    Stored { is_empty: bool },
    /// The table is `failed` with this error; the others go on.
    Failed(ErrorReport),
}

/// Why planning cannot go on at all.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the source cannot be used: {}", .0.text)]
    Source(ErrorReport),
}

/// Plans the tables of one database, some at a time; `stored` is called for each table as soon as its
/// plan is stored, with whether it has no chunk.
///
/// # Errors
/// The status tables cannot be written, or the source refuses everything. Tables without a plan stay in `planning`.
pub async fn plan_tables<F>(
    session: &Session,
    config: &Config,
    database: &ReservedDatabase<'_>,
    asked: &Asked,
    stored: impl Fn(TableId, bool) -> F,
) -> Result<(), PlanningError>
where
    F: Future<Output = ()>,
{
    let stored = &stored;
    let mut outcomes = stream::iter(&database.tables)
        .map(|table| async move {
            let outcome = plan_and_store(session, config, (&database.planner, table), asked).await?;
            match &outcome {
                Outcome::Stored { is_empty } => stored(table.id, *is_empty).await,
                Outcome::Failed(error) => {
                    let name = &table.ready.selected.entry.source;
                    tracing::error!(table = %name, error = %error.text, "[{name}] cannot be planned");
                }
            }
            thaw_faults::reach("between_plans");
            Ok::<(), PlanningError>(())
        })
        .buffer_unordered(PLANNING_CONCURRENCY);
    while let Some(outcome) = outcomes.next().await {
        outcome?;
    }
    Ok(())
}

async fn plan_and_store(
    session: &Session,
    config: &Config,
    (planner, table): (&PlannerClaim, &ReservedEntry<'_>),
    asked: &Asked,
) -> Result<Outcome, PlanningError> {
    let ready = &table.ready;
    let planned = plan(session, config, ready, asked).await;
    let database = &ready.selected.source.target_database;
    let mut client =
        session.pools.pool(database).map_err(StoreError::from)?.get().await.map_err(StoreError::from)?;
    match planned {
        Ok(planned) => {
            log_decisions(ready, &planned);
            let is_empty = planned.is_empty();
            let new_plan = new_plan(ready, planned);
            if new_plan.plan.one_scan.is_some() {
                drop(client);
                return store_and_submit(session, config, (planner, table), &new_plan).await;
            }
            thaw_status::store_plan(&mut client, planner, table.id, &new_plan).await?;
            thaw_faults::reach("after_store");
            Ok(Outcome::Stored { is_empty })
        }
        Err(Failure::Plan(error)) if error.stops_the_run() => Err(PlanningError::Source(report(&error))),
        Err(Failure::Plan(error)) => {
            let report = report(&error);
            thaw_status::fail_table(&mut client, planner, table.id, &report).await?;
            Ok(Outcome::Failed(report))
        }
        Err(Failure::Store(error)) => Err(error.into()),
    }
}

/// Writes the one statement of the table down and sends it. Whoever looks next does what fails here, and waits for its
/// end.
async fn store_and_submit(
    session: &Session,
    config: &Config,
    (planner, table): (&PlannerClaim, &ReservedEntry<'_>),
    new_plan: &NewPlan,
) -> Result<Outcome, PlanningError> {
    let scans = session.scans(config, &table.ready.selected.source.target_database);
    let statement = match one_scan::new_statement(&new_plan.plan) {
        Ok(statement) => statement,
        // The count was rendered from the same parts.
        Err(error) => return Err(PlanningError::Source(ErrorReport::of(&error))),
    };
    let claim = {
        let pool = scans.pools.pool(&scans.database).map_err(StoreError::from)?;
        let mut client = pool.get().await.map_err(StoreError::from)?;
        thaw_status::one_scan::store_scan(&mut client, planner, table.id, new_plan, &statement).await?
    };
    thaw_faults::reach("after_scan_store");
    scans.submit(&claim).await;
    Ok(Outcome::Stored { is_empty: false })
}

/// Why a table has no plan.
#[derive(Debug)]
pub enum Failure {
    Plan(PlanError),
    Store(StoreError),
}

/// Plans one table as things are now. Writes nothing: the dry run uses it as it is.
///
/// # Errors
/// The table's own refusal, or the target database's.
pub async fn plan(
    session: &Session,
    config: &Config,
    ready: &Ready<'_>,
    asked: &Asked,
) -> Result<Planned, Failure> {
    let moment = snapshot::before(&ready.server_time).ok_or(Failure::Plan(PlanError::Clock))?;
    let filter = sent_filter(ready).map_err(Failure::Plan)?;
    let read = {
        let client = target_client(session, ready).await.map_err(Failure::Store)?;
        let read =
            reading::read(&client, config, (ready, &filter), asked, &moment).await.map_err(|error| {
                match error {
                    ReadError::Store(error) => Failure::Store(error),
                    ReadError::Asked(error) => Failure::Plan(PlanError::Asked(error)),
                }
            })?;
        if !read.rows.is_empty && !asked.full {
            let left = reading::rows_left(&client, config, ready).await.map_err(Failure::Store)?;
            if let Some((run, rows)) = left {
                return Err(Failure::Plan(PlanError::RowsLeft { run, rows }));
            }
        }
        read
    };
    let facts = facts(ready, &read, &filter, asked.full);
    plan::plan_table(side(session, config, ready), facts).await.map_err(Failure::Plan)
}

/// Plans a fresh execution of a table that was started before: what it reads from, how it starts and where it loads are
/// those of `earlier`, whose executions have left `rows_there` rows in the target. Writes nothing.
///
/// # Errors
/// The table's own refusal, or the target database's.
pub async fn plan_execution(
    session: &Session,
    config: &Config,
    ready: &Ready<'_>,
    (earlier, rows_there): (&TablePlan, i64),
) -> Result<Planned, Failure> {
    let rows = target_rows(session, ready).await.map_err(Failure::Store)?;
    let filter = sent_filter(ready).map_err(Failure::Plan)?;
    // Bound and start are those of the plan before; nothing is decided by these two.
    let (reading, own_rows) = (Reading::everything("decided before"), OwnRows::All);
    let read = Read { rows, reading, own_rows, unfilled: Vec::new() };
    let facts = facts(ready, &read, &filter, false);
    let side = side(session, config, ready);
    plan::plan_execution(side, facts, (earlier, rows_there)).await.map_err(Failure::Plan)
}

async fn target_client(session: &Session, ready: &Ready<'_>) -> Result<thaw_postgres::Client, StoreError> {
    Ok(session.pools.pool(&ready.selected.source.target_database)?.get().await?)
}

async fn target_rows(session: &Session, ready: &Ready<'_>) -> Result<TargetRows, StoreError> {
    let Selected { source, entry } = ready.selected;
    let client = target_client(session, ready).await?;
    Ok(target::rows(&client, &source.target_schema, &entry.target, None, None).await?)
}

fn side<'a>(session: &'a Session, config: &'a Config, ready: &'a Ready<'_>) -> SourceSide<'a> {
    SourceSide {
        client: &session.snowflake,
        config,
        time_travel: &ready.time_travel,
        server_time: &ready.server_time,
    }
}

fn facts<'a>(ready: &'a Ready<'_>, read: &'a Read, filter: &'a SentFilter, full: bool) -> Facts<'a> {
    Facts {
        source: ready.selected.source,
        entry: ready.selected.entry,
        mapped: &ready.mapped,
        target: &ready.target,
        rows: &read.rows,
        reading: &read.reading,
        full,
        own_rows: &read.own_rows,
        unfilled: &read.unfilled,
        filter,
        is_date_strategy: false,
    }
}

/// The filter of the entry at the source's clock, which the snapshot is taken from too.
fn sent_filter(ready: &Ready<'_>) -> Result<SentFilter, PlanError> {
    let entry = ready.selected.entry;
    let Some(text) = &entry.source_filter else { return Ok(SentFilter::default()) };
    Ok(filter::freeze(text, &ready.server_time, &entry.timezone)?)
}

/// What is said and stored about it: the error and its causes, free of values.
#[must_use]
pub fn report(error: &PlanError) -> ErrorReport {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text = format!("{text}: {next_text}");
        }
        cause = next.source();
    }
    ErrorReport { class: error.class(), text }
}

/// The line that users of the script look for.
pub(crate) fn log_initial_full_load(ready: &Ready<'_>, planned: &Planned) {
    let name = &ready.selected.entry.source;
    if planned.is_initial_full_load {
        tracing::info!(
            table = %name,
            "[{name}] Initial full load detected (empty table, no watermark) - will use fast COPY mode for all chunks"
        );
    }
    // The one way to load by upsert and yet begin with COPY.
    if planned.plan.load.mode == LoadMode::Upsert && planned.plan.load.copy_first {
        tracing::info!(table = %name, "[{name}] Using date-based chunking - forcing UPSERT mode.");
    }
}

/// Whether a person should look at it.
#[must_use]
pub fn is_warning(decision: &Decision) -> bool {
    match decision.choice.as_str() {
        "not done" | "not detected" | "short" => true,
        "none" => decision.subject == "snapshot",
        _ => false,
    }
}

pub(crate) fn log_decisions(ready: &Ready<'_>, planned: &Planned) {
    let name = &ready.selected.entry.source;
    log_initial_full_load(ready, planned);
    for decision in &planned.plan.decisions {
        if is_warning(decision) {
            tracing::warn!(table = %name, "[{name}] {}: {} ({})", decision.subject, decision.choice, decision.reason);
            continue;
        }
        tracing::info!(
            table = %name,
            "[{name}] {}: {} ({})", decision.subject, decision.choice, decision.reason
        );
    }
    for left_out in &planned.plan.left_out {
        tracing::warn!(table = %name, "[{name}] column {} is left out: {}", left_out.column, left_out.reason);
    }
    tracing::info!(
        table = %name,
        row_count = planned.counts.rows,
        chunk_count = planned.chunks.len(),
        "[{name}] planned"
    );
}

/// What is stored of it.
pub(crate) fn new_plan(ready: &Ready<'_>, planned: Planned) -> NewPlan {
    let watermark = window(ready, &planned);
    let rows = |count: u64| i64::try_from(count).ok().filter(|_| planned.is_counted);
    NewPlan {
        watermark,
        expected_rows: rows(planned.counts.rows),
        chunks: planned
            .chunks
            .into_iter()
            .map(|chunk| NewChunk { range: chunk.range, expected_rows: rows(chunk.expected_rows) })
            .collect(),
        plan: planned.plan,
    }
}

/// What is stored for the next bound.
fn window(ready: &Ready<'_>, planned: &Planned) -> Option<WatermarkWindow> {
    let watermark = ready.mapped.watermark.as_ref()?;
    let reading = &planned.reading;
    let text = |value: &Option<WatermarkValue>| value.as_ref().and_then(WatermarkValue::to_text);
    let seen = reading::kind(ready).and_then(|kind| {
        let greatest = planned.counts.greatest_watermark.as_deref()?;
        WatermarkValue::from_wire(kind, greatest)
    });
    // A bounded plan that sees no value has not seen the source shrink: what was seen before is still behind it.
    let high = seen.or_else(|| reading.low.as_ref().and(reading.carried_high.clone()));
    // Rows of this plan may be missing though it completes: the next bound stays at this one's.
    let leaves_gap = reading.leaves_gap || planned.leaves_gap_reason.is_some();
    Some(WatermarkWindow {
        column: watermark.target.as_str().to_owned(),
        source: watermark.source.as_str().to_owned(),
        pg_type: watermark.target_type.to_string(),
        low: text(&reading.low),
        high: text(&high),
        safe: match (reading.leaves_gap, leaves_gap) {
            (true, _) => text(&reading.safe),
            (false, true) => text(&reading.low),
            (false, false) => None,
        },
        leaves_gap,
    })
}
