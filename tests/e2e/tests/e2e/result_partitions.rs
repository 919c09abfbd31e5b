//! One scan a table: one statement, whose partitions are the chunks.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage, scale};
use thaw_harness::tpch::{CUSTOMER, ORDERS};
use thaw_harness::{EmulatorOptions, Signal, wait};

/// Orders without a key and without a column to cut by, in chunks of a thousand rows.
fn keyless(rows: u64, strategy: &str) -> Setting {
    let arguments = ["--partition-rows", "400"].map(str::to_owned).to_vec();
    Setting {
        emulator: EmulatorOptions { arguments, ..EmulatorOptions::default() },
        entries: vec![
            json!({ "enabled": true, "source": "ORDERS", "target": "orders", "strategy": strategy }),
        ],
        ..Setting::of(ORDERS, rows, 1_000)
    }
}

/// Statements that read rows of the table, of those that scan it.
async fn reading(stage: &Stage) -> Result<(Vec<Value>, usize)> {
    let (_, scans) = scale::statements(stage).await?;
    let mut reading = stage.emulator.statements("\"O_COMMENT\"").await?;
    reading.retain(|entry| {
        entry["scanned"] == true && !entry["sql"].as_str().is_some_and(|sql| sql.ends_with(" limit 0"))
    });
    Ok((reading, scans))
}

