//! A database with status tables, and the shortest way to a loading table in it.

use std::time::Duration;

use thaw_harness::TestDatabase;
use thaw_model::plan::{
    BadRowPolicy, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan, TargetPlan,
};
use thaw_model::range::NumericPart;
use thaw_model::{
    Accounting, ChunkId, ChunkRange, ErrorReport, PgIdent, PhaseTimes, RunId, SfIdent, SourceType, TableId,
    TablePlan, TargetType, WorkerId,
};
use thaw_status::{
    Claim, ClaimedChunk, FleetSettings, LoadTx, NewChunk, NewPlan, NewRun, NewTable, Outcome, PlannerClaim,
    Reservation, ReservedTable,
};
use tokio_postgres::Client;

/// Lives as long as its databases' tests.
pub(crate) struct Store {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

/// A run whose first table is loading.
pub(crate) struct Loading {
    pub(crate) run: RunId,
    pub(crate) table: TableId,
    pub(crate) planner: PlannerClaim,
}

pub(crate) const PLANNER_LEASE: Duration = Duration::from_secs(60);

impl Store {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await;
        let mut client = database.connect().await.expect("connects");
        thaw_status::migrate(&mut client).await.expect("migrates");
        client.batch_execute("create table public.rows (chunk int, n int)").await.expect("makes the target");
        Self { database, client }
    }

    pub(crate) async fn connect(&self) -> Client {
        let client = self.database.connect().await.expect("connects");
        client.batch_execute("set lock_timeout = '20s'").await.expect("sets");
        client
    }

    /// Plans and starts a table of `chunks` chunks under these settings.
    pub(crate) async fn loading(&mut self, chunks: i64, settings: FleetSettings) -> Loading {
        let (planner, tables) = self.reserve(&[new_table("rows")], settings).await;
        let table = tables[0].id;
        thaw_status::store_plan(&mut self.client, &planner, table, &new_plan(chunks)).await.expect("stores");
        assert!(thaw_status::mark_run_planned(&self.client, &planner).await.expect("marks"));
        let start = thaw_status::start_table(&mut self.client, planner.run, table).await.expect("starts");
        assert!(matches!(start, thaw_status::Start::Started(_)), "{start:?}");
        Loading { run: planner.run, table, planner }
    }

    pub(crate) async fn reserve(
        &mut self,
        tables: &[NewTable],
        settings: FleetSettings,
    ) -> (PlannerClaim, Vec<ReservedTable>) {
        match thaw_status::reserve_run(&mut self.client, &new_run(settings), tables).await.expect("reserves")
        {
            Reservation::Reserved { planner, tables } => (planner, tables),
            Reservation::HeldBy(holder) => panic!("held by {holder:?}"),
        }
    }

    /// The lease of a chunk is over as of now.
    pub(crate) async fn lapse(&self, chunk: ChunkId) {
        let lapsed = self
            .client
            .execute(
                "update migration_status.migration_chunk_status set lease_until = now() - interval '1 hour', redispatch_at = now() - interval '1 hour', claimed_at = now() - interval '2 hours'
                 where table_id = $1 and chunk_no = $2 and status = 'in_progress'",
                &[&chunk.table.0, &chunk.number],
            )
            .await
            .expect("sets back");
        assert_eq!(lapsed, 1, "the chunk is in progress");
    }

    pub(crate) async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.client.query_one(sql, &[]).await.expect(sql).get(0)
    }

    pub(crate) async fn chunk_state(&self, chunk: ChunkId) -> String {
        self.one(&format!(
            "select status from migration_status.migration_chunk_status where table_id = {} and chunk_no = {}",
            chunk.table, chunk.number
        ))
        .await
    }

    pub(crate) async fn table_state(&self, table: TableId) -> String {
        self.one(&format!(
            "select status from migration_status.migration_table_status where table_id = {table}"
        ))
        .await
    }
}

impl Loading {
    pub(crate) fn chunk(&self, number: i32) -> ChunkId {
        ChunkId { table: self.table, number }
    }
}

pub(crate) fn settings(lease: Duration) -> FleetSettings {
    FleetSettings {
        lease,
        heartbeat: lease / 4,
        redispatch: Duration::from_millis(100),
        first_hint: Duration::from_secs(60),
        ..FleetSettings::default()
    }
}

