//! Starting a table: what happens to its target once, in one transaction, before any of its chunks can be claimed.

use std::time::Duration;

use thaw_model::ident::pg_literal;
use thaw_model::plan::ReplaceTail;
use thaw_model::{PgIdent, RunId, TableId, TablePlan};
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;
use crate::indexes;
use crate::recorded::{Outcome, Recorded};
use crate::row;

const START: &str = include_str!("sql/start_table_if_planned.sql");
const SNOOZE: &str = include_str!("sql/snooze_start_if_planned.sql");
const READ_STATE: &str = include_str!("sql/read_table_state.sql");
/// For status rows and rows of the target.
pub(crate) const SHORT_LOCK_TIMEOUT: &str = "set local lock_timeout = '3s'";
/// Everybody else queues behind our exclusive lock while it waits for a person's, so each try is short.
const EXCLUSIVE_LOCK_TIMEOUT: &str = "set local lock_timeout = '500ms'";

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
/// transaction, under a short lock timeout. Whoever comes second gets [`Start::NotStartable`].
///
/// # Errors
/// What PostgreSQL says, for instance 55P03 when somebody holds a lock on the target
/// (`thaw_postgres::blocking` names whom); nothing has changed then.
pub async fn start_table(client: &mut Client, run: RunId, table: TableId) -> Result<Start, StoreError> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(SHORT_LOCK_TIMEOUT).await?;
    let Some(started) = transaction.query_opt(START, &[&table.0, &run.0]).await? else {
        transaction.rollback().await?;
        return Ok(Start::NotStartable(read_table(client, run, table).await?));
    };
    let plan: TablePlan = row::json(&started, "plan", "plan")?;
    prepare_target(&transaction, table, &plan).await?;
    transaction.commit().await?;
    Ok(Start::Started(read_table(client, run, table).await?))
}

/// When a table is tried again whose start met a lock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Snoozed {
    /// Starts in vain so far.
    pub tries: i16,
    /// Until the next one, anywhere in the fleet.
    pub pause: Duration,
}

/// Puts the next start of a planned table off, longer each time, for the whole fleet. `None`: it is planned no more.
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

async fn prepare_target(
    transaction: &Transaction<'_>,
    table: TableId,
    plan: &TablePlan,
) -> Result<(), StoreError> {
    let target = qualified(&plan.target.schema, &plan.target.table);
    if plan.start.truncate || plan.start.drop_indexes {
        transaction.batch_execute(EXCLUSIVE_LOCK_TIMEOUT).await?;
        transaction.batch_execute(&format!("lock table {target} in access exclusive mode")).await?;
        transaction.batch_execute(SHORT_LOCK_TIMEOUT).await?;
    }
    if plan.start.drop_indexes {
        indexes::save_and_drop(transaction, table, &plan.target.schema, &plan.target.table).await?;
    }
    clear_target(transaction, plan).await
}

/// The truncate or the delete of the tail, once per execution. Takes the table's lock as a truncate does.
pub(crate) async fn clear_target(transaction: &Transaction<'_>, plan: &TablePlan) -> Result<(), StoreError> {
    let target = qualified(&plan.target.schema, &plan.target.table);
    if plan.start.truncate {
        transaction.batch_execute(EXCLUSIVE_LOCK_TIMEOUT).await?;
        // Never CASCADE: a table that refers to this one is an error that names the constraint.
        transaction.batch_execute(&format!("truncate table {target}")).await?;
        transaction.batch_execute(SHORT_LOCK_TIMEOUT).await?;
    } else if let Some(tail) = &plan.start.replace_tail {
        transaction.batch_execute(SHORT_LOCK_TIMEOUT).await?;
        transaction.batch_execute(&delete_tail(&target, tail)).await?;
    }
    Ok(())
}

fn qualified(schema: &PgIdent, table: &PgIdent) -> String {
    format!("{}.{}", schema.quoted(), table.quoted())
}

/// `pg_type` and `filter` are SQL already: a name of a type that Thaw knows, and what the planner has rendered from the
/// tree of a translated filter.
fn delete_tail(target: &str, tail: &ReplaceTail) -> String {
    let column = tail.column.quoted();
    let pg_type = &tail.pg_type;
    let collation = if tail.by_bytes { " collate \"C\"" } else { "" };
    let from = tail.bound.as_deref().map(|bound| {
        format!("({column}{collation} >= cast({} as {pg_type}) or {column} is null)", pg_literal(bound))
    });
    let filter = tail.filter.as_deref().map(|filter| format!("({filter})"));
    let conditions: Vec<String> = filter.into_iter().chain(from).collect();
    if conditions.is_empty() {
        return format!("delete from {target}");
    }
    format!("delete from {target} where {}", conditions.join(" and "))
}
