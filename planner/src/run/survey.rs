//! What the status tables know of earlier runs: read before anything is decided about resuming one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thaw_model::{RunId, RunState, TableId};
use thaw_postgres::catalog;
use thaw_status::{RunProgress, RunTable, StoreError};

use tokio_postgres::Client;

use crate::session::Session;

/// A run with its part in each of the databases looked at.
#[derive(Debug, Clone)]
pub struct KnownRun {
    pub id: RunId,
    pub parts: BTreeMap<String, Part>,
}

/// One database's part of a run.
#[derive(Debug, Clone)]
pub struct Part {
    pub progress: RunProgress,
    pub tables: Vec<RunTable>,
    /// Tables whose rows somebody has taken away: what is completed of them is not there.
    pub emptied: BTreeSet<TableId>,
}

impl KnownRun {
    /// A planner holds it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.parts.values().any(Part::is_held)
    }

    /// Since it last got on, in whichever database.
    #[must_use]
    pub fn stalled(&self) -> Duration {
        self.parts.values().map(|part| part.progress.stalled).min().unwrap_or_default()
    }

    /// Since its start.
    #[must_use]
    pub fn started_ago(&self) -> Duration {
        self.parts.values().map(|part| part.progress.started_ago).max().unwrap_or_default()
    }

    /// In one of the databases.
    #[must_use]
    pub fn is_anywhere(&self, state: RunState) -> bool {
        self.parts.values().any(|part| part.progress.state == state)
    }
}

impl Part {
    /// Running under a living planner.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.progress.state == RunState::Running && self.progress.planner_alive
    }
}

/// The runs that are not over, or could be revived, the newest first.
///
/// # Errors
/// What a database says.
pub async fn incomplete(
    session: &Session,
    databases: &BTreeSet<String>,
) -> Result<Vec<KnownRun>, StoreError> {
    let mut ids = BTreeSet::new();
    for name in databases {
        let client = session.pools.pool(name)?.get().await?;
        match thaw_status::incomplete_runs(&client).await {
            Ok(runs) => ids.extend(runs.iter().map(|run| run.run)),
            // A dry run makes no status tables.
            Err(error) if error.is_schema_missing() => {}
            Err(error) => return Err(error),
        }
    }
    let mut runs = Vec::new();
    for id in ids {
        // Gone meanwhile: somebody pruned it.
        runs.extend(one(session, databases, id).await?);
    }
    runs.sort_by_key(KnownRun::started_ago);
    Ok(runs)
}

/// One run, whatever its state; `None`: none of the databases has it.
///
/// # Errors
/// What a database says.
pub async fn one(
    session: &Session,
    databases: &BTreeSet<String>,
    id: RunId,
) -> Result<Option<KnownRun>, StoreError> {
    let mut parts = BTreeMap::new();
    for name in databases {
        let client = session.pools.pool(name)?.get().await?;
        match thaw_status::read_run(&client, id).await {
            Ok(Some(progress)) => {
                let tables = thaw_status::tables_to_resume(&client, id).await?;
                let emptied = emptied(&client, &tables).await?;
                parts.insert(name.clone(), Part { progress, tables, emptied });
            }
            Ok(None) => {}
            // A database that no run has touched yet.
            Err(error) if error.is_schema_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok((!parts.is_empty()).then_some(KnownRun { id, parts }))
}

/// Those of the tables that brought rows to a target that has none now. A later run answers for what it has started; a
/// target that is gone is reported where it is looked at, and one that this role may not read is another configuration's.
async fn emptied(client: &Client, tables: &[RunTable]) -> Result<BTreeSet<TableId>, StoreError> {
    let mut emptied = BTreeSet::new();
    for table in tables.iter().filter(|table| table.has_loaded && table.later_run.is_none()) {
        match catalog::is_empty(client, &table.target_schema, &table.target_table).await {
            Ok(true) => drop(emptied.insert(table.id)),
            Ok(false) => {}
            Err(error) if matches!(error.sqlstate(), Some("42P01" | "42501")) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(emptied)
}
