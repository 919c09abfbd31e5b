//! What planners and runs leave behind when they die, and what is no business of this worker.

use thaw_harness::wait;
use thaw_model::{ChunkId, Job, RunId, RunState, TableId};
use thaw_queue::Publisher as _;
use thaw_worker::Exit;

use crate::rig::{DEADLINE, Rig, all_rows};

const INDEXES: &str =
    "select count(*) from pg_indexes where tablename = 't' and indexname in ('by_name', 'by_amount')";

async fn count(rig: &Rig, sql: &str) -> i64 {
    rig.client.query_one(sql, &[]).await.expect("counts").get(0)
}

/// A rig whose target has two more indexes, and a plan that drops them.
async fn rig_with_indexes() -> (Rig, thaw_model::TablePlan) {
    let rig = Rig::new().await;
    let make = "create index by_name on t (name); create index by_amount on t (amount) where id > 10";
    rig.client.batch_execute(make).await.expect("made");
    let mut plan = rig.table_plan();
    plan.start.drop_indexes = true;
    (rig, plan)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_whose_planner_died_after_its_last_plan() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    rig.client
        .batch_execute(
            "update migration_status.migration_runs
             set planned_at = null, planner_lease_until = clock_timestamp() + interval '1 second'",
        )
        .await
        .expect("as the planner left it");
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_come_back_after_a_run_that_was_cancelled() {
    let (mut rig, plan) = rig_with_indexes().await;
    let planned = rig.plan_as(plan, None).await;
    thaw_status::start_table(&mut rig.client, planned.run, planned.table).await.expect("starts");
    assert_eq!(count(&rig, INDEXES).await, 0);
    let cancelled = thaw_status::cancel_run(&mut rig.client, planned.run).await.expect("cancels");
    assert!(matches!(cancelled, thaw_status::Cancelled::Now { .. }));
    let workers = [rig.work(1), rig.work(1)];
    wait::until("the indexes to be back", DEADLINE, async || Ok(count(&rig, INDEXES).await == 2))
        .await
        .expect("in time");
    for worker in workers {
        assert_eq!(worker.stop().await, Exit::Drained);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_builds_the_indexes_that_a_superseded_one_left_behind() {
    let (mut rig, plan) = rig_with_indexes().await;
    let dead = rig.plan_as(plan.clone(), None).await;
    thaw_status::start_table(&mut rig.client, dead.run, dead.table).await.expect("starts");
    let dead_planner =
        "update migration_status.migration_runs set planner_lease_until = now() - interval '1 hour'";
    rig.client.batch_execute(dead_planner).await.expect("its planner is dead");
    assert!(thaw_status::supersede_run(&mut rig.client, dead.run).await.expect("supersedes"));
    let planned = rig.plan_as(plan, None).await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(count(&rig, INDEXES).await, 2, "before the run was called completed");
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_messages_of_a_database_without_status_tables_stop_nobody() {
    let mut rig = Rig::new().await;
    rig.client.batch_execute("drop schema migration_status cascade").await.expect("dropped");
    let (database, run, table) = (rig.target.name().to_owned(), RunId::generate(), TableId(1));
    let old = [
        Job::Chunk { database: database.clone(), run, chunk: ChunkId { table, number: 0 } },
        Job::Table { database, run, table },
    ];
    rig.queue.publisher().publish(&old).await.expect("published");
    let worker = rig.work(2);
    wait::until("both to be set aside", DEADLINE, async || Ok(rig.queue.dead_letters().len() == 2))
        .await
        .expect("in time");
    thaw_status::migrate(&mut rig.client).await.expect("the status tables");
    let planned = rig.plan().await;
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_source_whose_database_does_not_exist_stops_nobody() {
    let mut rig = Rig::new().await;
    let mut disabled = rig.config.sources[0].clone();
    disabled.enabled = false;
    disabled.target_database = "not_there_yet".to_owned();
    rig.config.sources.push(disabled);
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(worker.stop().await, Exit::Drained);
}
