//! Starting a table: what happens to its target once, in one transaction, before any of its chunks can be claimed.

use std::time::Duration;

use thaw_model::ident::pg_literal;
use thaw_model::plan::ReplaceTail;
use thaw_model::{Job, PgIdent, RunId, TableId, TablePlan};
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;
use crate::indexes;
use crate::recorded::{Outcome, Recorded};
use crate::table::table_job;
use crate::{activity, row, truncate};

const START: &str = include_str!("sql/start_table_if_planned.sql");
const SNOOZE: &str = include_str!("sql/snooze_start_if_planned.sql");
const LOCK_TOGETHER: &str = include_str!("sql/lock_tables_truncated_together.sql");
const PARENT_IN_THE_WAY: &str = include_str!("sql/read_parent_in_the_way.sql");
const NOTE_REFERENCES: &str = include_str!("sql/note_references.sql");
const CHILDREN: &str = include_str!("sql/list_children_to_start.sql");
const READ_TARGET: &str = include_str!("sql/read_target_of_start.sql");
const NOTE_TARGET: &str = include_str!("sql/note_target_of_start.sql");
const READ_STATE: &str = include_str!("sql/read_table_state.sql");

/// What a start did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The table is loading; publish [`crate::list_hints`], and try to finalize it when it has no chunk.
    Started(Recorded),
    /// It was not for us to start: it runs already, is not planned yet, waits for its target or for a lock, or is over.
    NotStartable(Recorded),
}

impl Start {
    /// The proof for the message, either way.
    pub fn recorded(self) -> Recorded {
        match self {
            Self::Started(recorded) | Self::NotStartable(recorded) => recorded,
        }
    }
}

/// Starts a planned table: `planned` -> `loading`, the truncate or tail delete and the index drop, in one
/// transaction, under a short lock timeout. Whoever comes second gets [`Start::NotStartable`], as does a table that
/// waits for one of its run that it refers to.
///
/// # Errors
/// What PostgreSQL says, for instance 55P03 when somebody holds a lock on the target
/// (`thaw_postgres::blocking` names whom); [`StoreError::ParentFailed`] and [`StoreError::TruncateReferenced`], which no
/// repetition mends. Nothing has changed then.
pub async fn start_table(client: &mut Client, run: RunId, table: TableId) -> Result<Start, StoreError> {
    let mut transaction = client.transaction().await?;
    let name = activity::of_table(run, table, "start");
    activity::begin(&transaction, &name, activity::START).await?;
    let together = lock_together(&transaction, run, table).await?;
    let started = match is_in_the_way(&transaction, run, table).await? {
        false => transaction.query_opt(START, &[&table.0, &run.0]).await?,
        true => None,
    };
    let prepared = match started {
        Some(started) => {
            let plan: TablePlan = row::json(&started, "plan", "plan")?;
            let prepared = prepare_target(&transaction, (run, table), &plan, &together).await?;
            if prepared {
                note_target(&mut transaction, (run, table), &plan).await?;
            }
            prepared
        }
        None => false,
    };
    if !prepared {
        transaction.rollback().await?;
        return Ok(Start::NotStartable(read_table(client, run, table).await?));
    }
    transaction.execute(NOTE_REFERENCES, &[&table.0, &run.0]).await?;
    thaw_faults::reach("before_start_commit");
    transaction.commit().await?;
    Ok(Start::Started(read_table(client, run, table).await?))
}

/// When a table is tried again whose start or end met a lock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snoozed {
    /// Times in vain so far.
    pub tries: i16,
    /// Until the next one, anywhere in the fleet.
    pub pause: Duration,
}

/// Puts the next start of a planned table off, longer each time, for the whole fleet. `None`: it is planned no more, or
/// somebody who met the same lock has put it off already.
///
/// # Errors
/// What PostgreSQL says.
pub async fn snooze_start(
    client: &Client,
    run: RunId,
    table: TableId,
) -> Result<Option<Snoozed>, StoreError> {
    let Some(row) = client.query_opt(SNOOZE, &[&table.0, &run.0]).await? else { return Ok(None) };
    let seconds: f64 = row.try_get("seconds")?;
    Ok(Some(Snoozed { tries: row.try_get("start_tries")?, pause: Duration::from_secs_f64(seconds.max(0.0)) }))
}