pub(crate) fn long() -> FleetSettings {
    settings(Duration::from_secs(60))
}

pub(crate) fn new_run(settings: FleetSettings) -> NewRun {
    NewRun {
        id: RunId::generate(),
        config_hash: "hash".into(),
        planner: WorkerId::generate("planner"),
        planner_lease: PLANNER_LEASE,
        settings,
        program: "test".into(),
    }
}

pub(crate) fn new_table(target: &str) -> NewTable {
    NewTable {
        entry: format!("entry of {target}"),
        source_name: "test".into(),
        source_database: SfIdent::exact("DB"),
        source_schema: SfIdent::exact("S"),
        source_table: SfIdent::exact(target.to_uppercase()),
        target_schema: PgIdent::exact("public"),
        target_table: PgIdent::exact(target),
        config_hash: "hash".into(),
        config_keys: std::collections::BTreeMap::new(),
        max_attempts: 3,
        parallel_cap: None,
    }
}

pub(crate) fn new_plan(chunks: i64) -> NewPlan {
    NewPlan {
        plan: plan(StartPlan::default()),
        watermark: None,
        expected_rows: Some(chunks * 10),
        chunks: (0..chunks).map(new_chunk).collect(),
    }
}

pub(crate) fn new_chunk(number: i64) -> NewChunk {
    let range = ChunkRange::NumericRange {
        column: SfIdent::exact("N"),
        part: NumericPart::Between { low: Some(number.to_string()), high: None },
    };
    NewChunk { range, expected_rows: Some(10) }
}

pub(crate) fn plan(start: StartPlan) -> TablePlan {
    TablePlan {
        source: SourcePlan {
            database: SfIdent::exact("DB"),
            schema: SfIdent::exact("S"),
            table: SfIdent::exact("ROWS"),
            timezone: "UTC".into(),
            snapshot: None,
            filter: None,
            watermark: None,
        },
        target: TargetPlan {
            database: "db".into(),
            schema: PgIdent::exact("public"),
            table: PgIdent::exact("rows"),
        },
        columns: vec![PlannedColumn {
            source: SfIdent::exact("N"),
            source_type: SourceType::Number { precision: 38, scale: 0 },
            target: PgIdent::exact("n"),
            target_type: TargetType::Int4,
            nullable: true,
            lossy: false,
        }],
        chunking: None,
        one_scan: None,
        load: LoadPlan {
            mode: LoadMode::Copy,
            copy_first: false,
            on_duplicate: OnDuplicate::Fatal,
            arbiter: None,
            watermark: None,
            overriding_system_value: false,
        },
        start,
        bad_rows: BadRowPolicy::default(),
        decisions: Vec::new(),
        left_out: Vec::new(),
    }
}

pub(crate) fn report(class: &str) -> ErrorReport {
    ErrorReport { class: class.into(), text: "for a reason".into() }
}

pub(crate) fn ten_rows() -> Accounting {
    Accounting { fetched: 10, inserted: 10, bytes: 100, ..Accounting::default() }
}

/// Claims a chunk that must be claimable.
pub(crate) async fn claimed(client: &Client, run: RunId, chunk: ChunkId, worker: &WorkerId) -> ClaimedChunk {
    match thaw_status::claim(client, run, chunk, worker).await.expect("claims") {
        Claim::Claimed(chunk) => *chunk,
        Claim::NotClaimable(recorded) => panic!("{chunk} cannot be claimed: {recorded:?}"),
    }
}

/// Loads ten rows of the chunk and commits.
pub(crate) async fn load(client: &mut Client, chunk: &ClaimedChunk) {
    let load = LoadTx::begin(client, chunk).await.expect("begins");
    insert_rows(&load, chunk).await;
    let completed = load.complete(ten_rows(), PhaseTimes::default()).await.expect("completes");
    assert_eq!(completed.commit().await.expect("commits").outcome(), Outcome::Completed);
}

pub(crate) async fn insert_rows(load: &LoadTx<'_>, chunk: &ClaimedChunk) {
    load.transaction()
        .execute("insert into public.rows select $1, generate_series(1, 10)", &[&chunk.id.number])
        .await
        .expect("inserts");
}
