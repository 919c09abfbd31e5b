//! What a target refuses in the middle of a load: each says which table, column, constraint or SQLSTATE, never a value,
//! leaves nothing behind, and counts where it is the chunk's own fault.

use std::time::Duration;

use thaw_model::plan::LoadMode;
use thaw_model::{Classify as _, Disposition};
use thaw_worker::load::LoadError;

use crate::chunks::{Store, attempt};
use crate::merge::keyed;
use crate::support::{Cell, cell};

const TARGET: &str = "create table t (id int primary key, v text, at timestamp)";

fn row(id: i64, value: &str) -> Vec<Cell> {
    vec![cell(&id.to_string()), cell(value), cell("0")]
}

/// Loads a canary into a target that is changed by `trouble` after the plan, in every mode.
async fn refused(trouble: &str) -> Vec<LoadError> {
    let mut errors = Vec::new();
    for mode in [LoadMode::Copy, LoadMode::Upsert, LoadMode::InsertOnly] {
        let mut store = Store::create(TARGET).await;
        let plan = keyed(&store, mode).await;
        let chunk = store.claimed(&plan, None).await;
        store.client.batch_execute(trouble).await.expect("changes the target");
        let error = store.attempt(&plan, &chunk, &[row(1, "canary")]).await.expect_err("refused");
        assert!(!error.to_string().contains("canary"), "{error}");
        assert_eq!(store.chunk_state(&chunk).await, "in_progress", "nothing is committed");
        store.client.batch_execute("reset role").await.expect("the session is of use");
        errors.push(error);
    }
    errors
}

#[tokio::test]
async fn a_check_violation_names_table_and_constraint() {
    for error in refused("alter table t add constraint never check (id < 0)").await {
        assert_eq!(error.disposition(), Disposition::Fatal);
        assert!(
            error.to_string().contains("23514") && error.to_string().contains("constraint \"never\""),
            "{error}"
        );
        assert!(error.to_string().contains("table \"t\""), "{error}");
    }
}

#[tokio::test]
async fn a_trigger_that_raises_is_the_chunks_own_fault_and_its_message_is_not_repeated() {
    let trigger = "
        create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no %', new.v; end $$;
        create trigger refuse before insert on t for each row execute function refuse()";
    for error in refused(trigger).await {
        assert_eq!(error.disposition(), Disposition::Fatal);
        assert!(error.to_string().contains("P0001 (raise_exception)"), "{error}");
    }
}

#[tokio::test]
async fn a_full_disk_halts_the_worker_and_fails_no_chunk() {
    let trigger = "
        create function out_of_space() returns trigger language plpgsql as
          $$ begin raise exception 'full' using errcode = '53100'; end $$;
        create trigger out_of_space before insert on t for each row execute function out_of_space()";
    for error in refused(trigger).await {
        assert_eq!(error.disposition(), Disposition::HaltWorker);
        assert!(error.to_string().contains("53100 (disk_full)"), "{error}");
    }
}

#[tokio::test]
async fn a_dropped_column_halts_the_table_by_its_name() {
    for error in refused("alter table t drop column v").await {
        assert_eq!((error.class().as_str(), error.disposition()), ("sqlstate_42703", Disposition::HaltTable));
        assert!(error.to_string().contains("column \"v\" is gone"), "{error}");
    }
}

/// COPY's binary form carries no types: an integer's four bytes are a float's as well, a text's bytes any bytea's.
#[tokio::test]
async fn a_changed_type_halts_the_table_before_bytes_are_taken_for_another_value() {
    for (change, what) in [
        ("alter column id type real", "column \"id\" is real and was integer"),
        ("alter column v type bytea using null", "column \"v\" is bytea and was text"),
        ("alter column v type varchar(3)", "column \"v\" is character varying(3) and was text"),
        ("alter column at type bigint using null", "column \"at\" is bigint and was timestamp(6)"),
        ("alter column at type timestamp(3)", "is timestamp(3) without time zone and was timestamp(6)"),
        ("drop constraint t_pkey", "unique index \"t_pkey\" is gone"),
    ] {
        for error in refused(&format!("alter table t {change}")).await {
            let (class, disposition) = (error.class(), error.disposition());
            assert!(error.to_string().contains(what), "{error}");
            assert_eq!((class.as_str(), disposition), ("target_changed", Disposition::HaltTable));
        }
    }
}

