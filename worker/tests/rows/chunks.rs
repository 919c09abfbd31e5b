//! Chunks of a real status store, claimed and ready to load.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thaw_harness::TestDatabase;
use thaw_model::{ChunkId, ChunkRange, PgIdent, RunId, SfIdent, TablePlan, WorkerId};
use thaw_postgres::{Client, Pool, PoolSize, PostgresSettings};
use thaw_status::{
    Claim, ClaimedChunk, FleetSettings, NewChunk, NewPlan, NewRun, NewTable, Reservation, claim, migrate,
    reserve_run, start_table, store_plan,
};
use thaw_worker::encode::RowEncoder;
use thaw_worker::load::{LoadError, LoadRequest, Loaded, Way, load};
use tokio_postgres::SimpleQueryMessage;

use crate::support::{Cell, feed};

/// Long enough that no test meets it by accident.
pub(crate) const STALL: Duration = Duration::from_secs(20);

/// A database with status tables, and sessions as the product makes them.
pub(crate) struct Store {
    pub(crate) pool: Pool,
    pub(crate) client: Client,
    // Dropped last: it takes the database with it.
    _database: TestDatabase,
}

impl Store {
    pub(crate) async fn create(setup: &str) -> Self {
        let database = TestDatabase::create().await;
        let mut settings = PostgresSettings::new(database.host(), database.user());
        settings.port = database.port();
        settings.password = Some(database.password().to_owned().into());
        let pool = Pool::new(&settings, database.name(), PoolSize::for_slots(2)).expect("a pool");
        let mut client = pool.get().await.expect("connects");
        migrate(&mut client).await.expect("migrates");
        client.batch_execute(setup).await.expect("sets up");
        Self { pool, client, _database: database }
    }

    /// Plans one chunk, starts its table and claims it.
    pub(crate) async fn claimed(&mut self, plan: &TablePlan, expected_rows: Option<i64>) -> ClaimedChunk {
        self.claimed_chunks(plan, &[expected_rows]).await.remove(0)
    }

    /// The same with a chunk for each number of expected rows.
    pub(crate) async fn claimed_chunks(
        &mut self,
        plan: &TablePlan,
        expected_rows: &[Option<i64>],
    ) -> Vec<ClaimedChunk> {
        let run = NewRun {
            id: RunId::generate(),
            config_hash: "test".to_owned(),
            planner: WorkerId::generate("planner"),
            planner_lease: Duration::from_secs(60),
            settings: FleetSettings::default(),
            program: "test".to_owned(),
        };
        // A target of its own for each call: a table of a run that is not over holds its target.
        let table = NewTable {
            entry: run.id.to_string(),
            source_name: "test".to_owned(),
            source_database: SfIdent::exact("DB"),
            source_schema: SfIdent::exact("S"),
            source_table: SfIdent::exact("T"),
            target_schema: PgIdent::exact("public"),
            target_table: PgIdent::exact(run.id.to_string()),
            config_hash: "test".to_owned(),
            config_keys: std::collections::BTreeMap::new(),
            max_attempts: 3,
            parallel_cap: None,
        };
        let reserved = reserve_run(&mut self.client, &run, &[table]).await.expect("reserves");
        let Reservation::Reserved { planner, tables } = reserved else { panic!("held by another run") };
        let new_plan = NewPlan {
            plan: plan.clone(),
            watermark: None,
            expected_rows: expected_rows.iter().copied().sum(),
            chunks: expected_rows
                .iter()
                .map(|expected_rows| NewChunk {
                    range: ChunkRange::SingleChunk {},
                    expected_rows: *expected_rows,
                })
                .collect(),
        };
        store_plan(&mut self.client, &planner, tables[0].id, &new_plan).await.expect("stores");
        start_table(&mut self.client, run.id, tables[0].id).await.expect("starts");
        let mut claimed = Vec::new();
        for number in (0_i32..).take(expected_rows.len()) {
            let id = ChunkId { table: tables[0].id, number };
            match claim(&self.client, run.id, id, &WorkerId::generate("worker")).await.expect("claims") {
                Claim::Claimed(chunk) => claimed.push(*chunk),
                Claim::NotClaimable(recorded) => panic!("not claimable: {recorded:?}"),
            }
        }
        claimed
    }

    /// One attempt on this store's own session.
    pub(crate) async fn attempt(
        &mut self,
        plan: &TablePlan,
        chunk: &ClaimedChunk,
        rows: &[Vec<Cell>],
    ) -> Result<(Loaded, Vec<Way>), LoadError> {
        attempt(&mut self.client, plan, chunk, rows).await
    }

    /// Plans, claims and loads the rows as one chunk.
    pub(crate) async fn load(
        &mut self,
        plan: &TablePlan,
        rows: &[Vec<Cell>],
    ) -> Result<(Loaded, Vec<Way>), LoadError> {
        let chunk = self.claimed(plan, None).await;
        self.attempt(plan, &chunk, rows).await
    }

    /// The rows of a query as `a|b|c`, with `~` for NULL.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let messages = self.client.simple_query(sql).await.expect("reads");
        messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    let cells: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("~")).collect();
                    Some(cells.join("|"))
                }
                _ => None,
            })
            .collect()
    }

    pub(crate) async fn chunk_state(&self, chunk: &ClaimedChunk) -> String {
        let sql = "select status from migration_status.migration_chunk_status where table_id = $1 and chunk_no = $2";
        self.client.query_one(sql, &[&chunk.id.table.0, &chunk.id.number]).await.expect("reads").get(0)
    }
}

/// One attempt, as the worker makes it: in the plan's first way, and again after a duplicate key.
pub(crate) async fn attempt(
    client: &mut Client,
    plan: &TablePlan,
    chunk: &ClaimedChunk,
    rows: &[Vec<Cell>],
) -> Result<(Loaded, Vec<Way>), LoadError> {
    let mut ways = vec![Way::first(plan)];
    loop {
        let way = *ways.last().expect("one at least");
        let (encoder, encoded) = RowEncoder::new(plan, way.needs_ordinal())?;
        let completion_sent = AtomicBool::new(false);
        let request = LoadRequest { plan, chunk, way, stall: STALL, completion_sent: &completion_sent };
        match load(client, &request, encoded, feed(encoder, rows.to_vec())).await {
            Ok(loaded) => return Ok((loaded, ways)),
            Err(error) => match error.redo() {
                Some(next) => ways.push(next),
                None => return Err(error),
            },
        }
    }
}
