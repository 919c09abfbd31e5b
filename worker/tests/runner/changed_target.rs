//! A target that somebody changes, locks or guards while a run is under way: the first chunk is loaded, the others meet
//! the change. Each says what, where and what to do, repeats no value, and stops nothing but its table.

use std::time::Duration;

use thaw_harness::wait;
use thaw_model::{RunState, TableState};
use thaw_status::progress::TableProgress;
use thaw_worker::Exit;

use crate::rig::{CHUNKS, DEADLINE, Planned, ROWS, Rig, all_rows};

/// Loads the first chunk, changes the target, lets the others go, and returns how the table has ended.
async fn ended_after(rig: &mut Rig, change: &str) -> TableProgress {
    let planned = first_chunk_only(rig).await;
    let worker = rig.work(2);
    first_is_loaded(rig, planned).await;
    rig.client.batch_execute(change).await.expect("changes the target");
    rig.release(planned).await;
    assert_eq!(rig.await_run(planned).await, RunState::Partial);
    let table = rig.table(planned).await;
    assert_eq!((table.state, table.chunks.completed), (TableState::Partial, 1));
    assert_eq!(worker.stop().await, Exit::Drained, "it goes on with other tables");
    let text = table.error_text.clone().unwrap_or_default();
    // Names and texts of the source are `row 101` and so on, amounts `101.25`.
    assert!(!text.contains("row 1") && !text.contains(".25"), "no value is repeated: {text}");
    table
}

async fn first_chunk_only(rig: &mut Rig) -> Planned {
    let planned = rig.plan().await;
    thaw_status::start_table(&mut rig.client, planned.run, planned.table).await.expect("starts");
    rig.hold_all_but_the_first(planned).await;
    planned
}

async fn first_is_loaded(rig: &Rig, planned: Planned) {
    let loaded = async || Ok(rig.table(planned).await.chunks.completed == 1);
    wait::until("the first chunk to be loaded", DEADLINE, loaded).await.expect("in time");
}

