//! Reviving what did not complete, and fresh executions.

use std::time::Duration;

use thaw_model::{ChunkId, PhaseTimes, RunId, RunState, TableId, TableState, WorkerId};
use thaw_status::execution::{
    Fenced, MAX_EXECUTIONS, NewExecution, end_backends, executions_to_plan, fail_executions_without_planner,
    fence_execution, rows_of_executions, store_execution,
};
use thaw_status::{
    Claim, LoadTx, NewRun, Opened, OpenedRun, Opening, PlannerClaim, ResumedTable, Settlement, StoreError,
    open_run,
};

use crate::fixture::{
    Loading, Store, claimed, insert_rows, load, long, new_chunk, new_plan, new_run, new_table, plan, report,
    settings, ten_rows,
};

/// One chunk completed, one failed, the run over.
async fn partial(store: &mut Store) -> Loading {
    let loading = store.loading(2, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    load(&mut client, &chunk).await;
    let chunk = claimed(&client, loading.run, loading.chunk(1), &worker).await;
    let fatal = Settlement::Fatal { error: report("sqlstate_22003") };
    thaw_status::settle(&client, &chunk, &fatal).await.expect("settles");
    let claim = thaw_status::claim_finalize(&mut client, loading.run, loading.table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
    assert!(thaw_status::end_run(&mut client, loading.run).await.expect("ends").is_some());
    loading
}

/// Opens a run that is over, or whose planner has left.
async fn reopen(store: &mut Store, run: RunId, found: RunState, tables: &[TableId]) -> Option<OpenedRun> {
    let run = NewRun { id: run, ..new_run(long()) };
    let opening = Opening {
        run: &run,
        found: Some(found),
        supersede: &[],
        resume: tables,
        replace: &[],
        abandon: &[],
        add: &[],
    };
    match open_run(&mut store.client, &opening).await.expect("asks") {
        Opened::Open(opened) => Some(opened),
        Opened::Changed => None,
    }
}

async fn leave(store: &Store, planner: &PlannerClaim) {
    thaw_status::release_planner(&store.client, planner).await.expect("leaves");
}

#[tokio::test]
async fn a_revived_run_loads_what_failed_and_nothing_twice() {
    let mut store = Store::create().await;
    let loading = partial(&mut store).await;
    let last = thaw_status::last_of_target(&store.client, &"public".pg(), &"rows".pg()).await.expect("reads");
    assert_eq!(last.map(|last| last.state), Some(TableState::Partial));
    let tables = thaw_status::tables_to_resume(&store.client, loading.run).await.expect("lists");
    assert_eq!(tables.len(), 1);
    assert!(tables[0].has_plan && tables[0].started && !tables[0].holds_target, "{tables:?}");
    let tables = [loading.table];
    let revived = reopen(&mut store, loading.run, RunState::Partial, &tables).await.expect("revives");
    let resumed = ResumedTable { id: loading.table, state: TableState::Loading, has_plan: true };
    assert_eq!(revived.resumed, vec![resumed]);
    assert_eq!(reopen(&mut store, loading.run, RunState::Partial, &tables).await, None, "it runs");
    assert_eq!(reopen(&mut store, loading.run, RunState::Running, &tables).await, None, "its planner lives");
    assert!(thaw_status::mark_run_planned(&store.client, &revived.planner).await.expect("marks"));
    let worker = WorkerId::generate("worker");
    let done = thaw_status::claim(&store.client, loading.run, loading.chunk(0), &worker).await.expect("asks");
    assert!(matches!(done, Claim::NotClaimable(_)), "completed stays completed");
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(1), &worker).await;
    assert_eq!((chunk.failures, chunk.fence.0), (0, 2), "a new budget, the old fence goes on");
    load(&mut client, &chunk).await;
    let claim = thaw_status::claim_finalize(&mut client, loading.run, loading.table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    let finished = thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
    assert_eq!(finished.state, TableState::Completed);
    assert_eq!(finished.accounting.inserted, 20);
}

#[tokio::test]
async fn a_table_whose_target_a_later_run_has_started_is_left_as_it_is() {
    let mut store = Store::create().await;
    let old = partial(&mut store).await;
    let later = store.loading(0, long()).await;
    thaw_status::cancel_run(&mut store.client, later.run).await.expect("cancels");
    assert_eq!(reopen(&mut store, old.run, RunState::Partial, &[old.table]).await, None);
    assert_eq!(store.table_state(old.table).await, "partial");
    let tables = thaw_status::tables_to_resume(&store.client, old.run).await.expect("lists");
    assert_eq!((tables[0].later_run, tables[0].loaded_since), (Some(later.run), false));
    let incomplete = thaw_status::incomplete_runs(&store.client).await.expect("lists");
    assert_eq!(incomplete, vec![], "neither can be resumed by itself");
}

#[tokio::test]
async fn a_cancelled_table_that_was_planned_and_never_started_goes_on_with_its_plan() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[new_table("rows")], long()).await;
    let table = tables[0].id;
    thaw_status::store_plan(&mut store.client, &planner, table, &new_plan(3)).await.expect("stores");
    thaw_status::cancel_run(&mut store.client, planner.run).await.expect("cancels");
    let revived = reopen(&mut store, planner.run, RunState::Cancelled, &[table]).await.expect("revives");
    assert_eq!(revived.resumed[0].state, TableState::Planned);
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    let hints = thaw_status::list_hints(&mut store.client, table, None, 100).await.expect("lists");
    assert_eq!(hints.len(), 3, "{hints:?}");
}

