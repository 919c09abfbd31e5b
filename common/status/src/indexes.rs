//! Indexes of a target that a load drops and the finalizer builds again.
//!
//! What is dropped is saved in the same transaction, complete: definition, tablespace, comment, statistics targets and
//! CLUSTER mark. Building again is idempotent, so that a death in between costs nothing but the work.

use std::time::Instant;

use serde::{Deserialize, Serialize};
use thaw_model::ident::pg_literal;
use thaw_model::{PgIdent, TableId};
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Transaction};

use crate::error::StoreError;
use crate::settings::FleetSettings;
use crate::{activity, row};

const LIST_DROPPABLE: &str = include_str!("sql/list_droppable_indexes.sql");
const SAVE: &str = include_str!("sql/save_indexes_if_none_saved.sql");
const READ_SAVED: &str = include_str!("sql/read_saved_indexes.sql");
const CLEAR_SAVED: &str = include_str!("sql/clear_saved_indexes.sql");
const LIST_OF_TARGET: &str = include_str!("sql/list_saved_indexes_of_target.sql");
const LIST_LEFT_BEHIND: &str = include_str!("sql/list_tables_with_saved_indexes.sql");
const INDEX_EXISTS: &str = include_str!("sql/index_exists.sql");

/// An index as it was; one entry of `migration_table_status.saved_indexes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedIndex {
    pub name: PgIdent,
    /// `CREATE INDEX ...` as `pg_get_indexdef` prints it.
    pub definition: String,
    /// `None`: the database's default.
    pub tablespace: Option<PgIdent>,
    pub comment: Option<String>,
    /// The table was last clustered on it.
    pub clustered: bool,
    /// Statistics targets of expression columns: (column of the index, target).
    pub statistics: Vec<(i32, i32)>,
}

/// Saves and drops what may be dropped, inside the start transaction, which holds the table's lock.
pub(crate) async fn save_and_drop(
    transaction: &Transaction<'_>,
    table: TableId,
    schema: &PgIdent,
    name: &PgIdent,
) -> Result<(), StoreError> {
    let rows = transaction.query(LIST_DROPPABLE, &[&schema.as_str(), &name.as_str()]).await?;
    let mut saved = Vec::with_capacity(rows.len());
    for row in rows {
        let columns: Vec<i32> = row.try_get("statistics_columns")?;
        let targets: Vec<i32> = row.try_get("statistics_targets")?;
        saved.push(SavedIndex {
            name: PgIdent::exact(row.try_get::<_, String>("name")?),
            definition: row.try_get("definition")?,
            tablespace: row.try_get::<_, Option<String>>("tablespace")?.map(PgIdent::exact),
            comment: row.try_get("comment")?,
            clustered: row.try_get("clustered")?,
            statistics: columns.into_iter().zip(targets).collect(),
        });
    }
    if saved.is_empty() || transaction.execute(SAVE, &[&table.0, &Json(&saved)]).await? == 0 {
        return Ok(());
    }
    thaw_faults::reach("after_save_indexes");
    for index in &saved {
        transaction.batch_execute(&format!("drop index {}.{}", schema.quoted(), index.name.quoted())).await?;
    }
    Ok(())
}

/// Builds the saved indexes of a table again, each in a transaction of its own; those that are there are left alone.
/// Returns how many were built. How far a build is, `pg_stat_progress_create_index` shows under the transaction's name.
///
/// # Errors
/// What PostgreSQL says; what was built stays, and the next call goes on behind it.
pub async fn restore_indexes(client: &mut Client, table: TableId) -> Result<usize, StoreError> {
    let Some(row) = client.query_opt(READ_SAVED, &[&table.0]).await? else {
        return Ok(0);
    };
    let target = Target {
        schema: PgIdent::exact(row.try_get::<_, String>("target_schema")?),
        name: PgIdent::exact(row.try_get::<_, String>("target_table")?),
        activity: activity::of_table(row::run_id(&row)?, table, "indexes"),
        settings: row::json(&row, "settings", "run settings")?,
    };
    let saved: Vec<SavedIndex> = row::json(&row, "saved_indexes", "saved indexes")?;
    let mut built = 0;
    for (number, index) in (1..).zip(&saved) {
        let began = Instant::now();
        if build(client, &target, index).await? {
            built += 1;
            let index_count = saved.len();
            tracing::info!(index = %index.name, number, index_count, seconds = began.elapsed().as_secs(), "index built");
        }
        thaw_faults::reach("between_indexes");
    }
    client.execute(CLEAR_SAVED, &[&table.0]).await?;
    Ok(built)
}

