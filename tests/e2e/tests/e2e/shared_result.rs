//! One result and many who read it: each partition is fetched once, a death costs its chunk's partitions, and whatever
//! happens to a fetch costs neither a row nor a double.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{EmulatorOptions, port, wait};

const READING: &str = "\"O_COMMENT\"";

/// Orders without a key in chunks of a thousand rows, each of some three partitions.
fn orders(rows: u64) -> Setting {
    let arguments = ["--partition-rows", "400"].map(str::to_owned).to_vec();
    Setting {
        emulator: EmulatorOptions { arguments, ..EmulatorOptions::default() },
        entries: vec![
            json!({ "enabled": true, "source": "ORDERS", "target": "orders", "strategy": "result_partitions" }),
        ],
        ..Setting::of(ORDERS, rows, 1_000)
    }
}

/// On a busy machine a lease of 4 seconds lapses, and what is tried again is fetched again.
fn with_long_leases(setting: Setting) -> Setting {
    setting.with("/worker/lease_seconds", json!(60)).with("/worker/heartbeat_seconds", json!(5))
}

/// The statement that reads the rows, which is one.
async fn reading(stage: &Stage) -> Result<Value> {
    let mut reading = stage.emulator.statements(READING).await?;
    reading.retain(|entry| {
        entry["scanned"] == true && !entry["sql"].as_str().is_some_and(|sql| sql.ends_with(" limit 0"))
    });
    ensure!(reading.len() == 1, "{} statements read rows", reading.len());
    reading.pop().context("no statement")
}

/// How often each partition was fetched.
fn fetches(statement: &Value) -> Result<BTreeMap<u64, u64>> {
    let fetches = statement["fetches"].as_object().context("no fetches")?;
    fetches.iter().map(|(number, times)| Ok((number.parse()?, times.as_u64().context("no count")?))).collect()
}

#[tokio::test]
async fn eight_workers_fetch_each_partition_once() -> Result<()> {
    let stage = Stage::set(with_long_leases(orders(40_000))).await?;
    let workers =
        (1..=8).map(|number| stage.worker(&format!("worker-{number}"))).collect::<Result<Vec<_>>>()?;
    for worker in &workers {
        wait::until("the workers to be there", PATIENCE, async || {
            Ok(worker.stderr()?.contains("worker started"))
        })
        .await?;
    }
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await.with_context(|| stage.fleet.logs().unwrap_or_default())?;
    stage.expect_equal().await?;
    let statement = reading(&stage).await?;
    let mut fetches = fetches(&statement)?;
    // The inline first one travels with every look at the statement.
    fetches.remove(&0);
    let partitions = statement["partitions"].as_u64().context("no count")?;
    ensure!(fetches.len() as u64 == partitions - 1, "{} of {partitions}", fetches.len());
    ensure!(fetches.values().all(|times| *times == 1), "{fetches:?}");
    let read = "select count(distinct worker_id) from migration_status.migration_chunk_status";
    let workers: i64 = stage.client.query_one(read, &[]).await?.get(0);
    ensure!(workers >= 6, "{workers} workers took part");
    Ok(())
}

#[tokio::test]
async fn a_killed_worker_costs_the_partitions_of_its_chunk_and_no_others() -> Result<()> {
    let stage = Stage::set(orders(20_000)).await?;
    let mut faulty = stage.faulty_worker("faulty", "during_copy=kill@3")?.spawn()?;
    let planner = stage.planner_run()?;
    assert_eq!(faulty.wait(PATIENCE).await?, 137);
    let _worker = stage.worker("worker")?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    let fetches = fetches(&reading(&stage).await?)?;
    let read = "select (range ->> 'first')::bigint, jsonb_array_length(range -> 'rows')::bigint \
                from migration_status.migration_chunk_status where fence > 1";
    let again = stage.client.query(read, &[]).await?;
    ensure!(again.len() == 1, "{} chunks were tried twice", again.len());
    let (first, count): (i64, i64) = (again[0].get(0), again[0].get(1));
    let mine = u64::try_from(first)?..u64::try_from(first + count)?;
    for (number, times) in fetches.iter().filter(|(number, _)| **number > 0) {
        let most = if mine.contains(number) { 2 } else { 1 };
        ensure!(*times <= most, "partition {number} was fetched {times} times; the chunk has {mine:?}");
    }
    Ok(())
}

