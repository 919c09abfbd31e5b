//! Reviving what did not complete, and fresh executions.

use thaw_model::{ChunkId, PhaseTimes, TableState, WorkerId};
use thaw_status::execution::{
    Fenced, MAX_EXECUTIONS, NewExecution, end_backends, executions_to_plan, fail_executions_without_planner,
    fence_execution, rows_of_executions, store_execution,
};
use thaw_status::{Claim, Settlement, StoreError};

use crate::fixture::{
    Loading, PLANNER_LEASE, Store, claimed, insert_rows, load, long, new_chunk, new_plan, new_table, plan,
    report, ten_rows,
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

#[tokio::test]
async fn a_revived_run_loads_what_failed_and_nothing_twice() {
    let mut store = Store::create().await;
    let loading = partial(&mut store).await;
    let last = thaw_status::last_of_target(&store.client, &"public".pg(), &"rows".pg()).await.expect("reads");
    assert_eq!(last.map(|last| last.state), Some(TableState::Partial));
    let planner = WorkerId::generate("planner");
    let unfinished = thaw_status::unfinished_tables(&store.client, loading.run).await.expect("lists");
    let tables: Vec<_> = unfinished.iter().map(|table| table.id).collect();
    let revived =
        thaw_status::revive_run(&mut store.client, loading.run, &tables, &planner, PLANNER_LEASE).await;
    let revived = revived.expect("asks").expect("revives");
    assert_eq!(revived.tables, vec![(loading.table, TableState::Loading)]);
    let second =
        thaw_status::revive_run(&mut store.client, loading.run, &tables, &planner, PLANNER_LEASE).await;
    assert_eq!(second.expect("asks"), None, "it runs");
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
    let planner = WorkerId::generate("planner");
    let revived =
        thaw_status::revive_run(&mut store.client, old.run, &[old.table], &planner, PLANNER_LEASE).await;
    assert_eq!(revived.expect("asks"), None);
    assert_eq!(store.table_state(old.table).await, "partial");
}

#[tokio::test]
async fn a_cancelled_table_that_was_never_started_is_planned_anew() {
    let mut store = Store::create().await;
    let (planner, tables) = store.reserve(&[new_table("rows")], long()).await;
    let table = tables[0].id;
    thaw_status::store_plan(&mut store.client, &planner, table, &new_plan(3)).await.expect("stores");
    thaw_status::cancel_run(&mut store.client, planner.run).await.expect("cancels");
    let tables = [table];
    let revived =
        thaw_status::revive_run(&mut store.client, planner.run, &tables, &planner.planner, PLANNER_LEASE);
    let revived = revived.await.expect("asks").expect("revives");
    assert_eq!(revived.tables, vec![(table, TableState::Planning)]);
    thaw_status::store_plan(&mut store.client, &revived.planner, table, &new_plan(1)).await.expect("stores");
    thaw_status::start_table(&mut store.client, planner.run, table).await.expect("starts");
    let hints = thaw_status::list_hints(&mut store.client, table, None, 100).await.expect("lists");
    assert_eq!(hints.len(), 1, "chunks of the old plan do not count: {hints:?}");
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
    let planner = WorkerId::generate("planner");
    let tables = [loading.table];
    let revived =
        thaw_status::revive_run(&mut store.client, loading.run, &tables, &planner, PLANNER_LEASE).await;
    let revived = revived.expect("asks").expect("revives");
    assert_eq!(revived.tables, vec![(loading.table, TableState::Planning)]);
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
