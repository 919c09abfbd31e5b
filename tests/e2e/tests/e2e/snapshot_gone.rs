//! The snapshot goes in the middle of a run: every chunk loads again under a new one, or the table says why it cannot.
//!
//! The worker stops itself after its second chunk, so that what happens to the source happens between two chunks.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::{Process, Signal, wait};

const SOURCE: &str = "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(9), NAME varchar)";
const KEYED: &str = "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" text)";
const KEYLESS: &str = "create table t (\"ID\" bigint, \"WM\" timestamp, \"NAME\" text)";

/// As if the planner's lease had run out an hour ago.
const AGE_PLANNER: &str = "update migration_status.migration_runs \
     set planner_lease_until = planner_lease_until - interval '1 hour' where planner_lease_until is not null";

/// Six chunks of a hundred rows.
fn rows(from: u32, to: u32) -> String {
    let row = |id: u32| format!("({id}, '2024-01-01 00:00:00.{:09}', 'first')", id * 1_000);
    let rows: Vec<String> = (from..to).map(row).collect();
    format!("insert into TPCH.SF.T values {}", rows.join(", "))
}

fn entry(extra: Value) -> Value {
    let mut entry = json!({
        "enabled": true, "source": "T", "target": "t", "chunking_columns": ["ID"], "chunking_column_types": ["int"],
    });
    if let (Some(entry), Some(extra)) = (entry.as_object_mut(), extra.as_object()) {
        entry.extend(extra.clone());
    }
    entry
}

fn keyed() -> Value {
    entry(json!({ "uniqueness_columns": ["ID"], "source_watermark": "WM", "target_watermark": "WM" }))
}

fn setting(target: &str, entry: Value) -> Setting {
    Setting {
        source_sql: vec![SOURCE.into(), rows(0, 600)],
        target_sql: vec![target.into()],
        entries: vec![entry],
        ..Setting::default()
    }
    .batch(100)
}

/// A worker with one slot that stops itself after it has committed two chunks.
async fn stopped_after_two(stage: &Stage, name: &str) -> Result<Process> {
    let worker = stage.faulty_worker(name, "after_commit=stop@2")?.spawn()?;
    stage.await_status("two chunks", |status| status.chunks_completed == 2).await?;
    Ok(worker)
}

/// The rows of the source change, and the table is replaced by another of the same name.
async fn replace(stage: &Stage) -> Result<()> {
    let changes = [
        "update TPCH.SF.T set NAME = 'second' where ID in (1, 250, 599)",
        "insert into TPCH.SF.T values (600, '2024-01-02 00:00:00', 'new')",
    ];
    stage.emulator.sql_committed(&changes, 0.0).await?;
    stage.emulator.replace("TPCH", "SF", "T").await
}

