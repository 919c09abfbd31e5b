//! The end of a table: what is compared, what sequences stand at, and what is in the way of it.

use thaw_harness::wait;
use thaw_model::plan::{Decision, OneScanPlan};
use thaw_model::{RunState, TableState};
use thaw_status::progress::TableProgress;
use thaw_worker::Exit;
use tokio_postgres::Client;

use crate::rig::{DEADLINE, Planned, ROWS, Rig, all_rows};

fn said<'a>(table: &'a TableProgress, subject: &str) -> Vec<&'a Decision> {
    table.decisions.iter().filter(|decision| decision.subject == subject).collect()
}

fn choice(table: &TableProgress, subject: &str) -> String {
    let found = said(table, subject);
    assert_eq!(found.len(), 1, "{subject}: {:?}", table.decisions);
    found[0].choice.clone()
}

/// A person whose lock lets rows in and statistics not: the finalizer waits when every chunk is loaded.
async fn person(rig: &Rig) -> Client {
    let person = rig.target.connect().await.expect("connects");
    let lock = "set application_name = 'person'; begin; lock table t in share update exclusive mode";
    person.batch_execute(lock).await.expect("locks");
    person
}

async fn await_tries(rig: &Rig, planned: Planned, tries: i16) {
    let sql = "select finalize_tries from migration_status.migration_table_status where table_id = $1";
    wait::until("the finalizer to have met the lock", DEADLINE, async || {
        Ok(rig.client.query_one(sql, &[&planned.table.0]).await?.get::<_, i16>(0) >= tries)
    })
    .await
    .expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_target_must_hold_in_the_end_what_was_inserted() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    let table = rig.table(planned).await;
    assert_eq!(choice(&table, "target rows"), "compared");
    assert!(said(&table, "target rows")[0].reason.contains(&ROWS.to_string()), "{:?}", table.decisions);
    assert_eq!(choice(&table, "source rows"), "not compared", "the plan has no snapshot, which is said");
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_were_there_before_make_a_count_prove_nothing_which_is_said() {
    let mut rig = Rig::new().await;
    rig.client.batch_execute("insert into t values (9999, 'theirs', 0)").await.expect("inserted");
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(choice(&rig.table(planned).await, "target rows"), "not compared");
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_others_and_their_deletions_are_warned_about_and_fail_nothing() {
    for (theirs, expected) in [
        ("insert into t values (9999, 'theirs', 0)", "written 1"),
        ("delete from t where id <= 10", "deleted rows"),
    ] {
        let mut rig = Rig::new().await;
        let mut plan = rig.table_plan();
        plan.start.truncate = true;
        let planned = rig.plan_as(plan, None).await;
        let started = thaw_status::start_table(&mut rig.client, planned.run, planned.table).await;
        started.expect("starts, before anybody is in the way");
        let person = person(&rig).await;
        let worker = rig.work(2);
        await_tries(&rig, planned, 1).await;
        person.batch_execute(theirs).await.expect("executed");
        person.batch_execute("commit").await.expect("commits");
        assert_eq!(rig.await_run(planned).await, RunState::Completed, "{theirs}");
        let table = rig.table(planned).await;
        assert_eq!(choice(&table, "target rows"), "differ");
        let reason = &said(&table, "target rows")[0].reason;
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(worker.stop().await, Exit::Drained);
    }
}

/// How rows are missing that somebody has made away with behind the load, with sessions set up like this.
async fn missing_after(setup: &str, theirs: &str) -> String {
    let mut rig = Rig::new().await;
    rig.client.batch_execute(setup).await.expect("set up");
    let planned = rig.plan().await;
    thaw_status::start_table(&mut rig.client, planned.run, planned.table).await.expect("starts");
    let person = person(&rig).await;
    let worker = rig.work(2);
    await_tries(&rig, planned, 1).await;
    person.batch_execute(theirs).await.expect("executed");
    assert_eq!(rig.await_run(planned).await, RunState::Completed, "{theirs}");
    let table = rig.table(planned).await;
    assert_eq!(choice(&table, "target rows"), "differ");
    assert_eq!(worker.stop().await, Exit::Drained);
    said(&table, "target rows")[0].reason.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_that_the_statistics_cannot_show_fail_nothing() {
    let uncounted =
        "do $$ begin execute format('alter database %I set track_counts = off', current_database()); end $$";
    let (late, reset, off) = tokio::join!(
        // A session reports what it has done when it is idle, which it is not before its next transaction ends.
        missing_after("", "delete from t where id <= 10; commit; begin; select 1"),
        missing_after(
            "",
            "truncate t; insert into t values (1, 'row 1', 1.25); select pg_stat_reset(); commit"
        ),
        missing_after(uncounted, "delete from t where id <= 10; commit"),
    );
    assert!(late.contains("may have deleted rows before"), "{late}");
    assert!(reset.contains("statistics were reset"), "{reset}");
    assert!(off.contains("track_counts"), "{off}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_of_a_result_are_compared_without_a_snapshot() {
    let mut rig = Rig::new().await;
    let mut plan = rig.table_plan();
    plan.one_scan =
        Some(OneScanPlan { rows_per_chunk: 100, allow_empty: false, counted: None, is_over_rows: false });
    let planned = rig.plan_as(plan, None).await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    let table = rig.table(planned).await;
    assert_eq!(choice(&table, "source rows"), "compared");
    let reason = &said(&table, "source rows")[0].reason;
    assert!(reason.contains("result") && reason.contains(&ROWS.to_string()), "{reason}");
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_nobody_has_deleted_must_be_there() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    thaw_status::start_table(&mut rig.client, planned.run, planned.table).await.expect("starts");
    let person = person(&rig).await;
    let worker = rig.work(2);
    await_tries(&rig, planned, 1).await;
    // A TRUNCATE shows in no statistics of rows: to Thaw the rows are just gone.
    person
        .batch_execute("truncate t; insert into t values (1, 'row 1', 1.25); commit")
        .await
        .expect("executed");
    assert_eq!(rig.await_run(planned).await, RunState::Partial);
    let table = rig.table(planned).await;
    assert_eq!((table.state, table.error_class.as_deref()), (TableState::Partial, Some("target_rows")));
    assert_eq!(choice(&table, "target rows"), "differ");
    let text = table.error_text.expect("says why");
    assert!(text.contains("holds 1 rows") && text.contains(&format!("inserted {ROWS}")), "{text}");
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finalizer_gives_way_to_a_lock_longer_each_time_and_goes_on() {
    let mut rig = Rig::new().await;
    let planned = rig.plan().await;
    thaw_status::start_table(&mut rig.client, planned.run, planned.table).await.expect("starts");
    let person = person(&rig).await;
    let workers = [rig.work(1), rig.work(1)];
    await_tries(&rig, planned, 2).await;
    assert_eq!(rig.table(planned).await.state, TableState::Finalizing);
    person.batch_execute("rollback").await.expect("goes");
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    assert_eq!(rig.target_rows().await, all_rows());
    for worker in workers {
        assert_eq!(worker.stop().await, Exit::Drained);
    }
}

const SEQUENCES: &str = "
    alter table t alter id add generated by default as identity;
    create sequence by_ten increment 10 owned by t.id;
    create sequence down increment -5 minvalue -1000 maxvalue 5000 start 5000 owned by t.id;
    create sequence short maxvalue 100 owned by t.id;
    create sequence ahead start 5000 owned by t.id;
    create sequence of_a_number owned by t.amount;
    create sequence of_a_text owned by t.name;
    create sequence never owned by t.id;
    select setval('never', 300, false);
    create sequence nobodys";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owned_sequences_go_on_behind_the_last_loaded_value() {
    let mut rig = Rig::new().await;
    rig.client.batch_execute(SEQUENCES).await.expect("made");
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    for (sequence, next) in [
        ("t_id_seq", 301),
        ("by_ten", 310),
        ("down", -4),
        ("short", 1),
        ("ahead", 5000),
        // 300.25, rounded: the next is above it.
        ("of_a_number", 301),
        ("of_a_text", 1),
        ("never", 301),
        ("nobodys", 1),
    ] {
        let row =
            rig.client.query_one("select nextval($1::text::regclass)", &[&sequence]).await.expect(sequence);
        assert_eq!(row.get::<_, i64>(0), next, "{sequence}");
    }
    let table = rig.table(planned).await;
    let left: Vec<&str> = said(&table, "sequence").iter().map(|decision| decision.choice.as_str()).collect();
    assert_eq!(left, ["public.short left as it is", "public.of_a_text left as it is"], "and said so");
    assert_eq!(worker.stop().await, Exit::Drained);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_role_may_not_do_at_the_end_is_reported() {
    let mut rig = Rig::new().await;
    let role = format!("loader_{}", rig.target.name());
    rig.client
        .batch_execute(&format!(
            "create sequence theirs owned by t.id;
             create role \"{role}\" login password 'loader';
             grant insert, select on t to \"{role}\";
             grant usage on schema migration_status to \"{role}\";
             grant all on all tables in schema migration_status to \"{role}\"",
        ))
        .await
        .expect("made");
    rig.config.postgres.user = role.clone();
    rig.config.postgres.password = "loader".to_owned().into();
    let planned = rig.plan().await;
    let worker = rig.work(2);
    assert_eq!(rig.await_run(planned).await, RunState::Completed);
    let table = rig.table(planned).await;
    assert_eq!(choice(&table, "sequence"), "public.theirs left as it is");
    assert_eq!(said(&table, "sequence")[0].reason, "this role may not set it");
    assert_eq!(choice(&table, "analyze"), "left out");
    assert_eq!(choice(&table, "target rows"), "compared");
    assert_eq!(worker.stop().await, Exit::Drained);
    let drop_role = format!("drop owned by \"{role}\"; drop role \"{role}\"");
    rig.client.batch_execute(&drop_role).await.expect("dropped");
}