/// Locks the table's row, and those of the tables that are emptied with it.
async fn lock_together(
    transaction: &Transaction<'_>,
    run: RunId,
    table: TableId,
) -> Result<Vec<i64>, StoreError> {
    let rows = transaction.query(LOCK_TOGETHER, &[&table.0, &run.0]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// True: a parent has not ended. A failed one fails the start.
async fn is_in_the_way(
    transaction: &Transaction<'_>,
    run: RunId,
    table: TableId,
) -> Result<bool, StoreError> {
    let Some(row) = transaction.query_opt(PARENT_IN_THE_WAY, &[&table.0, &run.0]).await? else {
        return Ok(false);
    };
    if row.try_get::<_, bool>("has_failed")? {
        return Err(StoreError::ParentFailed {
            table: row.try_get("table_name")?,
            constraint: row.try_get("constraint_name")?,
        });
    }
    Ok(true)
}

/// The tables that waited for this one, which has ended: hint at them, so that they start (or fail with it) at once.
///
/// # Errors
/// What PostgreSQL says.
pub async fn children_to_start(client: &Client, run: RunId, table: TableId) -> Result<Vec<Job>, StoreError> {
    client.query(CHILDREN, &[&table.0, &run.0]).await?.iter().map(table_job).collect()
}

/// What the status tables say about a table: the proof for a message about it that needed no work.
///
/// # Errors
/// What PostgreSQL says.
pub async fn read_table(client: &Client, run: RunId, table: TableId) -> Result<Recorded, StoreError> {
    let outcome = match client.query_opt(READ_STATE, &[&table.0, &run.0]).await? {
        Some(row) => Outcome::Table(row::state(&row, "status")?),
        None => Outcome::NotOurs,
    };
    Ok(Recorded::table(run, table, outcome))
}

/// False: it is too early, nothing was done.
async fn prepare_target(
    transaction: &Transaction<'_>,
    (run, table): (RunId, TableId),
    plan: &TablePlan,
    together: &[i64],
) -> Result<bool, StoreError> {
    let target = qualified(&plan.target.schema, &plan.target.table);
    if plan.start.drop_indexes {
        truncate::lock_exclusively(transaction, (run, table), std::slice::from_ref(&target)).await?;
        indexes::save_and_drop(transaction, table, &plan.target.schema, &plan.target.table).await?;
    }
    if plan.start.truncate {
        return truncate::once(transaction, (run, table), &target, together).await;
    }
    if let Some(tail) = &plan.start.replace_tail {
        transaction.batch_execute(&delete_tail(&target, tail)).await?;
    }
    Ok(true)
}

/// Keeps whether the target is empty now, so that the finalizer knows how many rows it must hold in the end. Unknown where
/// a look would be long: others may wait for the lock that is held meanwhile.
async fn note_target(
    transaction: &mut Transaction<'_>,
    (run, table): (RunId, TableId),
    plan: &TablePlan,
) -> Result<(), StoreError> {
    let (schema, name) = (&plan.target.schema, &plan.target.table);
    let Some(row) = transaction.query_opt(READ_TARGET, &[&schema.as_str(), &name.as_str()]).await? else {
        return Ok(());
    };
    if !row.try_get::<_, bool>("may_read")? {
        return Ok(());
    }
    let look = transaction.savepoint("look").await?;
    activity::begin(&look, &activity::of_table(run, table, "start"), activity::LOOK).await?;
    let asked = format!("select not exists (select from {}) as is_empty", qualified(schema, name));
    let is_empty = match look.query_one(&asked, &[]).await.map_err(StoreError::from) {
        Ok(row) => Some(row.try_get::<_, bool>("is_empty")?),
        Err(error) if error.is_cancelled() => None,
        Err(error) => return Err(error),
    };
    // Takes the limits back as well.
    look.rollback().await?;
    transaction.execute(NOTE_TARGET, &[&table.0, &is_empty, &row.try_get::<_, i64>("deleted")?]).await?;
    Ok(())
}

/// The truncate or the delete of the tail of a fresh execution, which the table's earlier one has done before.
pub(crate) async fn clear_target(
    transaction: &Transaction<'_>,
    (run, table): (RunId, TableId),
    plan: &TablePlan,
) -> Result<(), StoreError> {
    let target = qualified(&plan.target.schema, &plan.target.table);
    if plan.start.truncate {
        let together = lock_together(transaction, run, table).await?;
        truncate::again(transaction, (run, table), &target, &together).await?;
    } else if let Some(tail) = &plan.start.replace_tail {
        let name = activity::of_table(run, table, "start");
        activity::begin(transaction, &name, activity::START).await?;
        transaction.batch_execute(&delete_tail(&target, tail)).await?;
    }
    Ok(())
}

pub(crate) fn qualified(schema: &PgIdent, table: &PgIdent) -> String {
    format!("{}.{}", schema.quoted(), table.quoted())
}

fn delete_tail(target: &str, tail: &ReplaceTail) -> String {
    tail_condition(tail).map_or_else(
        || format!("delete from {target}"),
        |condition| format!("delete from {target} where {condition}"),
    )
}

/// What tells the rows of a tail in the target, in SQL; `None`: all are. `pg_type` and `filter` are SQL already: a name
/// of a type that Thaw knows, and what the planner has rendered from the tree of a translated filter.
#[must_use]
pub fn tail_condition(tail: &ReplaceTail) -> Option<String> {
    let column = tail.column.quoted();
    let pg_type = &tail.pg_type;
    let collation = if tail.by_bytes { " collate \"C\"" } else { "" };
    let from = tail.bound.as_deref().map(|bound| {
        format!("({column}{collation} >= cast({} as {pg_type}) or {column} is null)", pg_literal(bound))
    });
    let filter = tail.filter.as_deref().map(|filter| format!("({filter})"));
    let conditions: Vec<String> = filter.into_iter().chain(from).collect();
    (!conditions.is_empty()).then(|| conditions.join(" and "))
}
