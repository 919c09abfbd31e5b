//! The kept result goes in the middle of a load, while a worker is frozen: what is there is dealt with as the table loads,
//! every chunk loads again from another statement, and the frozen worker writes nothing when it wakes.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::{EmulatorOptions, Fleet, Process, Signal, wait};

const SOURCE: &str = "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(6), NAME varchar)";
const KEYED: &str = "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" text)";
const KEYLESS: &str = "create table t (\"ID\" bigint, \"WM\" timestamp, \"NAME\" text)";
/// Of the statements that read the table's rows; aggregates name no column `NAME`.
const READING: &str = "\"NAME\"";

fn rows(from: u32, to: u32) -> String {
    let row = |id: u32| format!("({id}, '2024-01-01 00:00:00.{id:06}', 'first')");
    let rows: Vec<String> = (from..to).map(row).collect();
    format!("insert into TPCH.SF.T values {}", rows.join(", "))
}

fn entry(extra: Value) -> Value {
    let mut entry = json!({ "enabled": true, "source": "T", "target": "t", "strategy": "result_partitions" });
    if let (Some(entry), Some(extra)) = (entry.as_object_mut(), extra.as_object()) {
        entry.extend(extra.clone());
    }
    entry
}

/// 600 rows in partitions of some twenty, in some ten chunks.
fn setting(target: &str, extra: Value) -> Setting {
    let arguments = ["--partition-rows", "20"].map(str::to_owned).to_vec();
    Setting {
        source_sql: vec![SOURCE.into(), rows(0, 600)],
        target_sql: vec![target.into()],
        entries: vec![entry(extra)],
        emulator: EmulatorOptions { arguments, ..EmulatorOptions::default() },
        ..Setting::default()
    }
    .batch(60)
}

/// A worker with one slot that has loaded three chunks, some 30 percent, and stopped itself at `point` of the fourth.
async fn frozen_after_three(stage: &Stage, point: &str) -> Result<Process> {
    let sleeper = stage.faulty_worker("sleeper", &format!("{point}=stop@4"))?.spawn()?;
    stage
        .await_status("three chunks loaded and one held", |status| {
            status.chunks_completed == 3 && status.chunks_in_progress == 1
        })
        .await
        .with_context(|| stage.fleet.logs().unwrap_or_default())?;
    is_stopped(&sleeper).await?;
    Ok(sleeper)
}

/// Stopped for sure: nothing of it moves, and what wakes it is not sent too early.
async fn is_stopped(process: &Process) -> Result<()> {
    wait::until("the worker to be stopped", PATIENCE, async || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id()))?;
        Ok(status.lines().any(|line| line.starts_with("State:") && line.contains("T (stopped)")))
    })
    .await
}

/// The source goes on, and the result is gone.
async fn lose(stage: &Stage) -> Result<()> {
    let changes = [
        "update TPCH.SF.T set NAME = 'second' where ID in (1, 250, 599)",
        "insert into TPCH.SF.T values (600, '2024-01-02 00:00:00', 'new')",
    ];
    stage.emulator.sql_committed(&changes, 0.0).await?;
    let lost = stage.emulator.expire(READING).await?;
    ensure!(lost >= 1, "no result was kept");
    Ok(())
}

async fn expect_awake(sleeper: &mut Process) -> Result<()> {
    sleeper.signal(Signal::CONT)?;
    wait::until("the sleeper to notice", PATIENCE, async || {
        let log = sleeper.stderr()?;
        Ok(log.contains("attempt ended") || log.contains("attempt failed"))
    })
    .await
    .with_context(|| sleeper.stderr().unwrap_or_default())
}

/// (status, execution, error class, error text) of the table.
async fn table(stage: &Stage) -> Result<(String, i32, String, String)> {
    let read = "select status, execution, coalesce(error_class, ''), coalesce(error_text, '') \
                from migration_status.migration_table_status where target_table = 't' \
                order by table_id desc limit 1";
    let row = stage.client.query_one(read, &[]).await?;
    Ok((row.get(0), row.get(1), row.get(2), row.get(3)))
}

