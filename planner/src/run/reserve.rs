//! Writing the run before anything is asked of the warehouse: one run, a row for every table that was asked for, in every
//! target database, in the databases' name order; or opening an earlier run again.

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{RunId, TableId};
use thaw_snowflake::SnowflakeError;
use thaw_status::{NewRun, NewTable, Opened, Opening, PlannerClaim, StoreError};
use thaw_worker::connections;

use crate::introspect::source;
use crate::preflight::Ready;
use crate::run::resume::{OpenPart, Resumption};
use crate::run::wait;
use crate::select::Selected;
use crate::session::Session;
use crate::snapshot::SNAPSHOT_LAG;

/// Beyond the snapshot's lag, for statements that were still being answered when the last run ended.
const SNAPSHOT_MARGIN: Duration = Duration::from_secs(1);

/// A run that holds its targets in every database.
#[derive(Debug)]
pub struct ReservedRun<'a> {
    pub id: RunId,
    /// In name order; those that this call has to do with.
    pub databases: Vec<ReservedDatabase<'a>>,
    /// Tables of this call that were completed before it, with their databases.
    pub done: Vec<(String, TableId)>,
}

/// The run's rows in one database.
#[derive(Debug)]
pub struct ReservedDatabase<'a> {
    pub name: String,
    pub planner: PlannerClaim,
    /// To be planned.
    pub tables: Vec<ReservedEntry<'a>>,
    /// They go on with their stored plans.
    pub resumed: Vec<TableId>,
}

impl ReservedDatabase<'_> {
    /// The tables whose end is waited for and reported.
    pub fn followed(&self) -> impl Iterator<Item = TableId> {
        self.tables.iter().map(|table| table.id).chain(self.resumed.iter().copied())
    }
}

/// One table of the run.
#[derive(Debug)]
pub struct ReservedEntry<'a> {
    pub id: TableId,
    pub entry: String,
    pub ready: Ready<'a>,
}

/// A run that is this planner's, and what has to wait until it is over.
#[derive(Debug)]
pub struct Reserved<'a> {
    pub run: ReservedRun<'a>,
    /// Another entry of the run that holds the same target goes on first: database, table, and the number of the wanted
    /// entry where there is one.
    pub deferred: Vec<(String, TableId, Option<usize>)>,
}

/// Opens the run in every database, in name order; `ready` knows the wanted entries that have to be planned. `None`:
/// the status tables have changed meanwhile, look again. A new run is cancelled in the databases before then, another
/// one is given back as it is.
///
/// # Errors
/// What a database says.
pub async fn open<'a>(
    session: &Session,
    config: &Config,
    resumption: &Resumption,
    ready: &BTreeMap<usize, Ready<'a>>,
) -> Result<Option<Reserved<'a>>, StoreError> {
    let run = ReservedRun { id: resumption.run, databases: Vec::new(), done: Vec::new() };
    let mut reserved = Reserved { run, deferred: Vec::new() };
    for (name, part) in &resumption.databases {
        reserved.run.done.extend(part.done.iter().map(|table| (name.clone(), *table)));
        if !part.is_to_be_opened() {
            continue;
        }
        match open_part(session, config, (resumption.run, name, part), ready).await {
            Ok(Some((database, deferred))) => {
                reserved.run.databases.push(database);
                let named = deferred.into_iter().map(|(table, number)| (name.clone(), table, number));
                reserved.deferred.extend(named);
            }
            refused => {
                let given_up = if resumption.is_new {
                    cancel(session, &reserved.run).await
                } else {
                    wait::release(session, &reserved.run).await
                };
                return refused.and(given_up.map(|()| None));
            }
        }
    }
    Ok(Some(reserved))
}

type OpenedPart<'a> = (ReservedDatabase<'a>, Vec<(TableId, Option<usize>)>);

async fn open_part<'a>(
    session: &Session,
    config: &Config,
    (id, name, part): (RunId, &str, &OpenPart),
    ready: &BTreeMap<usize, Ready<'a>>,
) -> Result<Option<OpenedPart<'a>>, StoreError> {
    let added: Vec<&Ready<'a>> = part.add.iter().filter_map(|index| ready.get(index)).collect();
    let add: Vec<NewTable> = added.iter().map(|ready| new_table(config, ready)).collect();
    let run = NewRun {
        id,
        config_hash: thaw_config::combined_hash(add.iter().map(|table| table.config_hash.as_str())),
        planner: session.planner.clone(),
        planner_lease: session.lease,
        settings: connections::fleet_settings(config),
        program: concat!("planner ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let resume: Vec<TableId> = part.resume.iter().map(|(table, _)| *table).collect();
    let opening = Opening {
        run: &run,
        found: part.found,
        supersede: &part.supersede,
        resume: &resume,
        replace: &part.replace,
        abandon: &part.abandon,
        add: &add,
    };
    let mut client = session.pools.pool(name)?.get().await?;
    // Sessions of frozen workers: no timeout of the server ends them, and their locks would keep the run from opening.
    if let Err(error) = thaw_status::end_zombies(&client).await {
        tracing::debug!(error = %error, "sessions of frozen workers cannot be ended");
    }
    let Opened::Open(opened) = thaw_status::open_run(&mut client, &opening).await? else { return Ok(None) };
    let entry_of =
        |table: TableId| part.resume.iter().find(|(id, _)| *id == table).and_then(|(_, index)| *index);
    let reserved_entry = |id: TableId, ready: &Ready<'a>| ReservedEntry {
        id,
        entry: entry_id(config, ready.selected),
        ready: ready.clone(),
    };
    let mut database = ReservedDatabase {
        name: name.to_owned(),
        planner: opened.planner,
        tables: Vec::new(),
        resumed: Vec::new(),
    };
    for table in &opened.resumed {
        match entry_of(table.id).and_then(|index| ready.get(&index)).filter(|_| !table.has_plan) {
            Some(ready) => database.tables.push(reserved_entry(table.id, ready)),
            None => database.resumed.push(table.id),
        }
    }
    for (table, ready) in opened.added.iter().zip(added) {
        database.tables.push(reserved_entry(table.id, ready));
    }
    Ok(Some((database, opened.left.into_iter().map(|table| (table, entry_of(table))).collect())))
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
    let digest = config.plan_digest(source, entry);
    NewTable {
        entry: entry_id(config, ready.selected),
        source_name: source.name.clone(),
        source_database: source.source_database.clone(),
        source_schema: source.source_schema.clone(),
        source_table: entry.source.clone(),
        target_schema: source.target_schema.clone(),
        target_table: entry.target.clone(),
        config_hash: digest.hash,
        config_keys: digest.keys.into_iter().map(|(key, digest)| (key.to_owned(), digest)).collect(),
        max_attempts: i16::try_from(config.max_retry_attempts).unwrap_or(i16::MAX),
        parallel_cap: entry.parallel_threads.map(i32::from),
    }
}