#[tokio::test]
async fn a_revoked_right_halts_the_table() {
    let revoked = "
        do $$ begin
          execute format('create role %I', 'r_' || current_database());
          execute format('grant usage on schema migration_status to %I', 'r_' || current_database());
          execute format('grant all on all tables in schema migration_status to %I', 'r_' || current_database());
          execute format('grant select on t to %I', 'r_' || current_database());
          execute format('grant temporary on database %I to %I', current_database(), 'r_' || current_database());
          execute format('set role %I', 'r_' || current_database());
        end $$";
    for error in refused(revoked).await {
        assert_eq!((error.class().as_str(), error.disposition()), ("sqlstate_42501", Disposition::HaltTable));
    }
}

/// Two rows locked in opposite orders, by us and by somebody else; the other one is slow to notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_with_somebody_elses_transaction_is_snoozed_and_loads_afterwards() {
    let mut store = Store::create(&format!(
        "{TARGET}; insert into t values (1, 'old', null), (2, 'old', null);
         do $$ begin execute format('alter database %I set deadlock_timeout = 50', current_database()); end $$"
    ))
    .await;
    let plan = keyed(&store, LoadMode::Upsert).await;
    let chunk = store.claimed(&plan, None).await;
    let mut ours = store.pool.get().await.expect("connects");
    let mut theirs = store.pool.get().await.expect("connects");
    theirs.batch_execute("set deadlock_timeout = '1 min'").await.expect("is patient");
    let other = theirs.transaction().await.expect("begins");
    other.batch_execute("update t set v = v where id = 2").await.expect("locks the second");
    let rows = [row(1, "new"), row(2, "new")];
    let (loading, _) = tokio::join!(attempt(&mut ours, &plan, &chunk, &rows), async {
        // We hold the first and wait for the second: now they want the first.
        let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        while store.rows(waits).await != ["1"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let name = "select application_name from pg_stat_activity \
                    where datname = current_database() and wait_event_type = 'Lock'";
        let name = store.rows(name).await.concat();
        assert_eq!(name, format!("thaw/{}/{}", chunk.run, chunk.id), "who waits says what it loads");
        drop(other.batch_execute("update t set v = v where id = 1").await);
    });
    let error = loading.expect_err("one of the two has to go");
    assert_eq!(error.class(), "sqlstate_40P01");
    assert!(matches!(error.disposition(), Disposition::Snooze { .. }), "not counted: {error}");
    drop(other);
    attempt(&mut ours, &plan, &chunk, &rows).await.expect("loads afterwards");
    assert_eq!(store.rows("select v from t order by id").await, ["new", "new"]);
}

/// `lock_timeout` ends the wait; the worker then asks who holds the lock.
#[tokio::test]
async fn a_lock_held_by_a_human_is_snoozed_and_its_pid_can_be_named() {
    let mut store = Store::create(TARGET).await;
    let plan = keyed(&store, LoadMode::Upsert).await;
    let chunk = store.claimed(&plan, None).await;
    let human = store.pool.get().await.expect("connects");
    human
        .batch_execute("set application_name = 'psql'; begin; lock table t in access exclusive mode")
        .await
        .expect("locks");
    store.client.batch_execute("set lock_timeout = '100ms'").await.expect("sets");
    let error = store.attempt(&plan, &chunk, &[row(1, "a")]).await.expect_err("locked");
    assert!(error.is_lock_timeout() && matches!(error.disposition(), Disposition::Snooze { .. }), "{error}");
    let holders =
        thaw_postgres::blocking::blocking_pids(&**store.client, &plan.target.schema, &plan.target.table);
    let holders = holders.await.expect("asks");
    let pid: i32 = human.query_one("select pg_backend_pid()", &[]).await.expect("asks").get(0);
    assert_eq!((holders[0].pid, holders[0].application_name.as_str()), (pid, "psql"));
    human.batch_execute("rollback").await.expect("goes");
    store.attempt(&plan, &chunk, &[row(1, "a")]).await.expect("loads afterwards");
}
