//! Writing the run before anything is asked of the warehouse: one run, one row for every selected table, in every
//! target database, in the databases' name order.

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{RunId, TableId};
use thaw_snowflake::SnowflakeError;
use thaw_status::{Holder, NewRun, NewTable, PlannerClaim, Reservation, StoreError};
use thaw_worker::connections;

use crate::introspect::source;
use crate::preflight::Ready;
use crate::select::Selected;
use crate::session::Session;
use crate::snapshot::SNAPSHOT_LAG;

/// Beyond the snapshot's lag, for statements that were still being answered when the last run ended.
const SNAPSHOT_MARGIN: Duration = Duration::from_secs(1);

/// A run that holds its targets in every database.
#[derive(Debug)]
pub struct ReservedRun<'a> {
    pub id: RunId,
    /// In name order.
    pub databases: Vec<ReservedDatabase<'a>>,
}

/// The run's rows in one database.
#[derive(Debug)]
pub struct ReservedDatabase<'a> {
    pub name: String,
    pub planner: PlannerClaim,
    pub tables: Vec<ReservedEntry<'a>>,
}

/// One table of the run.
#[derive(Debug)]
pub struct ReservedEntry<'a> {
    pub id: TableId,
    pub entry: String,
    pub ready: Ready<'a>,
}

/// What reserving gave.
#[derive(Debug)]
pub enum Reserved<'a> {
    Run(ReservedRun<'a>),
    /// A target is held by another run; what had been written is cancelled again.
    /// `is_same`: that run was asked to do exactly this.
    Held {
        database: String,
        holder: Box<Holder>,
        is_same: bool,
    },
}

/// Reserves the run. A refusal in one database cancels it in those before.
///
/// # Errors
/// What a database says.
pub async fn reserve<'a>(
    session: &Session,
    config: &Config,
    ready: Vec<Ready<'a>>,
) -> Result<Reserved<'a>, StoreError> {
    let id = RunId::generate();
    let mut run = ReservedRun { id, databases: Vec::new() };
    let databases = by_database(ready);
    let is_one_database = databases.len() == 1;
    for (name, ready) in databases {
        let new_tables: Vec<NewTable> = ready.iter().map(|ready| new_table(config, ready)).collect();
        let new_run = NewRun {
            id,
            config_hash: thaw_config::combined_hash(
                new_tables.iter().map(|table| table.config_hash.as_str()),
            ),
            planner: session.planner.clone(),
            planner_lease: session.lease,
            settings: connections::fleet_settings(config),
            program: concat!("planner ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let mut client = session.pools.pool(&name)?.get().await?;
        match thaw_status::reserve_run(&mut client, &new_run, &new_tables).await {
            Err(error) => {
                cancel(session, &run).await?;
                return Err(error);
            }
            Ok(Reservation::Reserved { planner, tables }) => {
                let tables = tables
                    .iter()
                    .zip(new_tables)
                    .zip(&ready)
                    .map(|((reserved, new_table), table)| ReservedEntry {
                        id: reserved.id,
                        entry: new_table.entry,
                        ready: table.clone(),
                    })
                    .collect();
                run.databases.push(ReservedDatabase { name, planner, tables });
            }
            Ok(Reservation::HeldBy(holder)) => {
                cancel(session, &run).await?;
                let is_same = is_one_database && holder.config_hash == new_run.config_hash;
                return Ok(Reserved::Held { database: name, holder: Box::new(holder), is_same });
            }
        }
    }
    Ok(Reserved::Run(run))
}

/// Waits until a snapshot taken now lies behind everything that the last runs on these targets have read. A run without
/// a snapshot read the present; one that follows within the snapshot's lag would write an older state over it.
///
/// # Errors
/// What a database says.
pub async fn wait_for_snapshots(session: &Session, run: &ReservedRun<'_>) -> Result<(), StoreError> {
    let mut wait = Duration::ZERO;
    for database in &run.databases {
        let client = session.pools.pool(&database.name)?.get().await?;
        for table in &database.tables {
            let Selected { source, entry } = table.ready.selected;
            match thaw_status::last_of_target(&client, &source.target_schema, &entry.target).await? {
                Some(last) if !last.had_snapshot => {
                    let since = last.finished_ago.unwrap_or_default();
                    wait = wait.max((SNAPSHOT_LAG + SNAPSHOT_MARGIN).saturating_sub(since));
                }
                _ => {}
            }
        }
    }
    if !wait.is_zero() {
        tracing::info!(
            wait_ms = wait.as_millis(),
            "the last run read without a snapshot: waiting until one can lie behind it"
        );
        tokio::time::sleep(wait).await;
    }
    Ok(())
}

/// Reads the clock of each source once more, now that the run holds its targets.
///
/// # Errors
/// The source's refusal.
pub async fn read_clocks(
    session: &Session,
    config: &Config,
    run: &mut ReservedRun<'_>,
) -> Result<(), SnowflakeError> {
    let mut clocks: BTreeMap<String, String> = BTreeMap::new();
    for table in run.databases.iter_mut().flat_map(|database| &mut database.tables) {
        let source = table.ready.selected.source;
        if !clocks.contains_key(&source.path) {
            let time = source::server_time(&session.snowflake, config, source).await?;
            clocks.insert(source.path.clone(), time.unwrap_or_default());
        }
        if let Some(time) = clocks.get(&source.path) {
            table.ready.server_time.clone_from(time);
        }
    }
    Ok(())
}

/// Gives up what was reserved: nothing was planned, and the run stays cancelled in these databases.
///
/// # Errors
/// What a database says.
pub async fn cancel(session: &Session, run: &ReservedRun<'_>) -> Result<(), StoreError> {
    for database in &run.databases {
        let mut client = session.pools.pool(&database.name)?.get().await?;
        thaw_status::cancel_run(&mut client, run.id).await?;
    }
    Ok(())
}

fn by_database(ready: Vec<Ready<'_>>) -> BTreeMap<String, Vec<Ready<'_>>> {
    let mut databases: BTreeMap<String, Vec<Ready<'_>>> = BTreeMap::new();
    for table in ready {
        databases.entry(table.selected.source.target_database.clone()).or_default().push(table);
    }
    databases
}

/// Names (source, filter, target) over all runs. The filter as a digest, because it may hold a user's value.
#[must_use]
pub fn entry_id(config: &Config, selected: Selected<'_>) -> String {
    let Selected { source, entry } = selected;
    let digest = config.plan_digest(source, entry);
    let filter = digest.keys.iter().find(|(key, _)| *key == "source_filter").map_or("", |(_, digest)| digest);
    format!(
        "{}.{}.{} -> {}.{} #{filter}",
        source.source_database, source.source_schema, entry.source, source.target_schema, entry.target
    )
}

fn new_table(config: &Config, ready: &Ready<'_>) -> NewTable {
    let (source, entry) = (ready.selected.source, ready.selected.entry);
    NewTable {
        entry: entry_id(config, ready.selected),
        source_name: source.name.clone(),
        source_database: source.source_database.clone(),
        source_schema: source.source_schema.clone(),
        source_table: entry.source.clone(),
        target_schema: source.target_schema.clone(),
        target_table: entry.target.clone(),
        config_hash: config.plan_digest(source, entry).hash,
        max_attempts: i16::try_from(config.max_retry_attempts).unwrap_or(i16::MAX),
        parallel_cap: entry.parallel_threads.map(i32::from),
    }
}