/// Whose indexes are built, and by which means.
struct Target {
    schema: PgIdent,
    name: PgIdent,
    activity: String,
    settings: FleetSettings,
}

async fn build(client: &mut Client, target: &Target, index: &SavedIndex) -> Result<bool, StoreError> {
    let relation = format!("{}.{}", target.schema.quoted(), target.name.quoted());
    let transaction = client.transaction().await?;
    activity::begin(&transaction, &target.activity, activity::INDEX).await?;
    // Conflicts with itself: of two that build, the second waits here and then finds the index.
    transaction.batch_execute(&format!("lock table {relation} in share update exclusive mode")).await?;
    let names = [target.schema.as_str(), target.name.as_str(), index.name.as_str()];
    if transaction.query_one(INDEX_EXISTS, &[&names[0], &names[1], &names[2]]).await?.try_get(0)? {
        transaction.rollback().await?;
        return Ok(false);
    }
    for statement in statements(target, &relation, index) {
        transaction.batch_execute(&statement).await?;
    }
    thaw_faults::reach("during_index");
    transaction.commit().await?;
    Ok(true)
}

/// The index as it was, with what `pg_get_indexdef` forgets.
fn statements(target: &Target, relation: &str, index: &SavedIndex) -> Vec<String> {
    let full_name = format!("{}.{}", target.schema.quoted(), index.name.quoted());
    let tablespace = index.tablespace.as_ref().map_or_else(|| "''".to_owned(), PgIdent::quoted);
    let mut statements = vec![
        format!("set local maintenance_work_mem = '{}MB'", target.settings.index_memory_mb),
        format!("set local max_parallel_maintenance_workers = {}", target.settings.index_workers),
        format!("set local default_tablespace = {tablespace}"),
        index.definition.clone(),
    ];
    if let Some(comment) = &index.comment {
        statements.push(format!("comment on index {full_name} is {}", pg_literal(comment)));
    }
    for (column, statistics) in &index.statistics {
        statements.push(format!("alter index {full_name} alter column {column} set statistics {statistics}"));
    }
    if index.clustered {
        statements.push(format!("alter table {relation} cluster on {}", index.name.quoted()));
    }
    statements
}

/// What a finalizer does: builds the saved indexes of its table, and those that earlier runs on the same target left
/// behind when they were superseded, cancelled or failed. Returns how many were built.
///
/// # Errors
/// What PostgreSQL says; what was built stays, and the next call goes on behind it.
pub async fn restore_indexes_of_target(client: &mut Client, table: TableId) -> Result<usize, StoreError> {
    let mut built = 0;
    for row in client.query(LIST_OF_TARGET, &[&table.0]).await? {
        built += restore_indexes(client, row::table_id(&row)?).await?;
    }
    Ok(built)
}

/// Tables of dead, cancelled or failed runs whose targets still lack indexes, and which nobody loads now:
/// [`restore_indexes`] each. Part of redispatch; a run that loads such a target restores them itself.
///
/// # Errors
/// What PostgreSQL says.
pub async fn tables_without_their_indexes(client: &Client) -> Result<Vec<TableId>, StoreError> {
    client.query(LIST_LEFT_BEHIND, &[]).await?.iter().map(row::table_id).collect()
}