#[tokio::test]
async fn whatever_happens_to_a_fetch_costs_no_row() -> Result<()> {
    let actions = [
        json!({"status": 429}),
        json!({"status": 429, "retry_after": 1}),
        json!({"status": 503, "html": true}),
        json!({"hang_seconds": 2}),
        json!("cut_connection"),
        json!({"cut_after_bytes": 500}),
        json!("truncated_gzip"),
        json!("corrupt_gzip"),
        json!("wrong_row_count"),
        json!("lose_response"),
        json!("expired_token"),
    ];
    let stage = Stage::set(orders(10_000).with("/max_retry_attempts", json!(20))).await?;
    for (position, action) in actions.into_iter().enumerate() {
        let rule = json!({
            "match": { "kind": "partition", "sql_contains": READING, "after": position * 2, "times": 2 },
            "action": action,
        });
        stage.emulator.fault(rule).await?;
    }
    let _workers = [stage.worker("worker-1")?, stage.worker("worker-2")?];
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await.with_context(|| stage.fleet.logs().unwrap_or_default())?;
    stage.expect_equal().await?;
    reading(&stage).await?;
    let struck = stage.emulator.faults().await?;
    let struck = struck.as_array().context("no rules")?.iter().map(|rule| &rule["struck"]);
    ensure!(struck.clone().all(|times| *times == 2), "{:?}", struck.collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn twenty_thousand_partitions_are_chunks_within_two_seconds_of_the_statements_end() -> Result<()> {
    let stage = Stage::set(orders(40_000)).await?;
    stage.emulator.limits(json!({ "partition_rows": 2 })).await?;
    let mut planner = stage.planner_run()?;
    let chunks = "select count(*), (extract(epoch from clock_timestamp()) * 1000)::float8, \
                         coalesce(sum(jsonb_array_length(range -> 'rows')), 0)::bigint \
                  from migration_status.migration_chunk_status";
    let row = wait::until_some("the chunks", PATIENCE, async || {
        // No planner has made the tables yet.
        let Ok(row) = stage.client.query_one(chunks, &[]).await else { return Ok(None) };
        Ok((row.get::<_, i64>(0) > 0).then_some(row))
    })
    .await?;
    let partitions: i64 = row.get(2);
    ensure!(partitions >= 20_000, "{partitions} partitions");
    let statement = reading(&stage).await?;
    let ended =
        statement["created_ms"].as_f64().unwrap_or(0.0) + statement["elapsed_ms"].as_f64().unwrap_or(0.0);
    let seconds = (row.get::<_, f64>(1) - ended) / 1000.0;
    let peak = planner.peak_memory()?;
    println!(
        "{partitions} partitions: planned {seconds:.2} s after the end, planner's VmHWM {} MB",
        peak >> 20
    );
    // Two seconds are the product's; a debug build on a busy machine may take twice that.
    ensure!(seconds < 4.0, "planned {seconds} s after the end of the statement");
    ensure!(peak <= 128 << 20, "VmHWM was {} MB", peak >> 20);
    planner.terminate(PATIENCE).await.map(drop)
}

#[tokio::test]
async fn an_account_that_gives_few_partitions_a_second_is_read_in_its_own_time() -> Result<()> {
    let stage = Stage::set(with_long_leases(orders(10_000))).await?;
    stage.emulator.limits(json!({ "partitions_per_second": 3 })).await?;
    let address = format!("127.0.0.1:{}", port::free());
    let _worker = stage.fleet.worker("worker", 2)?.args(["--listen", &address]).spawn()?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await.with_context(|| stage.fleet.logs().unwrap_or_default())?;
    stage.expect_equal().await?;
    let metrics = reqwest::get(format!("http://{address}/metrics")).await?.text().await?;
    let metric = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<f64>().ok()).with_context(|| format!("no {name} in {metrics}"))
    };
    ensure!(
        metric("thaw_source_throttled_total")? > 0.0,
        "the worker was never asked for patience: {metrics}"
    );
    let limit = metric("thaw_source_request_limit")?;
    ensure!((1.0..32.0).contains(&limit), "the limit stayed at {limit}");
    reading(&stage).await?;
    let limits = stage.emulator.limits_in_force().await?;
    ensure!(limits["refused"].as_u64() > Some(0), "nothing was refused, so this shows nothing: {limits}");
    let failures = "select coalesce(sum(failures), 0)::bigint from migration_status.migration_chunk_status";
    let failures: i64 = stage.client.query_one(failures, &[]).await?.get(0);
    ensure!(failures == 0, "patience is no failure of a chunk: {failures}");
    Ok(())
}

#[tokio::test]
async fn a_result_that_is_too_large_fails_its_table_with_a_way_out() -> Result<()> {
    let stage = Stage::set(orders(3_000)).await?;
    stage.emulator.limits(json!({ "result_rows": 2_000 })).await?;
    let mut planner = stage.planner_run()?;
    ensure!(planner.wait(PATIENCE).await? == 2, "{}", planner.stderr()?);
    let read = "select error_text from migration_status.migration_table_status";
    let text: String = stage.client.query_one(read, &[]).await?.get(0);
    ensure!(text.contains("391908") && text.contains("chunking_columns"), "{text}");
    reading(&stage).await.map(drop)
}
