//! One scan a table: one statement, whose partitions are the chunks.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage, scale};
use thaw_harness::EmulatorOptions;
use thaw_harness::tpch::ORDERS;

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
