//! What earlier runs left behind: the last word about a target, and what of a run may be resumed. Reads only;
//! [`crate::open`] writes.

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_model::{PgIdent, RunId, SfIdent, TableId, TableState};
use tokio_postgres::Client;

use crate::error::StoreError;
use crate::row;

const LAST: &str = include_str!("sql/read_last_table_of_target.sql");
const LIST: &str = include_str!("sql/list_tables_to_resume.sql");

/// The last table that was started on a target, whatever run and entry it belonged to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTable {
    pub run: RunId,
    pub state: TableState,
    pub entry: String,
    /// All its chunks read one moment; else they read the present.
    pub had_snapshot: bool,
    /// Since its end; `None`: it has not ended.
    pub finished_ago: Option<Duration>,
}

/// Reads it; `None`: no run has ever touched this target.
///
/// # Errors
/// What PostgreSQL says.
pub async fn last_of_target(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<Option<LastTable>, StoreError> {
    let row = client.query_opt(LAST, &[&schema.as_str(), &table.as_str()]).await?;
    row.map(|row| {
        Ok(LastTable {
            run: row::run_id(&row)?,
            state: row::state(&row, "status")?,
            entry: row.try_get("entry")?,
            had_snapshot: row.try_get("had_snapshot")?,
            finished_ago: row
                .try_get::<_, Option<f64>>("finished_seconds_ago")?
                .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()),
        })
    })
    .transpose()
}

/// A table of a run, as a resume looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTable {
    pub id: TableId,
    pub state: TableState,
    pub entry: String,
    pub source_database: SfIdent,
    pub source_schema: SfIdent,
    pub source_table: SfIdent,
    pub target_schema: PgIdent,
    pub target_table: PgIdent,
    /// Of the part of the configuration that changes the plan, and a digest of each of its keys.
    pub config_hash: String,
    pub config_keys: BTreeMap<String, String>,
    pub has_plan: bool,
    pub started: bool,
    pub holds_target: bool,
    /// Its ranges are erased: it cannot be revived.
    pub pruned: bool,
    /// Chunks of its current execution have brought rows to the target.
    pub has_loaded: bool,
    /// A later run that has started the target since.
    pub later_run: Option<RunId>,
    /// That run has completed the same entry.
    pub loaded_since: bool,
}

/// The tables of a run in their order; of an entry that was planned anew the newest row.
///
/// # Errors
/// What PostgreSQL says.
pub async fn tables_to_resume(client: &Client, run: RunId) -> Result<Vec<RunTable>, StoreError> {
    let rows = client.query(LIST, &[&run.0]).await?;
    rows.iter()
        .map(|row| {
            let source = |column: &str| row.try_get::<_, String>(column).map(SfIdent::exact);
            let target = |column: &str| row.try_get::<_, String>(column).map(PgIdent::exact);
            Ok(RunTable {
                id: row::table_id(row)?,
                state: row::state(row, "status")?,
                entry: row.try_get("entry")?,
                source_database: source("source_database")?,
                source_schema: source("source_schema")?,
                source_table: source("source_table")?,
                target_schema: target("target_schema")?,
                target_table: target("target_table")?,
                config_hash: row.try_get("config_hash")?,
                config_keys: row::json(row, "config_keys", "digests")?,
                has_plan: row.try_get("has_plan")?,
                started: row.try_get("started")?,
                holds_target: row.try_get("holds_target")?,
                pruned: row.try_get("pruned")?,
                has_loaded: row.try_get("has_loaded")?,
                later_run: row.try_get::<_, Option<uuid::Uuid>>("later_run")?.map(RunId),
                loaded_since: row.try_get("loaded_since")?,
            })
        })
        .collect()
}
