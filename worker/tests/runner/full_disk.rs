//! A server without room for more rows: PostgreSQL's own answer to a write that the system cuts short.

use std::time::Duration;

use thaw_harness::{PostgresOptions, PostgresServer, TestDatabase, wait};
use thaw_model::RunState;
use thaw_worker::{Exit, WorkerOptions};

use crate::rig::{DEADLINE, ROWS, Rig};
use crate::trouble::get;

/// Longer than a segment of the WAL, which has the same limit. Eight rows fill a page: no gap is left for another row.
const FILLING: &str = "
    alter table t set (autovacuum_enabled = off);
    insert into t select 1000000 + n, repeat('x', 970), 0 from generate_series(1, 20000) n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_full_in_mid_run_halts_the_worker_which_goes_on_when_there_is_room() {
    let server = PostgresServer::start(&PostgresOptions::default()).expect("a server of its own");
    let target = TestDatabase::create_on(&server.url()).await.expect("a database");
    let mut rig = Rig::on(target).await;
    rig.config.worker.halt_grace = Duration::from_secs(300);
    rig.client.batch_execute(FILLING).await.expect("filled");
    let size: i64 = rig.client.query_one("select pg_relation_size('t')", &[]).await.expect("asks").get(0);
    let planned = rig.plan().await;
    let size = u64::try_from(size).expect("a size");
    server.limit_file_size(Some(size + 4096)).expect("limited");
    let listen = rig.listening();
    let worker = rig.work_with(WorkerOptions { slots: 2, max_runtime: None, listen: Some(listen) });
    wait::until("the worker says that the disk is full", DEADLINE, async || {
        let answer = get(listen, "/readyz").await.unwrap_or_default();
        Ok(answer.contains("503") && answer.contains("53100 (disk_full)"))
    })
    .await
    .expect("in time");
    let table = rig.table(planned).await;
    assert_eq!((table.chunks.failed, rig.failures(planned).await), (0, 0), "handed back, not counted");

    server.limit_file_size(None).expect("there is room");
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    let loaded = "select count(*), count(distinct id) from t where id <= 1000000";
    let loaded = rig.client.query_one(loaded, &[]).await.expect("reads");
    assert_eq!((loaded.get::<_, i64>(0), loaded.get::<_, i64>(1)), (ROWS, ROWS));
    assert_eq!(rig.failures(planned).await, 0);
    assert_eq!(worker.stop().await, Exit::Drained);
}
