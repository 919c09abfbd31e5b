//! Reviving what did not complete, and fresh executions.

use thaw_model::{ChunkId, TableState, WorkerId};
use thaw_status::execution::{NewExecution, fence_execution, store_execution};
use thaw_status::{Claim, Settlement, StoreError};

use crate::fixture::{
    Loading, PLANNER_LEASE, Store, claimed, load, long, new_chunk, new_plan, new_table, plan, report,
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
    let next = fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("fences");
    assert_eq!(next, Some(2));
    assert_eq!(fence_execution(&mut store.client, loading.run, loading.table, 1).await.expect("asks"), None);
    let begun = thaw_status::LoadTx::begin(&mut client, &running).await.map(drop);
    assert!(matches!(begun, Err(StoreError::FenceLost)));
    let fresh = NewExecution {
        number: 2,
        plan: plan(thaw_model::plan::StartPlan::default()),
        expected_rows: Some(10),
        chunks: vec![new_chunk(0)],
    };
    let transaction = store.client.transaction().await.expect("begins");
    transaction.batch_execute("truncate public.rows").await.expect("truncates");
    store_execution(&transaction, loading.run, loading.table, &fresh).await.expect("stores");
    transaction.commit().await.expect("commits");
    let chunk = claimed(&client, loading.run, ChunkId { table: loading.table, number: 2 }, &worker).await;
    assert_eq!(chunk.execution, 2);
    load(&mut client, &chunk).await;
    let claim = thaw_status::claim_finalize(&mut client, loading.run, loading.table, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    let finished = thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
    assert_eq!((finished.state, finished.accounting.inserted), (TableState::Completed, 10));
}

trait Pg {
    fn pg(&self) -> thaw_model::PgIdent;
}

impl Pg for str {
    fn pg(&self) -> thaw_model::PgIdent {
        thaw_model::PgIdent::exact(self)
    }
}
