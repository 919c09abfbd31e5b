//! Runs and their planners: reserving tables, the planner's lease.

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_model::{Fence, PgIdent, RunId, RunState, SfIdent, TableId, WorkerId};
use tokio_postgres::Client;

use crate::error::StoreError;
use crate::open::{Opened, Opening, open_run};
use crate::row;
use crate::settings::FleetSettings;

const FIND_HOLDER: &str = include_str!("sql/find_holder_of_target.sql");
const RENEW: &str = include_str!("sql/renew_planner_lease_if_fence_mine.sql");
const RELEASE: &str = include_str!("sql/release_planner_lease_if_fence_mine.sql");
const MARK_PLANNED: &str = include_str!("sql/mark_run_planned_if_fence_mine.sql");

/// A run that is to be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    pub id: RunId,
    /// Of what the run is asked to do.
    pub config_hash: String,
    pub planner: WorkerId,
    pub planner_lease: Duration,
    pub settings: FleetSettings,
    /// Name and version of the program; stored with the database role as `created_by`.
    pub program: String,
}

/// One table of a run that is to be reserved, in the order in which entries of one target load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTable {
    /// Names (source, filter, target) over all runs.
    pub entry: String,
    pub source_name: String,
    pub source_database: SfIdent,
    pub source_schema: SfIdent,
    pub source_table: SfIdent,
    pub target_schema: PgIdent,
    pub target_table: PgIdent,
    /// Of the part of the configuration that changes the plan.
    pub config_hash: String,
    /// A digest of each key of that part.
    pub config_keys: BTreeMap<String, String>,
    pub max_attempts: i16,
    /// At most so many chunks at a time over the whole fleet; `None`: no cap.
    pub parallel_cap: Option<i32>,
}

/// The planner's hold on a run: what its writes carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannerClaim {
    pub run: RunId,
    pub planner: WorkerId,
    pub fence: Fence,
}

/// A row that was reserved, in the order of the tables given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReservedTable {
    pub id: TableId,
    /// False: another entry of the run loads the same target before this one.
    pub holds_target: bool,
}

/// What reserving gave.
#[derive(Debug, Clone, PartialEq)]
pub enum Reservation {
    Reserved {
        planner: PlannerClaim,
        tables: Vec<ReservedTable>,
    },
    /// Nothing was written: this run holds one of the targets.
    HeldBy(Holder),
}

/// The run that holds a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Holder {
    pub run: RunId,
    pub state: RunState,
    pub table: TableId,
    pub target_schema: PgIdent,
    pub target_table: PgIdent,
    pub config_hash: String,
    pub planner: String,
    /// False: it has left, or its lease is over; the run may be taken over.
    pub planner_alive: bool,
    /// Every table has its plan.
    pub planned: bool,
    /// Since the last sign of life of the run or one of its chunks.
    pub idle: Duration,
}

/// Writes a new run, one row for each table and the planner's lease, in one transaction. Of two planners that want one
/// target, one gets [`Reservation::HeldBy`].
///
/// # Errors
/// What PostgreSQL says; nothing is written then.
pub async fn reserve_run(
    client: &mut Client,
    run: &NewRun,
    tables: &[NewTable],
) -> Result<Reservation, StoreError> {
    // A loser whose winner has ended meanwhile tries again.
    for _ in 0..8 {
        let opening = Opening {
            run,
            found: None,
            supersede: &[],
            resume: &[],
            replace: &[],
            abandon: &[],
            add: tables,
        };
        match open_run(client, &opening).await? {
            Opened::Open(opened) => {
                return Ok(Reservation::Reserved { planner: opened.planner, tables: opened.added });
            }
            Opened::Changed => {}
        }
        for table in tables {
            if let Some(holder) = find_holder(client, &table.target_schema, &table.target_table).await? {
                return Ok(Reservation::HeldBy(holder));
            }
        }
    }
    Err(StoreError::FenceLost)
}

/// The run that holds a target now.
///
/// # Errors
/// What PostgreSQL says.
pub async fn find_holder(
    client: &Client,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<Option<Holder>, StoreError> {
    let row = client.query_opt(FIND_HOLDER, &[&schema.as_str(), &table.as_str()]).await?;
    row.map(|row| {
        Ok(Holder {
            run: row::run_id(&row)?,
            state: row::state(&row, "status")?,
            table: row::table_id(&row)?,
            target_schema: PgIdent::exact(row.try_get::<_, String>("target_schema")?),
            target_table: PgIdent::exact(row.try_get::<_, String>("target_table")?),
            config_hash: row.try_get("config_hash")?,
            planner: row.try_get("planner_id")?,
            planner_alive: row.try_get("planner_alive")?,
            planned: row.try_get("planned")?,
            idle: Duration::try_from_secs_f64(row.try_get("idle_seconds")?).unwrap_or_default(),
        })
    })
    .transpose()
}

/// The planner's heartbeat, waiting included. False: it has left the run, another planner has it, or it has ended.
///
/// # Errors
/// What PostgreSQL says.
pub async fn renew_planner(
    client: &Client,
    planner: &PlannerClaim,
    lease: Duration,
) -> Result<bool, StoreError> {
    let renewed = client
        .execute(RENEW, &[&planner.run.0, &planner.planner.as_str(), &planner.fence.0, &row::seconds(lease)])
        .await?;
    Ok(renewed == 1)
}

/// The planner leaves the run: a planned one goes on without it, an unplanned one may be taken over at once.
///
/// # Errors
/// What PostgreSQL says.
pub async fn release_planner(client: &Client, planner: &PlannerClaim) -> Result<(), StoreError> {
    client.execute(RELEASE, &[&planner.run.0, &planner.planner.as_str(), &planner.fence.0]).await?;
    Ok(())
}

/// Every table has its plan (or has failed): from now on the run may end. Then call [`crate::end_run`] once, for the
/// case that every table is final already. False: a table is still without, or the run is no longer this planner's.
///
/// # Errors
/// What PostgreSQL says.
pub async fn mark_run_planned(client: &Client, planner: &PlannerClaim) -> Result<bool, StoreError> {
    let marked =
        client.execute(MARK_PLANNED, &[&planner.run.0, &planner.planner.as_str(), &planner.fence.0]).await?;
    Ok(marked == 1)
}
