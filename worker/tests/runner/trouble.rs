//! Chunks and workers that fail, and what they leave behind.

use std::time::Duration;

use serde_json::json;
use thaw_harness::wait;
use thaw_model::plan::ReplaceTail;
use thaw_model::{PgIdent, RunState, TableState};
use thaw_worker::{Exit, WorkerOptions};

use crate::rig::{CHUNKS, DEADLINE, ROWS, Rig, all_rows};

/// Sends a GET by hand and returns the answer, status line included.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> anyhow::Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_with_a_fault_of_its_own_fails_alone() {
    let mut rig = Rig::new().await;
    // The middle chunk's ids are taken: 23505 without an arbiter is this chunk's own fault.
    rig.client.batch_execute("insert into t values (150, 'mine', 0)").await.expect("inserted");
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Partial);
    let table = rig.table(planned).await;
    assert_eq!(table.state, TableState::Partial);
    assert_eq!((table.chunks.completed, table.chunks.failed), (CHUNKS - 1, 1));
    assert_eq!(table.error_class.as_deref(), Some("sqlstate_23505"));
    let text = table.error_text.expect("the table says why");
    assert!(text.contains("t_pkey") && !text.contains("150"), "{text}");
    let (count, distinct, _) = rig.target_rows().await;
    assert_eq!((count, distinct), (ROWS / CHUNKS * (CHUNKS - 1) + 1, ROWS / CHUNKS * (CHUNKS - 1) + 1));
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_every_chunk_fails_the_table_and_the_worker_goes_on() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    rig.client.batch_execute("drop table t").await.expect("dropped");
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Failed);
    let table = rig.table(planned).await;
    assert_eq!(table.state, TableState::Failed);
    assert_eq!(table.error_class.as_deref(), Some("sqlstate_42P01"));
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_that_cannot_be_started_fails_and_says_why() {
    let mut rig = Rig::new().await;
    rig.client.batch_execute("create table child (t_id bigint references t)").await.expect("created");
    let mut plan = rig.table_plan();
    plan.start.truncate = true;
    let planned = rig.plan_as(plan, None).await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Failed);
    let table = rig.table(planned).await;
    assert_eq!(table.error_class.as_deref(), Some("truncate_referenced"));
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passing_fault_of_the_source_is_retried_and_counted() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let incident = json!({"sql_error": {"code": "000603", "sql_state": "XX000", "message": "incident"}});
    rig.emulator
        .fault(json!({"match": {"kind": "submit", "times": 2}, "action": incident}))
        .await
        .expect("a fault");
    let worker = rig.work(1);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(rig.failures(planned).await, 2);
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_out_of_attempts_fails() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let incident = json!({"sql_error": {"code": "000603", "sql_state": "XX000", "message": "incident"}});
    rig.emulator
        .fault(json!({"match": {"kind": "submit", "times": 0}, "action": incident}))
        .await
        .expect("a fault");
    let worker = rig.work(3);
    assert_eq!(rig.await_run(planned).await, RunState::Failed);
    assert_eq!(rig.failures(planned).await, 3 * CHUNKS);
    assert_eq!(rig.target_rows().await, (0, 0, "0".to_owned()));
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_hands_back_what_outlasts_the_grace_uncounted() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    rig.emulator
        .fault(json!({"match": {"kind": "submit", "times": 0}, "action": "hang"}))
        .await
        .expect("a fault");
    let worker = rig.work(2);
    wait::until("both slots are busy", DEADLINE, async || {
        Ok(rig.table(planned).await.chunks.in_progress == 2)
    })
    .await
    .expect("in time");
    assert_eq!(worker.stop().await, Exit::Drained);
    let table = rig.table(planned).await;
    assert_eq!((table.chunks.pending, table.chunks.in_progress), (CHUNKS, 0));
    assert_eq!(rig.failures(planned).await, 0);

    rig.emulator.clear_faults().await.expect("cleared");
    let next = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(next.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_credentials_halt_the_worker_and_fail_nothing() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    rig.emulator
        .fault(json!({"match": {"kind": "submit", "times": 0}, "action": "revoked_key"}))
        .await
        .expect("a fault");
    let listen = rig.listening();
    let worker = rig.work_with(WorkerOptions { slots: 2, max_runtime: None, listen: Some(listen) });
    wait::until("the worker says that it is halted", DEADLINE, async || {
        Ok(get(listen, "/readyz")
            .await
            .is_ok_and(|answer| answer.contains("503") && answer.contains("halted")))
    })
    .await
    .expect("in time");
    assert_eq!(worker.ended().await, Exit::HaltGraceOver);
    assert_eq!(rig.failures(planned).await, 0);
    assert_eq!(rig.table(planned).await.chunks.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_gone_for_a_while_halts_the_worker_until_it_is_back() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let name = rig.target.name().to_owned();
    let admin = thaw_harness::database::connect(&thaw_harness::environment::require(
        thaw_harness::environment::POSTGRES,
    ))
    .await
    .expect("connects");
    let refuse = format!("alter database {name} with allow_connections false");
    admin.batch_execute(&refuse).await.expect("refused from now on");
    let listen = rig.listening();
    let worker = rig.work_with(WorkerOptions { slots: 2, max_runtime: None, listen: Some(listen) });
    wait::until("the worker says that it is halted", DEADLINE, async || {
        Ok(get(listen, "/readyz").await.is_ok_and(|answer| answer.contains("halted")))
    })
    .await
    .expect("in time");
    let admit = format!("alter database {name} with allow_connections true");
    admin.batch_execute(&admit).await.expect("admitted again");
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    let metrics = get(listen, "/metrics").await.expect("metrics");
    assert!(metrics.contains("thaw_rows_loaded_total 300"), "{metrics}");
    assert!(get(listen, "/readyz").await.expect("answers").contains("200"));
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_with_too_little_time_left_takes_nothing() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    // The configuration keeps two minutes for running chunks.
    let worker =
        rig.work_with(WorkerOptions { slots: 2, max_runtime: Some(Duration::from_secs(60)), listen: None });
    assert_eq!(worker.ended().await, Exit::Drained);
    assert_eq!(rig.table(planned).await.chunks.pending, CHUNKS);
}

/// Another table of the run, `parent`, that `t` refers to; it is still being planned.
async fn with_unfinished_parent(rig: &Rig) {
    rig.client
        .batch_execute(
            "create table parent (id bigint primary key);
             alter table t add constraint t_parent foreign key (id) references parent;
             insert into migration_status.migration_table_status
               (run_id, position, entry, source_name, source_database, source_schema, source_table, target_schema,
                target_table, config_hash)
             select run_id, 1, 'parent', source_name, source_database, source_schema, 'PARENT', target_schema,
                    'parent', config_hash
             from migration_status.migration_table_status",
        )
        .await
        .expect("a parent");
}

async fn end_parent(rig: &Rig) {
    let end = "update migration_status.migration_table_status set status = 'failed', error_class = 'test',
                 finished_at = clock_timestamp() where target_table = 'parent'";
    rig.client.batch_execute(end).await.expect("ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_waits_uncounted_for_the_rows_of_its_parent() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    with_unfinished_parent(&rig).await;
    thaw_status::start_table(&mut rig.client, planned.run, planned.table).await.expect("asks");
    assert_eq!(rig.table(planned).await.state, TableState::Planned, "its parent is not finished");
    let fill = format!("insert into parent select generate_series(1, {ROWS})");
    rig.client.batch_execute(&fill).await.expect("filled");
    let done = "delete from migration_status.migration_table_status where target_table = 'parent'";
    rig.client.batch_execute(done).await.expect("nothing to wait for");
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(rig.failures(planned).await, 0);
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_fails_when_its_parent_has_ended_without_the_rows() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    with_unfinished_parent(&rig).await;
    end_parent(&rig).await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Failed);
    let table = rig.table(planned).await;
    assert_eq!(table.error_class.as_deref(), Some("parent_failed"));
    assert_eq!(worker.stop().await, Exit::Drained);
}

const SLOW: &str = "
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return new; end $$;
    create trigger slowly before insert on t for each row execute function slowly();
    do $$ begin execute format('alter database %I set statement_timeout = 1000', current_database()); end $$";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_the_database_has_for_others_does_not_end_a_load() {
    let mut rig = Rig::new().await;
    // Two seconds a chunk, where the database ends statements of one.
    rig.client.batch_execute(SLOW).await.expect("made");
    let planned = rig.plan().await;
    let worker = rig.work(3);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(rig.failures(planned).await, 0);
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_over_its_limit_is_tried_again_then_failed_and_says_so() {
    let mut rig = Rig::new().await;
    rig.client.batch_execute(SLOW).await.expect("made");
    rig.config.postgres.statement_timeout = Duration::from_secs(1);
    let planned = rig.plan().await;
    let worker = rig.work(3);
    assert_eq!(rig.await_run(planned).await, RunState::Failed);
    assert_eq!(rig.failures(planned).await, 3 * CHUNKS);
    assert_eq!(rig.target_rows().await, (0, 0, "0".to_owned()));
    let table = rig.table(planned).await;
    assert_eq!(table.error_class.as_deref(), Some("sqlstate_57014"));
    let text = table.error_text.expect("says why");
    assert!(text.contains("postgres.statement_timeout_seconds"), "{text}");
    assert_eq!(worker.stop().await, Exit::Drained);
}

const SLOW_DELETE: &str = "
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.02); return old; end $$;
    create trigger slowly before delete on t for each row execute function slowly();
    insert into t select 1000 + n, 'old', 0 from generate_series(1, 200) n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_takes_longer_than_statements_may_is_given_up_and_says_so() {
    let mut rig = Rig::new().await;
    rig.client.batch_execute(SLOW_DELETE).await.expect("made");
    rig.config.postgres.statement_timeout = Duration::from_secs(1);
    let mut plan = rig.table_plan();
    plan.start.replace_tail = Some(ReplaceTail {
        column: PgIdent::exact("id"),
        bound: None,
        pg_type: "bigint".to_owned(),
        by_bytes: false,
        filter: None,
    });
    let planned = rig.plan_as(plan, None).await;
    // The first tries, which the fleet would have made over half a minute.
    let tried = "update migration_status.migration_table_status set start_tries = 4";
    rig.client.batch_execute(tried).await.expect("tried");
    let worker = rig.work(1);
    assert_eq!(rig.await_run(planned).await, RunState::Failed);
    let table = rig.table(planned).await;
    assert_eq!(table.error_class.as_deref(), Some("sqlstate_57014"));
    let text = table.error_text.expect("says why");
    assert!(text.contains("postgres.statement_timeout_seconds"), "{text}");
    let old = "select count(*) from t";
    assert_eq!(rig.client.query_one(old, &[]).await.expect("counts").get::<_, i64>(0), 200);
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_wider_than_the_memory_of_the_worker_load_beside_each_other() {
    let mut rig = Rig::new().await;
    // Three rows of 1.9 MB in each chunk, under a budget of 1 MB.
    let wide = "x".repeat(1_900_000);
    let again =
        "create or replace table SRC.S.T (ID number(38,0), NAME varchar, AMOUNT number(12,2))".to_owned();
    let insert = |ids: Vec<i64>, name: &str| {
        let rows: Vec<String> = ids.iter().map(|id| format!("({id}, '{name}', {id}.25)")).collect();
        format!("insert into SRC.S.T values {}", rows.join(", "))
    };
    let (long, short): (Vec<i64>, Vec<i64>) = (1..=ROWS).partition(|id| id % 33 == 0);
    let mut statements = vec![again, insert(short, "short")];
    statements.extend(long.into_iter().map(|id| insert(vec![id], &wide)));
    // One by one: the emulator takes requests of 2 MB.
    for statement in &statements {
        rig.emulator.sql(&[statement]).await.expect("widened");
    }
    rig.config.worker.memory_mb = 1;
    let listen = rig.listening();
    let planned = rig.plan().await;
    let worker = rig.work_with(WorkerOptions { slots: 3, max_runtime: None, listen: Some(listen) });
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    let long = "select count(*) from t where length(name) = 1900000";
    assert_eq!(rig.client.query_one(long, &[]).await.expect("counts").get::<_, i64>(0), ROWS / 33);
    let metrics = get(listen, "/metrics").await.expect("answers");
    assert!(metrics.contains("thaw_memory_budget_bytes 1048576"), "{metrics}");
    assert!(metrics.contains("thaw_inflight_bytes 0"), "all of it was given back: {metrics}");
    assert_eq!(rig.failures(planned).await, 0);
    assert_eq!(worker.stop().await, Exit::Drained);
}