/// (status, execution, error class, error text) of the newest row of the table.
async fn table(stage: &Stage) -> Result<(String, i32, Option<String>, Option<String>)> {
    let read = "select status, execution, error_class, error_text from migration_status.migration_table_status \
                where target_table = 't' order by table_id desc limit 1";
    let row = stage.client.query_one(read, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
}

/// Every chunk of the old execution is superseded; the accounting is that of the new one alone.
async fn expect_fresh_execution(stage: &Stage, rows: i64) -> Result<()> {
    let (state, execution, ..) = table(stage).await?;
    ensure!((state.as_str(), execution) == ("completed", 2), "{state}, execution {execution}");
    let read = "select count(*) filter (where c.execution = 1 and c.status <> 'superseded'), \
                       count(*) filter (where c.execution = 2 and c.status <> 'completed'), \
                       min(t.fetched_rows), min(t.expected_rows), min(v.fetched_rows)::bigint \
                from migration_status.migration_chunk_status c \
                join migration_status.migration_table_status t using (table_id) \
                join migration_status.v_table_progress v using (table_id)";
    let row = stage.client.query_one(read, &[]).await?;
    let found: Vec<i64> = (0..5).map(|column| row.get(column)).collect();
    ensure!(found == [0, 0, rows, rows, rows], "{found:?}");
    Ok(())
}

#[tokio::test]
async fn an_initial_full_load_goes_on_as_upsert_over_the_rows_that_are_there() -> Result<()> {
    let stage = Stage::set(setting(KEYED, keyed())).await?;
    let planner = stage.planner_run()?;
    let mut worker = stopped_after_two(&stage, "worker").await?;
    replace(&stage).await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await.with_context(|| stage.fleet.logs().unwrap_or_default())?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_fresh_execution(&stage, 601).await?;
    let mode: String = stage
        .client
        .query_one("select plan -> 'load' ->> 'mode' from migration_status.migration_table_status", &[])
        .await?
        .get(0);
    assert_eq!(mode, "upsert");
    Ok(())
}

#[tokio::test]
async fn a_history_that_has_expired_is_a_snapshot_that_is_gone() -> Result<()> {
    let stage = Stage::set(setting(KEYED, keyed())).await?;
    let planner = stage.planner_run()?;
    let mut worker = stopped_after_two(&stage, "worker").await?;
    let change = "update TPCH.SF.T set NAME = 'second' where ID in (1, 250, 599)";
    stage.emulator.sql_committed(&[change], 0.0).await?;
    // Two days, of which the table remembers one.
    stage.emulator.advance_clock(json!({ "advance_seconds": 172_800 })).await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_fresh_execution(&stage, 600).await
}

#[tokio::test]
async fn one_process_alone_plans_a_table_anew_too() -> Result<()> {
    let stage = Stage::set(setting(KEYED, keyed())).await?;
    let gone = json!({
        "match": { "kind": "submit", "sql_contains": "\"NAME\"", "after": 2, "times": 1 }, "action": "snapshot_gone",
    });
    stage.emulator.fault(gone).await?;
    let said = stage.fleet.planner("planner", &["run", "--local"])?.run(PATIENCE).await?;
    assert_eq!(said.code, 0, "{}", said.stderr);
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_fresh_execution(&stage, 600).await
}

#[tokio::test]
async fn rows_that_are_never_updated_are_not_doubled_by_a_fresh_execution() -> Result<()> {
    let entry = entry(json!({ "uniqueness_columns": ["ID"], "insert_only_mode": true }));
    let stage = Stage::set(setting(KEYED, entry)).await?;
    let planner = stage.planner_run()?;
    let mut worker = stopped_after_two(&stage, "worker").await?;
    stage
        .emulator
        .sql_committed(&["insert into TPCH.SF.T values (600, '2024-01-02 00:00:00', 'new')"], 0.0)
        .await?;
    stage.emulator.replace("TPCH", "SF", "T").await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_fresh_execution(&stage, 601).await
}

#[tokio::test]
async fn a_table_that_truncates_is_truncated_once_more() -> Result<()> {
    let mut setting = setting(KEYLESS, entry(json!({ "truncate_onstart": true, "disable_index": true })));
    setting
        .target_sql
        .push("create index t_name on t (\"NAME\"); insert into t values (9999, null, 'old')".into());
    let stage = Stage::set(setting).await?;
    let planner = stage.planner_run()?;
    let mut worker = stopped_after_two(&stage, "worker").await?;
    replace(&stage).await?;
    stage.emulator.sql_committed(&["delete from TPCH.SF.T where ID = 7"], 0.0).await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_index(&stage).await?;
    expect_fresh_execution(&stage, 600).await
}

async fn expect_index(stage: &Stage) -> Result<()> {
    wait::until("the index to be back", PATIENCE, async || {
        let found = stage.client.query_one("select count(*) from pg_indexes where indexname = 't_name'", &[]);
        Ok(found.await?.get::<_, i64>(0) == 1)
    })
    .await
}

#[tokio::test]
async fn a_replaced_tail_is_replaced_once_more_from_the_same_bound() -> Result<()> {
    let tail = entry(json!({ "source_watermark": "WM", "target_watermark": "WM" }));
    let mut setting = setting(KEYLESS, tail);
    // No finer than the target: nobody can have rounded what is there.
    setting.source_sql[0] = SOURCE.replace("timestamp_ntz(9)", "timestamp_ntz(6)");
    setting.source_sql.push("update TPCH.SF.T set WM = '2023-01-01 00:00:00' where ID < 50".into());
    // What an earlier load left: the rows below the bound, and one above it that the source no longer has.
    setting.target_sql.push(
        "insert into t select n, '2023-01-01', 'first' from generate_series(0, 49) n; \
         insert into t values (77, '2024-01-01', 'left behind')"
            .into(),
    );
    let stage = Stage::set(setting).await?;
    let planner = stage.planner_run()?;
    let mut worker = stopped_after_two(&stage, "worker").await?;
    replace(&stage).await?;
    // 1 is below the bound, where nothing is read again.
    stage.emulator.sql_committed(&["update TPCH.SF.T set NAME = 'first' where ID = 1"], 0.0).await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_fresh_execution(&stage, 551).await
}

#[tokio::test]
async fn rows_without_keys_that_would_be_doubled_fail_the_table_and_say_how_many_they_are() -> Result<()> {
    let append = entry(json!({ "append": true, "disable_index": true }));
    let mut setting = setting(KEYLESS, append);
    setting.target_sql.push("create index t_name on t (\"NAME\")".into());
    setting.target_sql.push("create table other (\"ID\" bigint primary key, \"NAME\" text)".into());
    setting.source_sql.push("create table TPCH.SF.OTHER (ID number(38,0), NAME varchar)".into());
    setting.source_sql.push("insert into TPCH.SF.OTHER values (1, 'a')".into());
    let other =
        json!({ "enabled": true, "source": "OTHER", "target": "other", "uniqueness_columns": ["ID"] });
    setting.entries.push(other);
    let stage = Stage::set(setting).await?;
    let mut planner = stage.planner_run()?;
    let mut worker = stopped_after_two(&stage, "worker").await?;
    replace(&stage).await?;
    worker.signal(Signal::CONT)?;
    assert_eq!(planner.wait(PATIENCE).await?, 2);
    assert_eq!(stage.status().await?.state, "partial");
    stage.expect_table_equal("TPCH.SF.OTHER", "other").await.context("the other table is not disturbed")?;
    expect_index(&stage).await?;
    let (state, _, class, text) = table(&stage).await?;
    let text = text.unwrap_or_default();
    ensure!((state.as_str(), class.as_deref()) == ("failed", Some("snapshot_gone")), "{state} {class:?}");
    let there: i64 = stage.client.query_one("select count(*) from t", &[]).await?.get(0);
    ensure!(there > 0 && text.contains(&format!("{there} rows")), "{there}: {text}");
    ensure!(text.contains("--full") && text.contains("truncate_onstart"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_run_without_a_planner_ends_failed_and_the_next_one_loads_everything() -> Result<()> {
    let stage = Stage::set(setting(KEYED, keyed())).await?;
    let detached = stage.fleet.planner("detached", &["run", "--detach"])?.run(PATIENCE).await?;
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    let mut worker = stopped_after_two(&stage, "worker").await?;
    replace(&stage).await?;
    worker.signal(Signal::CONT)?;
    stage.await_status("the end of the run", |status| status.state == "failed").await?;
    let (state, _, class, _) = table(&stage).await?;
    assert_eq!((state.as_str(), class.as_deref()), ("failed", Some("snapshot_gone")));
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_planner_that_leaves_plans_a_fresh_execution_first() -> Result<()> {
    let stage = Stage::set(setting(KEYED, keyed())).await?;
    let detached = stage.fleet.planner("detached", &["run", "--detach"])?.run(PATIENCE).await?;
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    let mut worker = stopped_after_two(&stage, "worker").await?;
    replace(&stage).await?;
    worker.signal(Signal::CONT)?;
    let first = stage.await_status("the end of the run", |status| status.state == "failed").await?.run;
    let again = stage.fleet.planner("again", &["run", "--detach"])?.run(PATIENCE).await?;
    assert_eq!(again.code, 0, "{}", again.stderr);
    let status = stage.await_status("the end of the run", |status| status.state == "completed").await?;
    assert_eq!(status.run, first);
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_planner_that_dies_over_the_fresh_plan_leaves_nothing_that_blocks_the_next_one() -> Result<()> {
    for point in ["before_fresh_plan=kill", "before_fresh_execution=kill", "after_fresh_execution=kill"] {
        let stage = Stage::set(setting(KEYED, keyed()).with("/worker/first_hint_seconds", 1.into())).await?;
        let launch = stage.fleet.planner("planner", &["run"])?.env("THAW_FAULT_POINTS", point);
        let mut planner = launch.spawn()?;
        let mut worker = stopped_after_two(&stage, "worker").await?;
        replace(&stage).await?;
        worker.signal(Signal::CONT)?;
        assert_eq!(planner.wait(PATIENCE).await?, 137, "{point}");
        stage.client.batch_execute(AGE_PLANNER).await?;
        // Whatever was left of the run ends by itself, or the next planner takes it up.
        let planner = stage.fleet.planner("planner-2", &["run"])?.spawn()?;
        stage.expect_completed(planner).await.context(point)?;
        stage.expect_table_equal("TPCH.SF.T", "t").await.context(point)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_worker_that_slept_through_the_fresh_execution_writes_nothing_when_it_wakes() -> Result<()> {
    for point in ["during_copy=stop@2", "before_commit=stop@2", "after_claim=stop@2"] {
        let stage = Stage::set(setting(KEYED, keyed())).await?;
        let planner = stage.planner_run()?;
        let mut sleeper = stage.faulty_worker("sleeper", point)?.spawn()?;
        stage
            .await_status("one chunk loaded and one held", |status| {
                status.chunks_completed == 1 && status.chunks_in_progress == 1
            })
            .await?;
        // Asleep for sure: nothing of it moves while the table changes under it.
        wait::until("the sleeper to be stopped", PATIENCE, async || {
            Ok(sleeper.stderr()?.contains("fault point reached"))
        })
        .await?;
        replace(&stage).await?;
        let _worker = stage.worker("worker")?;
        stage.expect_completed(planner).await.context(point)?;
        stage.expect_table_equal("TPCH.SF.T", "t").await.context(point)?;
        sleeper.signal(Signal::CONT)?;
        wait::until("the sleeper to notice", PATIENCE, async || {
            let log = sleeper.stderr()?;
            Ok(log.contains("attempt ended") || log.contains("attempt failed"))
        })
        .await
        .with_context(|| sleeper.stderr().unwrap_or_default())?;
        stage.expect_table_equal("TPCH.SF.T", "t").await.context(point)?;
        expect_fresh_execution(&stage, 601).await.context(point)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_is_lost_again_and_again_fails_the_table_with_a_reason() -> Result<()> {
    let stage = Stage::set(setting(KEYED, keyed())).await?;
    let rule = json!({ "match": { "kind": "submit", "sql_contains": "\"NAME\"", "after": 2, "times": 0 }, "action": "snapshot_gone" });
    stage.emulator.fault(rule).await?;
    let _worker = stage.worker("worker")?;
    let mut planner = stage.planner_run()?;
    assert_eq!(planner.wait(PATIENCE).await?, 2);
    let (state, _, class, text) = table(&stage).await?;
    assert_eq!((state.as_str(), class.as_deref()), ("failed", Some("snapshot_gone")));
    ensure!(text.as_deref().is_some_and(|text| text.contains("3 executions")), "{text:?}");
    Ok(())
}
