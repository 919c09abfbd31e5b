//! Chunks that succeed, however their messages arrive.

use thaw_model::{ChunkId, Job, RunId, RunState, TableId, TableState};
use thaw_queue::Publisher as _;
use thaw_worker::Exit;

use crate::rig::{CHUNKS, ROWS, Rig, all_rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hint_about_the_table_starts_it_and_every_row_arrives_once() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let worker = rig.work(2);
    let table = Job::Table { database: rig.target.name().to_owned(), run: planned.run, table: planned.table };
    rig.queue.publisher().publish(&[table]).await.expect("published");
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    let table = rig.table(planned).await;
    assert_eq!(table.state, TableState::Completed);
    assert_eq!((table.chunks.completed, table.accounting.fetched), (CHUNKS, ROWS));
    assert_eq!(table.accounting.inserted, ROWS);
    assert_eq!(worker.stop().await, Exit::Drained);
    assert_eq!(rig.queue.ready_count(), 0, "every message was acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redispatch_finds_a_plan_whose_messages_were_never_published() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_are_doubled_late_or_about_nothing_cost_spare_claims_only() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let publisher = rig.queue.publisher();
    let database = rig.target.name().to_owned();
    let stranger =
        Job::Chunk { database, run: RunId::generate(), chunk: ChunkId { table: TableId(99), number: 0 } };
    publisher.publish(&[stranger]).await.expect("published");
    for _ in 0..3 {
        publisher.publish(&rig.hints(planned)).await.expect("published");
    }
    let workers = [rig.work(2), rig.work(2)];
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    publisher.publish(&rig.hints(planned)).await.expect("published");
    for worker in workers {
        assert_eq!(worker.stop().await, Exit::Drained);
    }
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(rig.failures(planned).await, 0);
    assert_eq!(rig.table(planned).await.accounting.fetched, ROWS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_a_cap_of_its_own_is_loaded_to_the_end() {
    let mut rig = Rig::new().await;
    let planned = rig.plan_as(rig.table_plan(), Some(1)).await;
    let worker = rig.work(3);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_job_or_names_a_foreign_database_goes_to_the_dead_queue() {
    let rig = Rig::new().await;
    let foreign = Job::Table { database: "elsewhere".to_owned(), run: RunId::generate(), table: TableId(1) };
    rig.queue.push_bytes(b"no job".to_vec());
    rig.queue.publisher().publish(std::slice::from_ref(&foreign)).await.expect("published");
    let worker = rig.work(1);
    thaw_harness::wait::until("both are rejected", crate::rig::DEADLINE, async || {
        Ok(rig.queue.dead_letters().len() == 2)
    })
    .await
    .expect("in time");
    let dead: Vec<Vec<u8>> = rig.queue.dead_letters().into_iter().map(|letter| letter.bytes).collect();
    assert_eq!(dead, [b"no job".to_vec(), foreign.encode()]);
    assert_eq!(worker.stop().await, Exit::Drained);
}