/// The class, and every part of the text.
fn expect(table: &TableProgress, class: &str, parts: &[&str]) {
    assert_eq!(table.error_class.as_deref(), Some(class), "{:?}", table.error_text);
    let text = table.error_text.as_deref().unwrap_or_default();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_dropped_in_mid_run_halts_the_table_by_its_name() {
    let mut rig = Rig::new().await;
    let table = ended_after(&mut rig, "alter table t drop column name").await;
    expect(&table, "sqlstate_42703", &["column \"name\" is gone", "undefined_column", "--no-resume"]);
    assert_eq!(table.chunks.failed, 0, "no chunk is at fault");
}

/// A bigint and a double are eight bytes each: binary COPY would take the one for the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_type_changed_in_mid_run_halts_the_table_before_a_row_is_misread() {
    let mut rig = Rig::new().await;
    let table = ended_after(&mut rig, "alter table t alter column id type double precision").await;
    let parts = ["column \"id\" is double precision and was bigint", "--no-resume"];
    expect(&table, "target_changed", &parts);
    let row = rig.client.query_one("select count(*), max(id) from t", &[]).await.expect("reads");
    assert_eq!(
        (row.get::<_, i64>(0), row.get::<_, f64>(1)),
        (ROWS / CHUNKS, 100.0),
        "nothing but the first chunk"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_widened_in_mid_run_stops_nothing() {
    let mut rig = Rig::new().await;
    let planned = first_chunk_only(&mut rig).await;
    let worker = rig.work(2);
    first_is_loaded(&rig, planned).await;
    let wider = "alter table t alter column amount type numeric(20,4), add column more int";
    rig.client.batch_execute(wider).await.expect("changes the target");
    rig.release(planned).await;
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    let sum = "select sum(amount)::numeric(12,2)::text from t";
    let sum: String = rig.client.query_one(sum, &[]).await.expect("reads").get(0);
    assert_eq!(sum, all_rows().2);
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_lost_in_mid_run_halts_the_table_and_is_named() {
    let mut rig = Rig::new().await;
    let role = format!("loader_{}", rig.target.name());
    let grants = format!(
        "create role {role} login password 'loader';
         grant usage on schema migration_status, public to {role};
         grant select, insert, update on t to {role};
         grant select, insert, update, delete on all tables in schema migration_status to {role};
         grant usage on all sequences in schema migration_status to {role}"
    );
    rig.client.batch_execute(&grants).await.expect("a role");
    rig.config.postgres.user = role.clone();
    rig.config.postgres.password = "loader".to_owned().into();
    let table = ended_after(&mut rig, &format!("revoke insert on t from {role}")).await;
    let gone = format!("drop owned by {role}; drop role {role}");
    rig.client.batch_execute(&gone).await.expect("dropped");
    let parts = ["INSERT on the table is not granted any more", "insufficient_privilege", "grant the role"];
    expect(&table, "sqlstate_42501", &parts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_that_raises_fails_its_chunks_and_its_message_is_not_repeated() {
    let mut rig = Rig::new().await;
    let trigger = "
        create function refuse() returns trigger language plpgsql as
          $$ begin if new.id > 250 then raise exception 'no %', new.name; end if; return new; end $$;
        create trigger refuse before insert on t for each row execute function refuse()";
    rig.client.batch_execute(trigger).await.expect("a trigger");
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Partial);
    let table = rig.table(planned).await;
    assert_eq!((table.chunks.completed, table.chunks.failed), (CHUNKS - 1, 1), "the other chunks go on");
    expect(&table, "sqlstate_P0001", &["raise_exception", "a trigger of the target"]);
    let text = table.error_text.unwrap_or_default();
    assert!(!text.contains("no row") && !text.contains("row 251"), "{text}");
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_violation_names_constraint_table_and_row_and_fails_its_chunk_alone() {
    let mut rig = Rig::new().await;
    rig.client
        .batch_execute("alter table t add constraint few check (amount < 150.00)")
        .await
        .expect("a constraint");
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Partial);
    let table = rig.table(planned).await;
    assert_eq!((table.chunks.completed, table.chunks.failed), (1, CHUNKS - 1));
    let parts = ["check_violation", "constraint \"few\"", "table \"t\"", "of the copy", "source_filter"];
    expect(&table, "sqlstate_23514", &parts);
    assert!(!table.error_text.unwrap_or_default().contains(".25"));
    assert_eq!(worker.stop().await, Exit::Drained);
}

/// Somebody else holds the key of a row in the middle, and then wants one that the load has written before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_somebody_else_is_not_counted_and_the_load_goes_on() {
    let mut rig = Rig::new().await;
    let soon = format!("alter database {} set deadlock_timeout = '50ms'", rig.target.name());
    rig.client.batch_execute(&soon).await.expect("deadlocks are found soon");
    let planned = rig.plan().await;
    let theirs = rig.target.connect().await.expect("connects");
    let patient = "set deadlock_timeout = '10 min'; begin; insert into t values (150, 'theirs', 0)";
    theirs.batch_execute(patient).await.expect("holds a key");
    let worker = rig.work(1);
    wait::until("the load waits for the key", DEADLINE, async || {
        let waiting = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock' and query like 'copy%'";
        Ok(rig.client.query_one(waiting, &[]).await?.get::<_, i64>(0) == 1)
    })
    .await
    .expect("in time");
    // Waits until the load gives way, then has the key.
    let taken = theirs.batch_execute("insert into t values (120, 'theirs', 0)");
    tokio::time::timeout(Duration::from_secs(30), taken).await.expect("in time").expect("the load gives way");
    theirs.batch_execute("rollback").await.expect("goes");
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    assert_eq!(rig.failures(planned).await, 0, "not counted");
    assert_eq!(worker.stop().await, Exit::Drained);
}