/// The chunks of the lost statement are superseded, and the accounting is that of the other one alone: nothing of the
/// two was mixed.
async fn expect_second_execution(stage: &Stage, rows: i64) -> Result<()> {
    let (state, execution, ..) = table(stage).await?;
    ensure!((state.as_str(), execution) == ("completed", 2), "{state}, execution {execution}");
    let read = "select count(*) filter (where c.execution = 1 and c.status <> 'superseded'), \
                       count(*) filter (where c.execution = 2 and c.status <> 'completed'), \
                       count(distinct c.range ->> 'handle') filter (where c.execution = 2), \
                       min(t.fetched_rows), min(t.expected_rows) \
                from migration_status.migration_chunk_status c \
                join migration_status.migration_table_status t using (table_id)";
    let row = stage.client.query_one(read, &[]).await?;
    let found: Vec<i64> = (0..5).map(|column| row.get(column)).collect();
    ensure!(found == [0, 0, 1, rows, rows], "{found:?}");
    let reading = reading(stage).await?;
    ensure!(reading.len() == 2, "{} statements read rows", reading.len());
    Ok(())
}

/// The statements that read the table's rows.
async fn reading(stage: &Stage) -> Result<Vec<Value>> {
    let mut reading = stage.emulator.statements(READING).await?;
    reading.retain(|entry| {
        entry["scanned"] == true && !entry["sql"].as_str().is_some_and(|sql| sql.ends_with(" limit 0"))
    });
    Ok(reading)
}

/// The result is lost while a worker is frozen at `point`; others finish the table, then it wakes.
async fn lost_over_a_sleeper(setting: Setting, point: &str, rows: i64) -> Result<Stage> {
    let stage = Stage::set(setting).await?;
    let planner = stage.planner_run()?;
    let mut sleeper = frozen_after_three(&stage, point).await?;
    lose(&stage).await?;
    let _workers = [stage.worker("worker-1")?, stage.worker("worker-2")?];
    stage.expect_completed(planner).await.with_context(|| stage.fleet.logs().unwrap_or_default())?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_second_execution(&stage, rows).await?;
    expect_awake(&mut sleeper).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await.context("after the sleeper woke")?;
    expect_second_execution(&stage, rows).await.context("after the sleeper woke")?;
    Ok(stage)
}

