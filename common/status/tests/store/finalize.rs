//! The end of tables and runs: exactly one finalizer, none missed, and the sums are right.

use futures_util::future::join_all;
use thaw_model::{RunState, TableState, WorkerId};
use thaw_status::{Settlement, StoreError};

use crate::fixture::{Store, claimed, load, long, new_plan, new_table, report};

#[tokio::test]
async fn whoever_commits_the_last_chunk_finalizes_and_nobody_else() {
    let mut store = Store::create().await;
    let mut clients = join_all((0..6).map(|_| store.connect())).await;
    for round in 0..40 {
        let loading = store.loading(6, long()).await;
        let (run, table) = (loading.run, loading.table);
        let finalizers = join_all(clients.iter_mut().zip(0..).map(|(client, number)| async move {
            let worker = WorkerId::generate("worker");
            let id = thaw_model::ChunkId { table, number };
            let chunk = claimed(client, run, id, &worker).await;
            load(client, &chunk).await;
            thaw_status::claim_finalize(client, run, table, &worker).await.expect("asks")
        }))
        .await;
        let mut won: Vec<_> = finalizers.into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "round {round}");
        let claim = won.remove(0);
        let finished =
            thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
        assert_eq!(finished.state, TableState::Completed);
        assert_eq!((finished.accounting.fetched, finished.accounting.inserted), (60, 60));
        assert_eq!(
            thaw_status::end_run(&mut store.client, run).await.expect("ends"),
            Some(RunState::Completed)
        );
        assert_eq!(thaw_status::end_run(&mut store.client, run).await.expect("asks"), None);
    }
}

#[tokio::test]
async fn a_dead_finalizer_is_taken_over_and_writes_nothing_more() {
    let mut store = Store::create().await;
    let loading = store.loading(0, long()).await;
    let (dead, other) = (WorkerId::generate("worker"), WorkerId::generate("worker"));
    let (run, table) = (loading.run, loading.table);
    let old = thaw_status::claim_finalize(&mut store.client, run, table, &dead).await.expect("asks");
    let old = old.expect("a table without chunks is ready at once");
    assert!(thaw_status::heartbeat_finalize(&store.client, &old).await.expect("extends"));
    let second = thaw_status::claim_finalize(&mut store.client, run, table, &other).await.expect("asks");
    assert_eq!(second, None, "the lease is not over");
    let lapse =
        "update migration_status.migration_table_status set finalize_lease_until = now() - interval '1 s'";
    store.client.batch_execute(lapse).await.expect("sets back");
    let found = thaw_status::redispatch(&mut store.client, 500).await.expect("looks");
    assert_eq!(found.jobs.len(), 1, "{found:?}");
    let new = thaw_status::claim_finalize(&mut store.client, run, table, &other).await.expect("asks");
    let new = new.expect("the lease is over");
    let finished = thaw_status::finish_finalize(&mut store.client, &old, None, &[]).await;
    assert!(matches!(finished, Err(StoreError::FenceLost)));
    assert!(!thaw_status::heartbeat_finalize(&store.client, &old).await.expect("asks"));
    let finished = thaw_status::finish_finalize(&mut store.client, &new, None, &[]).await.expect("finishes");
    assert_eq!(finished.state, TableState::Completed);
    // The finalizer dies before it ends the run.
    let ended = thaw_status::end_finished_runs(&mut store.client).await.expect("ends");
    assert_eq!(ended, vec![(run, RunState::Completed)]);
}

#[tokio::test]
async fn failed_chunks_make_a_table_partial_and_only_failed_ones_make_it_failed() {
    let mut store = Store::create().await;
    for (loaded, expected, run_state) in
        [(1, TableState::Partial, RunState::Partial), (0, TableState::Failed, RunState::Failed)]
    {
        let loading = store.loading(2, long()).await;
        let worker = WorkerId::generate("worker");
        let mut client = store.connect().await;
        for number in 0..2 {
            let chunk = claimed(&client, loading.run, loading.chunk(number), &worker).await;
            if number < loaded {
                load(&mut client, &chunk).await;
            } else {
                let fatal = Settlement::Fatal { error: report("sqlstate_22003") };
                thaw_status::settle(&client, &chunk, &fatal).await.expect("settles");
            }
        }
        let read = thaw_status::finalize::loaded_rows(&client, loading.table).await.expect("reads");
        assert_eq!(read.fetched, i64::from(loaded) * 10);
        let claim = thaw_status::claim_finalize(&mut client, loading.run, loading.table, &worker).await;
        let claim = claim.expect("asks").expect("no chunk is open");
        let finished = thaw_status::finish_finalize(&mut client, &claim, None, &[]).await.expect("finishes");
        assert_eq!(finished.state, expected);
        assert_eq!(thaw_status::end_run(&mut client, loading.run).await.expect("ends"), Some(run_state));
        let tables = thaw_status::tables_of_run(&client, loading.run).await.expect("reads");
        assert_eq!(tables[0].error_class.as_deref(), Some("sqlstate_22003"));
        let json = serde_json::to_value(&tables[0]).expect("serializes");
        assert_eq!(json["state"], expected.as_str());
    }
}

#[tokio::test]
async fn a_run_does_not_end_before_it_is_planned() {
    let mut store = Store::create().await;
    let mut second = new_table("other");
    second.entry = "other".into();
    let (planner, tables) = store.reserve(&[new_table("rows"), second], long()).await;
    let run = planner.run;
    thaw_status::store_plan(&mut store.client, &planner, tables[0].id, &new_plan(0)).await.expect("stores");
    thaw_status::start_table(&mut store.client, run, tables[0].id).await.expect("starts");
    let worker = WorkerId::generate("worker");
    let claim = thaw_status::claim_finalize(&mut store.client, run, tables[0].id, &worker).await;
    let claim = claim.expect("asks").expect("ready");
    thaw_status::finish_finalize(&mut store.client, &claim, None, &[]).await.expect("finishes");
    assert_eq!(thaw_status::end_run(&mut store.client, run).await.expect("asks"), None);
    assert!(!thaw_status::mark_run_planned(&store.client, &planner).await.expect("asks"), "one has no plan");
    thaw_status::fail_table(&mut store.client, &planner, tables[1].id, &report("no_key"))
        .await
        .expect("fails");
    assert!(thaw_status::mark_run_planned(&store.client, &planner).await.expect("marks"));
    let ended = thaw_status::end_run(&mut store.client, run).await.expect("ends");
    assert_eq!(ended, Some(RunState::Partial));
    assert_eq!(thaw_status::run_state(&store.client, run).await.expect("reads"), Some(RunState::Partial));
}