#[tokio::test]
async fn a_table_that_is_planned_anew_fences_what_it_had_and_takes_the_target_over() {
    let mut store = Store::create().await;
    let loading = store.loading(2, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let taken = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    leave(&store, &loading.planner).await;
    let run = NewRun { id: loading.run, ..new_run(long()) };
    let add = [new_table("rows"), new_table("more")];
    let opening = Opening {
        run: &run,
        found: Some(RunState::Running),
        supersede: &[],
        resume: &[],
        replace: &[loading.table],
        abandon: &[],
        add: &add,
    };
    let Opened::Open(opened) = open_run(&mut store.client, &opening).await.expect("opens") else {
        panic!("changed")
    };
    assert_eq!(opened.added.iter().map(|table| table.holds_target).collect::<Vec<_>>(), [true, true]);
    assert_eq!(store.table_state(loading.table).await, "superseded");
    assert_eq!(store.chunk_state(loading.chunk(1)).await, "superseded");
    let begun = thaw_status::LoadTx::begin(&mut client, &taken).await.map(drop);
    assert!(matches!(begun, Err(StoreError::FenceLost)));
    let shown = thaw_status::tables_of_run(&store.client, loading.run).await.expect("reads");
    assert_eq!(
        shown.iter().map(|table| table.table).collect::<Vec<_>>(),
        opened.added.iter().map(|table| table.id).collect::<Vec<_>>(),
        "the newest row of an entry stands for it"
    );
}

#[tokio::test]
async fn a_table_that_nobody_plans_any_more_gives_its_target_up_and_the_run_ends_incomplete() {
    let mut store = Store::create().await;
    let mut second = new_table("rows");
    second.entry = "second entry".into();
    let (planner, tables) = store.reserve(&[new_table("rows"), second], long()).await;
    let [first, second] = [tables[0].id, tables[1].id];
    thaw_status::store_plan(&mut store.client, &planner, second, &new_plan(1)).await.expect("stores");
    leave(&store, &planner).await;
    let run = NewRun { id: planner.run, ..new_run(long()) };
    let opening = Opening {
        run: &run,
        found: Some(RunState::Running),
        supersede: &[],
        resume: &[second],
        replace: &[],
        abandon: &[first],
        add: &[],
    };
    let Opened::Open(opened) = open_run(&mut store.client, &opening).await.expect("opens") else {
        panic!("changed")
    };
    assert_eq!(store.table_state(first).await, "superseded");
    assert!(thaw_status::mark_run_planned(&store.client, &opened.planner).await.expect("marks"));
    let started = thaw_status::start_table(&mut store.client, planner.run, second).await.expect("asks");
    assert!(matches!(started, thaw_status::Start::Started(_)), "the target was passed on: {started:?}");
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let chunk = claimed(&client, planner.run, ChunkId { table: second, number: 0 }, &worker).await;
    load(&mut client, &chunk).await;
    let claim = thaw_status::claim_finalize(&mut client, planner.run, second, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
    let ended = thaw_status::end_run(&mut store.client, planner.run).await.expect("ends");
    assert_eq!(ended, Some(RunState::Partial), "one table was not loaded");
}

#[tokio::test]
async fn a_dead_run_is_superseded_in_the_transaction_that_takes_its_targets() {
    let mut store = Store::create().await;
    let dead = store.loading(2, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let taken = claimed(&client, dead.run, dead.chunk(0), &worker).await;
    let run = new_run(long());
    let tables = [new_table("rows")];
    let opening = Opening {
        run: &run,
        found: None,
        supersede: &[dead.run],
        resume: &[],
        replace: &[],
        abandon: &[],
        add: &tables,
    };
    assert_eq!(
        open_run(&mut store.client, &opening).await.expect("asks"),
        Opened::Changed,
        "its planner lives"
    );
    assert_eq!(
        thaw_status::run_state(&store.client, run.id).await.expect("asks"),
        None,
        "nothing was written"
    );
    leave(&store, &dead.planner).await;
    let opened = open_run(&mut store.client, &opening).await.expect("opens");
    assert!(matches!(opened, Opened::Open(_)), "{opened:?}");
    let state = thaw_status::run_state(&store.client, dead.run).await.expect("asks");
    assert_eq!(state, Some(RunState::Superseded));
    // A living worker of the dead run: its load is refused before and after its rows.
    let begun = thaw_status::LoadTx::begin(&mut client, &taken).await.map(drop);
    assert!(matches!(begun, Err(StoreError::FenceLost)));
}

#[tokio::test]
async fn an_open_load_of_a_superseded_chunk_cannot_commit_and_its_session_is_ended() {
    let mut store = Store::create().await;
    let settings = settings(Duration::from_millis(200));
    let dead = store.loading(1, settings).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let taken = claimed(&client, dead.run, dead.chunk(0), &worker).await;
    // Rows are sent, the commit is not: a worker that is frozen now.
    let load = LoadTx::begin(&mut client, &taken).await.expect("begins");
    insert_rows(&load, &taken).await;
    leave(&store, &dead.planner).await;
    assert!(thaw_status::supersede_run(&mut store.client, dead.run).await.expect("supersedes"));
    let ended =
        thaw_harness::wait::until_some("the session to be ended", Duration::from_secs(20), async || {
            Ok(thaw_status::end_zombies(&store.client).await?.into_iter().find(|zombie| zombie.ended))
        });
    assert_eq!(ended.await.expect("ends").chunk, dead.chunk(0));
    load.complete(ten_rows(), PhaseTimes::default()).await.expect_err("the session is gone");
    assert_eq!(store.one::<i64>("select count(*) from public.rows").await, 0);
}

#[tokio::test]
async fn entries_of_one_target_are_revived_one_after_the_other() {
    let mut store = Store::create().await;
    let mut second = new_table("rows");
    second.entry = "second entry".into();
    let (planner, tables) = store.reserve(&[new_table("rows"), second], long()).await;
    thaw_status::cancel_run(&mut store.client, planner.run).await.expect("cancels");
    let ids: Vec<TableId> = tables.iter().map(|table| table.id).collect();
    let revived = reopen(&mut store, planner.run, RunState::Cancelled, &ids).await.expect("revives");
    assert_eq!(revived.resumed.iter().map(|table| table.id).collect::<Vec<_>>(), ids[..1]);
    assert_eq!(revived.left, ids[1..], "it waits until the first one has ended");
}

#[tokio::test]
async fn note_03_the_age_of_a_run_counts_from_when_it_last_got_on_and_not_from_tries_in_vain() {
    let mut store = Store::create().await;
    let loading = partial(&mut store).await;
    let age = |hours: i32| format!("now() - interval '{hours} hours'");
    let set_back = format!(
        "update migration_status.migration_runs set started_at = {0}, last_activity_at = {0}, finished_at = {0}; \
         update migration_status.migration_table_status set planned_at = {0}, started_at = {0}, finished_at = {0}; \
         update migration_status.migration_chunk_status set claimed_at = {0}, heartbeat_at = {0}, finished_at = {0}",
        age(13)
    );
    store.client.batch_execute(&set_back).await.expect("sets back");
    let hours = |run: &thaw_status::RunProgress| run.stalled.as_secs_f64() / 3600.0;
    let run = thaw_status::read_run(&store.client, loading.run).await.expect("reads").expect("is there");
    assert!((12.9..13.1).contains(&hours(&run)), "{run:?}");
    let cases = [
        ("migration_runs", "started_at", "true", 1),
        ("migration_table_status", "planned_at", "true", 1),
        ("migration_chunk_status", "finished_at", "status = 'completed'", 1),
        // The chunk that fails at every try, the table that ends partial with it, the planner that comes and goes.
        ("migration_chunk_status", "finished_at", "status = 'failed'", 13),
        ("migration_chunk_status", "heartbeat_at", "status = 'failed'", 13),
        ("migration_table_status", "finished_at", "status = 'partial'", 13),
        ("migration_runs", "last_activity_at", "true", 13),
        ("migration_runs", "finished_at", "true", 13),
    ];
    for (table, column, which, expected) in cases {
        let touch = format!("update migration_status.{table} set {column} = {} where {which}", age(1));
        assert_eq!(store.client.execute(&touch, &[]).await.expect("sets"), 1, "{table}.{column} {which}");
        let run = thaw_status::read_run(&store.client, loading.run).await.expect("reads").expect("is there");
        let expected = f64::from(expected);
        assert!((expected - 0.1..expected + 0.1).contains(&hours(&run)), "{table}.{column} {which}: {run:?}");
        let back = format!("update migration_status.{table} set {column} = {}", age(13));
        store.client.batch_execute(&back).await.expect("sets back");
    }
}

#[tokio::test]
async fn chunks_of_an_execution_that_was_replaced_neither_commit_nor_count() {
    let mut store = Store::create().await;
    let loading = store.loading(2, long()).await;
    let worker = WorkerId::generate("worker");
    let mut client = store.connect().await;
    let done = claimed(&client, loading.run, loading.chunk(0), &worker).await;
    load(&mut client, &done).await;
    let running = claimed(&client, loading.run, loading.chunk(1), &worker).await;
    let fenced = fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("fences");
    assert_eq!(fenced, Fenced::ToBePlanned { execution: 2 });
    let again = fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("asks");
    assert_eq!(again, Fenced::Left);
    let begun = thaw_status::LoadTx::begin(&mut client, &running).await.map(drop);
    assert!(matches!(begun, Err(StoreError::FenceLost)));
    let listed = executions_to_plan(&store.client, loading.run).await.expect("lists");
    assert_eq!(
        listed.iter().map(|table| (table.table, table.execution)).collect::<Vec<_>>(),
        vec![(loading.table, 2)]
    );
    assert_eq!(end_backends(&store.client, loading.table, 1).await.expect("ends"), Vec::new());
    assert_eq!(rows_of_executions(&store.client, loading.table, 2).await.expect("counts"), 10);
    let start = thaw_model::plan::StartPlan { truncate: true, ..Default::default() };
    let fresh = NewExecution {
        number: 2,
        plan: plan(start),
        watermark_high: None,
        leaves_gap: true,
        expected_rows: Some(10),
        chunks: vec![new_chunk(0)],
    };
    store_execution(&mut store.client, &loading.planner, loading.table, &fresh).await.expect("stores");
    assert_eq!(store.one::<i64>("select count(*) from public.rows").await, 0);
    let gap = "select leaves_gap from migration_status.migration_table_status";
    assert!(store.one::<bool>(gap).await, "a later bound does not rely on it");
    let late = store_execution(&mut store.client, &loading.planner, loading.table, &fresh).await;
    assert!(matches!(late, Err(StoreError::FenceLost)));
    let chunk = claimed(&client, loading.run, ChunkId { table: loading.table, number: 2 }, &worker).await;
    assert_eq!(chunk.execution, 2);
    load(&mut client, &chunk).await;
    let claim = thaw_status::claim_finalize(&mut client, loading.run, loading.table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    let finished = thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
    assert_eq!((finished.state, finished.accounting.inserted), (TableState::Completed, 10));
}

/// Chunk 0 is loaded, the snapshot is gone.
async fn snapshot_lost(store: &mut Store) -> (Loading, Fenced) {
    let loading = store.loading(2, long()).await;
    let mut client = store.connect().await;
    let done = claimed(&client, loading.run, loading.chunk(0), &WorkerId::generate("worker")).await;
    load(&mut client, &done).await;
    let fenced = fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("fences");
    (loading, fenced)
}

const PLANNER_LEAVES: &str =
    "update migration_status.migration_runs set planner_lease_until = null, planned_at = now()";

#[tokio::test]
async fn without_a_planner_a_lost_snapshot_fails_the_table_and_a_revival_plans_it_anew() {
    let mut store = Store::create().await;
    let loading = store.loading(2, long()).await;
    store.client.batch_execute(PLANNER_LEAVES).await.expect("sets");
    let fenced = fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("fences");
    assert_eq!(fenced, Fenced::Failed);
    assert!(thaw_status::end_run(&mut store.client, loading.run).await.expect("ends").is_some());
    let class: String = store.one("select error_class from migration_status.migration_table_status").await;
    assert_eq!(class, "snapshot_gone");
    let revived = reopen(&mut store, loading.run, RunState::Failed, &[loading.table]).await.expect("revives");
    assert_eq!(revived.resumed[0].state, TableState::Planning);
    let listed = executions_to_plan(&store.client, loading.run).await.expect("lists");
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn a_planner_that_dies_after_the_fence_leaves_a_table_that_redispatch_fails() {
    let mut store = Store::create().await;
    let (loading, fenced) = snapshot_lost(&mut store).await;
    assert_eq!(fenced, Fenced::ToBePlanned { execution: 2 });
    let left = fail_executions_without_planner(&mut store.client).await.expect("asks");
    assert_eq!(left, Vec::new(), "the planner lives");
    store.client.batch_execute(PLANNER_LEAVES).await.expect("sets");
    let failed = fail_executions_without_planner(&mut store.client).await.expect("fails");
    assert_eq!(failed, vec![loading.table]);
    assert_eq!(store.table_state(loading.table).await, "failed");
    assert_eq!(store.chunk_state(loading.chunk(0)).await, "superseded");
}

#[tokio::test]
async fn a_frozen_load_of_an_ended_execution_is_ended_and_its_completion_does_not_block_the_fence() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let mut client = store.connect().await;
    let chunk = claimed(&client, loading.run, loading.chunk(0), &WorkerId::generate("worker")).await;
    let load = thaw_status::LoadTx::begin(&mut client, &chunk).await.expect("begins");
    insert_rows(&load, &chunk).await;
    let completed = load.complete(ten_rows(), PhaseTimes::default()).await.expect("completes");
    // As if it froze here: its row is locked, its key is held.
    let fenced = fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("fences");
    assert_eq!(fenced, Fenced::ToBePlanned { execution: 2 });
    assert!(completed.commit().await.is_err(), "its session is gone");
    assert_eq!(store.one::<i64>("select count(*) from public.rows").await, 0);
    assert_eq!(rows_of_executions(&store.client, loading.table, 2).await.expect("counts"), 0);
}

#[tokio::test]
async fn a_snapshot_that_is_lost_again_and_again_fails_the_table() {
    let mut store = Store::create().await;
    let loading = store.loading(1, long()).await;
    let mut fresh = NewExecution {
        number: 2,
        plan: plan(thaw_model::plan::StartPlan::default()),
        watermark_high: None,
        leaves_gap: false,
        expected_rows: Some(10),
        chunks: vec![new_chunk(0)],
    };
    for execution in 1..MAX_EXECUTIONS {
        let fenced = fence_execution(&mut store.client, loading.run, loading.table, execution).await;
        assert_eq!(fenced.expect("fences"), Fenced::ToBePlanned { execution: execution + 1 });
        fresh.number = execution + 1;
        store_execution(&mut store.client, &loading.planner, loading.table, &fresh).await.expect("stores");
    }
    let fenced = fence_execution(&mut store.client, loading.run, loading.table, MAX_EXECUTIONS).await;
    assert_eq!(fenced.expect("fences"), Fenced::Failed);
}

trait Pg {
    fn pg(&self) -> thaw_model::PgIdent;
}

impl Pg for str {
    fn pg(&self) -> thaw_model::PgIdent {
        thaw_model::PgIdent::exact(self)
    }
}