#[tokio::test]
async fn with_a_key_the_rows_that_are_there_are_matched_by_it() -> Result<()> {
    for point in ["during_copy", "before_commit", "after_claim"] {
        let extra = json!({ "uniqueness_columns": ["ID"] });
        lost_over_a_sleeper(setting(KEYED, extra), point, 601).await.context(point)?;
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_are_never_updated_are_loaded_once() -> Result<()> {
    let extra = json!({ "uniqueness_columns": ["ID"], "insert_only_mode": true });
    let stage = Stage::set(setting(KEYED, extra)).await?;
    let planner = stage.planner_run()?;
    let mut sleeper = frozen_after_three(&stage, "during_copy").await?;
    // No update: rows that are there stay as they are.
    stage
        .emulator
        .sql_committed(&["insert into TPCH.SF.T values (600, '2024-01-02 00:00:00', 'new')"], 0.0)
        .await?;
    ensure!(stage.emulator.expire(READING).await? >= 1);
    let _worker = stage.worker("worker")?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_awake(&mut sleeper).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_second_execution(&stage, 601).await
}

#[tokio::test]
async fn a_table_that_truncates_is_truncated_once_more() -> Result<()> {
    for point in ["during_copy", "before_commit"] {
        let mut setting = setting(KEYLESS, json!({ "truncate_onstart": true }));
        setting.target_sql.push("insert into t values (9999, null, 'old')".into());
        lost_over_a_sleeper(setting, point, 601).await.context(point)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_replaced_tail_is_replaced_once_more_from_the_same_bound() -> Result<()> {
    let mut setting = setting(KEYLESS, json!({ "source_watermark": "WM", "target_watermark": "WM" }));
    setting
        .source_sql
        .push("update TPCH.SF.T set WM = '2023-01-01 00:00:00' where ID >= 2 and ID < 50".into());
    // What an earlier load left: the rows below the bound, and one above it that the source no longer has.
    setting.target_sql.push(
        "insert into t select n, '2023-01-01', 'first' from generate_series(2, 49) n; \
         insert into t values (77, '2024-01-01', 'left behind')"
            .into(),
    );
    lost_over_a_sleeper(setting, "during_copy", 553).await.map(drop)
}

#[tokio::test]
async fn rows_without_a_key_that_would_be_doubled_fail_the_table_and_say_how_to_load_it() -> Result<()> {
    let stage = Stage::set(setting(KEYLESS, json!({ "append": true }))).await?;
    let mut planner = stage.planner_run()?;
    let mut sleeper = frozen_after_three(&stage, "during_copy").await?;
    lose(&stage).await?;
    let _worker = stage.worker("worker")?;
    assert_eq!(planner.wait(PATIENCE).await?, 2, "{}", planner.stderr()?);
    let there = count(&stage).await?;
    let (state, _, class, text) = table(&stage).await?;
    ensure!((state.as_str(), class.as_str()) == ("failed", "snapshot_gone"), "{state} {class}");
    ensure!(there > 0 && text.contains(&format!("{there} rows")), "{there}: {text}");
    ensure!(text.contains("--full") && text.contains("truncate_onstart"), "{text}");
    expect_awake(&mut sleeper).await?;
    ensure!(count(&stage).await? == there, "the sleeper has added rows");
    ensure!(reading(&stage).await?.len() == 1, "the table is not read again in vain");
    let report = planner.stdout()?;
    ensure!(!report.contains("planner retry") && !report.contains("--no-resume"), "{report}");
    // Nor by a run that knows nothing of this one.
    let anew = stage.fleet.planner("anew", &["run", "--no-resume"])?.run(PATIENCE).await?;
    let told = format!("has left {there} rows in the target, which another load would double");
    ensure!(anew.code == 2 && anew.stdout.contains(&told), "{} {}", anew.code, anew.stdout);
    ensure!(count(&stage).await? == there, "rows were doubled");
    stage.client.batch_execute("truncate t").await?;
    let cleared = stage.fleet.planner("cleared", &["run", "--no-resume"])?.run(PATIENCE).await?;
    ensure!(cleared.code == 0, "{}", cleared.stdout);
    // Its snapshot may lie before the last change.
    ensure!((600..=601).contains(&count(&stage).await?), "{}", cleared.stdout);
    Ok(())
}

async fn count(stage: &Stage) -> Result<i64> {
    Ok(stage.client.query_one("select count(*) from t", &[]).await?.get(0))
}

#[tokio::test]
async fn nobody_but_workers_is_needed_for_another_statement() -> Result<()> {
    let extra = json!({ "uniqueness_columns": ["ID"] });
    let stage = Stage::set(setting(KEYED, extra)).await?;
    let detached = stage.fleet.planner("detached", &["run", "--detach"])?.run(PATIENCE).await?;
    ensure!(detached.code == 0, "{}", detached.stderr);
    let mut sleeper = frozen_after_three(&stage, "during_copy").await?;
    lose(&stage).await?;
    let _worker = stage.worker("worker")?;
    stage.await_completed().await?;
    expect_awake(&mut sleeper).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    expect_second_execution(&stage, 601).await
}

#[tokio::test]
async fn a_day_is_measured_from_the_end_of_the_statement() -> Result<()> {
    for (seconds, statements) in [(86_000, 1), (86_700, 2)] {
        let stage = Stage::set(setting(KEYED, json!({ "uniqueness_columns": ["ID"] }))).await?;
        let planner = stage.planner_run()?;
        let mut worker = stage.faulty_worker("worker", "after_commit=stop@3")?.spawn()?;
        stage.await_status("three chunks", |status| status.chunks_completed == 3).await?;
        is_stopped(&worker).await?;
        stage.emulator.advance_clock(json!({ "advance_seconds": seconds })).await?;
        worker.signal(Signal::CONT)?;
        stage.expect_completed(planner).await?;
        stage.expect_table_equal("TPCH.SF.T", "t").await?;
        ensure!(reading(&stage).await?.len() == statements, "after {seconds} seconds");
    }
    Ok(())
}

#[tokio::test]
async fn a_result_that_is_lost_before_it_is_cut_costs_a_statement_and_no_row() -> Result<()> {
    let stage = Stage::set(setting(KEYED, json!({ "uniqueness_columns": ["ID"] }))).await?;
    let lost = json!({
        "match": { "kind": "poll", "sql_contains": READING, "times": 1 }, "action": "expired_handle",
    });
    stage.emulator.fault(lost).await?;
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    ensure!(reading(&stage).await?.len() == 2);
    Ok(())
}

#[tokio::test]
async fn a_worker_of_another_user_loses_no_row_and_says_what_is_wrong() -> Result<()> {
    let mut setting = setting(KEYED, json!({ "uniqueness_columns": ["ID"] }));
    setting.emulator.arguments.extend(["--token", "pat:STRANGER=its-secret"].map(str::to_owned));
    let stage = Stage::set(setting).await?;
    let folder = tempfile::tempdir_in(stage.folder())?;
    let stranger = stage
        .builder
        .clone()
        .set("/snowflake/user", json!("STRANGER"))
        .set("/snowflake/auth", json!("pat"))
        .set("/snowflake/token", json!("its-secret"));
    let worker = Fleet::new(folder.path(), &stranger)?.worker("stranger", 2)?.spawn()?;
    let mut planner = stage.planner_run()?;
    let code = planner.wait(PATIENCE).await?;
    let (state, _, _, text) = table(&stage).await?;
    // The next statement may be the stranger's own, which it can read.
    match (code, state.as_str()) {
        (0, "completed") => stage.expect_table_equal("TPCH.SF.T", "t").await?,
        (2, "failed") => ensure!(text.contains("user"), "nothing says what to look at: {text}"),
        other => bail!("{other:?}: {text}"),
    }
    ensure!(worker.stderr()?.contains("another user's"), "{}", worker.stderr()?);
    let statements = reading(&stage).await?.len();
    ensure!((2..=3).contains(&statements), "{statements} statements read rows");
    Ok(())
}

#[tokio::test]
async fn a_result_that_is_lost_again_and_again_fails_the_table_with_a_reason() -> Result<()> {
    let stage = Stage::set(setting(KEYED, json!({ "uniqueness_columns": ["ID"] }))).await?;
    let lost = json!({
        "match": { "kind": "partition", "sql_contains": READING, "times": 0 }, "action": "expired_handle",
    });
    stage.emulator.fault(lost).await?;
    let _worker = stage.worker("worker")?;
    let mut planner = stage.planner_run()?;
    assert_eq!(planner.wait(PATIENCE).await?, 2, "{}", planner.stderr()?);
    let (state, _, class, text) = table(&stage).await?;
    ensure!((state.as_str(), class.as_str()) == ("failed", "snapshot_gone"), "{state} {class}");
    ensure!(text.contains("3 executions") && text.contains("snowflake.user"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_table_whose_second_statement_ended_with_its_run_is_read_by_a_third() -> Result<()> {
    let stage = Stage::set(setting(KEYED, json!({ "uniqueness_columns": ["ID"] }))).await?;
    let mut planner = stage.planner_run()?;
    let mut worker = stage.faulty_worker("worker", "after_commit=stop@3")?.spawn()?;
    stage.await_status("three chunks", |status| status.chunks_completed == 3).await?;
    is_stopped(&worker).await?;
    lose(&stage).await?;
    let held = json!({
        "match": { "kind": "submit", "sql_contains": READING, "times": 1 }, "action": { "takes_virtual_seconds": 600 },
    });
    stage.emulator.fault(held).await?;
    worker.signal(Signal::CONT)?;
    wait::until("the second statement to run", PATIENCE, async || {
        let sql = "select exists (select from migration_status.migration_executions \
                                  where execution = 2 and status = 'running')";
        Ok(stage.client.query_one(sql, &[]).await?.get::<_, bool>(0))
    })
    .await?;
    let run = stage.status().await?.run;
    let cancelled = stage.fleet.planner("cancel", &["cancel", &run])?.run(PATIENCE).await?;
    ensure!(cancelled.code == 0, "{}", cancelled.stderr);
    ensure!(planner.wait(PATIENCE).await? == 2, "{}", planner.stderr()?);
    let retried = stage.fleet.planner("retry", &["retry", &run])?.run(PATIENCE).await?;
    ensure!(retried.code == 0, "{}", retried.stderr);
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    let (state, execution, ..) = table(&stage).await?;
    ensure!((state.as_str(), execution) == ("completed", 3), "{state}, execution {execution}");
    Ok(())
}