/// Requests under which the statement was sent, and its rows in `migration_executions`.
async fn executions(stage: &Stage) -> Result<Vec<(i32, String, i32)>> {
    let read = "select execution, status, submits from migration_status.migration_executions order by table_id, execution";
    let rows = stage.client.query(read, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

#[tokio::test]
async fn a_table_without_a_key_is_read_by_one_statement_where_pages_need_sixty() -> Result<()> {
    let mut seconds = Vec::new();
    for (strategy, expected) in [("auto", 1), ("offset_based", 60)] {
        let stage = Stage::set(keyless(60_000, strategy)).await?;
        let _workers = [stage.worker("worker-1")?, stage.worker("worker-2")?];
        let planner = stage.planner_run()?;
        stage.expect_completed(planner).await.with_context(|| stage.fleet.logs().unwrap_or_default())?;
        stage.expect_equal().await?;
        let (statements, scans) = reading(&stage).await?;
        ensure!(statements.len() == expected, "{strategy}: {} statements read rows", statements.len());
        ensure!(scans <= expected + 1, "{strategy}: {scans} statements scan the table");
        seconds
            .push(statements.iter().filter_map(|entry| entry["elapsed_ms"].as_f64()).sum::<f64>() / 1000.0);
        if strategy == "auto" {
            ensure!(executions(&stage).await? == [(1, "finished".to_owned(), 1)]);
            let sql = "select count(*), count(distinct worker_id), max(expected_rows), min(strategy), \
                       bool_and(counted_exactly) from migration_status.migration_chunk_status";
            let row = stage.client.query_one(sql, &[]).await?;
            let (chunks, most): (i64, i64) = (row.get(0), row.get(2));
            ensure!(chunks >= 60 && most <= 1_000, "{chunks} chunks, the largest of {most} rows");
            ensure!(row.get::<_, i64>(1) == 2, "the workers share the result");
            ensure!(row.get::<_, String>(3) == "result_partitions" && row.get::<_, bool>(4));
        }
    }
    println!("source seconds: one scan {:.2}, pages {:.2}", seconds[0], seconds[1]);
    Ok(())
}

#[tokio::test]
async fn one_process_alone_reads_a_table_by_one_statement_too() -> Result<()> {
    let stage = Stage::set(keyless(3_000, "result_partitions")).await?;
    let said = stage.fleet.planner("planner", &["run", "--local"])?.run(PATIENCE).await?;
    ensure!(said.code == 0, "{}", said.stderr);
    stage.expect_equal().await?;
    ensure!(reading(&stage).await?.0.len() == 1);
    Ok(())
}

#[tokio::test]
async fn a_planner_that_leaves_has_sent_the_statement_and_the_workers_cut_its_result() -> Result<()> {
    let stage = Stage::set(keyless(3_000, "auto")).await?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    ensure!(detached.code == 0, "{}", detached.stderr);
    ensure!(executions(&stage).await?.iter().all(|(_, _, submits)| *submits == 1));
    let _worker = stage.worker("worker")?;
    stage.await_completed().await?;
    stage.expect_equal().await?;
    ensure!(reading(&stage).await?.0.len() == 1);
    Ok(())
}

/// As if the planner's lease had run out an hour ago.
const AGE_PLANNER: &str = "update migration_status.migration_runs \
     set planner_lease_until = planner_lease_until - interval '1 hour' where planner_lease_until is not null";

/// Until the only execution is in this state.
async fn await_execution(stage: &Stage, state: &str) -> Result<()> {
    wait::until(&format!("a statement that is {state}"), PATIENCE, async || {
        let sql = "select count(*) from migration_status.migration_executions where status = $1";
        // Before the planner has made the tables there is no such relation.
        Ok(stage.client.query_one(sql, &[&state]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1))
    })
    .await
}

/// One statement has read the rows, whoever sent it how often.
async fn expect_one_statement(stage: &Stage) -> Result<Value> {
    let (mut statements, _) = reading(stage).await?;
    ensure!(statements.len() == 1, "{} statements read rows: {statements:?}", statements.len());
    Ok(statements.remove(0))
}

#[tokio::test]
async fn a_planner_killed_around_the_submit_leaves_a_statement_that_runs_once() -> Result<()> {
    for (point, submits, is_again) in [
        ("after_scan_store", 1, false),
        ("before_submit", 2, true),
        ("after_submit", 2, true),
        ("after_handle", 1, false),
    ] {
        let stage = Stage::set(keyless(3_000, "auto")).await?;
        let mut planner = stage
            .fleet
            .planner("planner", &["run"])?
            .env("THAW_FAULT_POINTS", format!("{point}=kill"))
            .spawn()?;
        ensure!(planner.wait(PATIENCE).await? == 137, "{point}");
        let worker = stage.worker("worker")?;
        stage.await_completed().await.with_context(|| point.to_owned())?;
        stage.expect_equal().await?;
        let statement = expect_one_statement(&stage).await.with_context(|| point.to_owned())?;
        ensure!(executions(&stage).await? == [(1, "finished".to_owned(), submits)], "{point}");
        ensure!(statement["resubmitted"] == (point == "after_submit"), "{point}: {statement}");
        let said = worker.stderr()?.contains("submitted again under the same request id");
        ensure!(said == is_again, "{point}: {}", worker.stderr()?);
    }
    Ok(())
}

#[tokio::test]
async fn a_planner_killed_while_it_waits_or_cuts_is_replaced_by_a_worker() -> Result<()> {
    for point in ["", "before_cut", "after_cut"] {
        let stage = Stage::set(keyless(3_000, "auto")).await?;
        if point.is_empty() {
            let slow = json!({ "match": { "kind": "submit", "sql_contains": "\"O_COMMENT\"" }, "action": { "takes_seconds": 4.0 } });
            stage.emulator.fault(slow).await?;
        }
        let planner = stage.fleet.planner("planner", &["run"])?;
        let mut planner = planner.env("THAW_FAULT_POINTS", format!("{point}=kill")).spawn()?;
        if point.is_empty() {
            await_execution(&stage, "running").await?;
            planner.signal(Signal::KILL)?;
        }
        ensure!(planner.wait(PATIENCE).await? == 137, "{point}");
        let _worker = stage.worker("worker")?;
        stage.await_completed().await.with_context(|| point.to_owned())?;
        stage.expect_equal().await?;
        expect_one_statement(&stage).await.with_context(|| point.to_owned())?;
        ensure!(executions(&stage).await? == [(1, "finished".to_owned(), 1)], "{point}");
    }
    Ok(())
}

#[tokio::test]
async fn the_next_planner_goes_on_with_the_statement_of_a_dead_one() -> Result<()> {
    let stage = Stage::set(keyless(3_000, "auto")).await?;
    let planner = stage.fleet.planner("planner", &["run"])?.env("THAW_FAULT_POINTS", "after_submit=kill");
    ensure!(planner.spawn()?.wait(PATIENCE).await? == 137);
    let first = stage.status().await?.run;
    stage.client.batch_execute(AGE_PLANNER).await?;
    let second = stage.fleet.planner("planner-2", &["run", "--local"])?.run(PATIENCE).await?;
    ensure!(second.code == 0, "{}", second.stderr);
    ensure!(stage.status().await?.run == first, "it is the same run");
    stage.expect_equal().await?;
    expect_one_statement(&stage).await?;
    Ok(())
}

#[tokio::test]
async fn a_long_statement_holds_no_slot_and_the_other_tables_go_on() -> Result<()> {
    let mut setting = keyless(3_000, "auto");
    setting.tables.push((CUSTOMER, 2_000));
    let stage = Stage::set(setting).await?;
    let held = json!({
        "match": { "kind": "submit", "sql_contains": "\"O_COMMENT\"" }, "action": { "takes_virtual_seconds": 600 },
    });
    stage.emulator.fault(held).await?;
    let planner = stage.planner_run()?;
    // One slot, and a table that waits for its statement.
    let _worker = stage.fleet.worker("worker", 1)?.spawn()?;
    wait::until("the other table to be loaded", PATIENCE, async || {
        let sql = "select count(*) filter (where target_table = 'customer' and status = 'completed'), \
                   count(*) filter (where target_table = 'orders' and status = 'planning') \
                   from migration_status.migration_table_status";
        let row = stage.client.query_one(sql, &[]).await;
        Ok(row.is_ok_and(|row| row.get::<_, i64>(0) == 1 && row.get::<_, i64>(1) == 1))
    })
    .await?;
    stage.emulator.advance_clock(json!({ "advance_seconds": 601 })).await?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    expect_one_statement(&stage).await?;
    Ok(())
}

#[tokio::test]
async fn a_cancelled_run_cancels_its_statement() -> Result<()> {
    let stage = Stage::set(keyless(3_000, "auto")).await?;
    let held = json!({
        "match": { "kind": "submit", "sql_contains": "\"O_COMMENT\"" }, "action": { "takes_virtual_seconds": 600 },
    });
    stage.emulator.fault(held).await?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    ensure!(detached.code == 0, "{}", detached.stderr);
    let run = stage.status().await?.run;
    let cancelled = stage.fleet.planner("cancel", &["cancel", &run])?.run(PATIENCE).await?;
    ensure!(cancelled.code == 0, "{}", cancelled.stderr);
    ensure!(
        cancelled.stdout.contains("1 statement(s) that were waited for are cancelled"),
        "{}",
        cancelled.stdout
    );
    await_execution(&stage, "ended").await?;
    let log = stage.emulator.statements("\"O_COMMENT\"").await?;
    let ended = log.iter().filter(|entry| entry["code"] == "000604").count();
    ensure!(ended == 1, "the statement was cancelled: {log:?}");
    let _worker = stage.worker("worker")?;
    // What was cancelled is planned anew by the run's id.
    let retried = stage.fleet.planner("retry", &["retry", &run])?.run(PATIENCE).await?;
    ensure!(retried.code == 0, "{}", retried.stderr);
    stage.expect_equal().await?;
    ensure!(executions(&stage).await?.iter().map(|(number, ..)| *number).collect::<Vec<_>>() == [1, 2]);
    Ok(())
}

#[tokio::test]
async fn a_killed_worker_costs_its_own_chunks_partitions_once_more() -> Result<()> {
    let stage = Stage::set(keyless(12_000, "auto")).await?;
    let planner = stage.planner_run()?;
    let mut doomed = stage.faulty_worker("doomed", "during_fetch=kill@3")?.spawn()?;
    ensure!(doomed.wait(PATIENCE).await? == 137);
    let _worker = stage.worker("worker")?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    let statement = expect_one_statement(&stage).await?;
    let fetches = statement["fetches"].as_object().context("fetches")?;
    let mut again = 0;
    for (partition, times) in fetches.iter().filter(|(partition, _)| *partition != "0") {
        let times = times.as_u64().unwrap_or(0);
        ensure!((1..=2).contains(&times), "partition {partition} was fetched {times} times");
        again += times - 1;
    }
    // A chunk of a thousand rows has five partitions at most; the next one's first may be on its way.
    ensure!((1..=6).contains(&again), "{again} partitions were fetched again: {fetches:?}");
    Ok(())
}

#[tokio::test]
async fn a_lost_result_is_read_again_as_a_whole_without_a_planner() -> Result<()> {
    let mut setting = keyless(6_000, "auto");
    setting.entries[0]["truncate_onstart"] = true.into();
    let stage = Stage::set(setting).await?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    ensure!(detached.code == 0, "{}", detached.stderr);
    let mut worker = stage.faulty_worker("worker", "during_copy=stop@3")?.spawn()?;
    stage.await_status("two chunks", |status| status.chunks_completed == 2).await?;
    ensure!(stage.emulator.expire("\"O_COMMENT\"").await? >= 1);
    let _other = stage.worker("other")?;
    stage.await_completed().await?;
    worker.signal(Signal::CONT)?;
    stage.expect_equal().await?;
    let states = executions(&stage).await?;
    ensure!(states == [(1, "ended".to_owned(), 1), (2, "finished".to_owned(), 1)], "{states:?}");
    Ok(())
}
