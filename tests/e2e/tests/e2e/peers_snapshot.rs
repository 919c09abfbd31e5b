//! What users of other tools lost because two statements saw two states; the numbers are those of the collection.

use anyhow::{Result, ensure};
use serde_json::json;
use thaw_e2e::{Setting, Stage};
use thaw_harness::Signal;

const SOURCE: &str = "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(9), NAME varchar)";
const TARGET: &str = "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" text)";

fn setting() -> Setting {
    let row = |id: u32| format!("({id}, '2024-01-01 00:00:00', 'first')");
    let rows: Vec<String> = (0..400).map(row).collect();
    let entry = json!({
        "enabled": true, "source": "T", "target": "t", "chunking_columns": ["ID"], "chunking_column_types": ["int"],
        "uniqueness_columns": ["ID"], "source_watermark": "WM", "target_watermark": "WM",
    });
    Setting {
        source_sql: vec![SOURCE.into(), format!("insert into TPCH.SF.T values {}", rows.join(", "))],
        target_sql: vec![TARGET.into()],
        entries: vec![entry],
        ..Setting::default()
    }
    .batch(100)
}

/// A run whose snapshot lies behind everything that was committed before.
async fn run_later(stage: &Stage, name: &str) -> Result<()> {
    stage.emulator.advance_clock(json!({ "advance_seconds": 60 })).await?;
    run(stage, name).await
}

async fn run(stage: &Stage, name: &str) -> Result<()> {
    let planner = stage.fleet.planner(name, &["run"])?.spawn()?;
    stage.expect_completed(planner).await.map(drop)
}

/// airbyte#85918: MAX() and the read ran in different snapshots; rows committed between the two were lost.
#[tokio::test]
async fn peers_05_rows_committed_between_the_plan_and_its_chunks_arrive_with_the_next_run() -> Result<()> {
    let stage = Stage::set(setting()).await?;
    let planner = stage.planner_run()?;
    let mut worker = stage.faulty_worker("worker", "after_claim=stop@1")?.spawn()?;
    stage.await_status("a claim", |status| status.chunks_in_progress == 1).await?;
    // Counted and bounded already, not read yet; the second is below everything that was seen.
    let late = "insert into TPCH.SF.T values (1000, '2024-01-01 00:00:01', 'late'), (50000, '2023-12-31 23:59:59', 'low')";
    stage.emulator.sql_committed(&[late], 0.0).await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await?;
    run_later(&stage, "second").await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// airbyte#80152: rows inserted within milliseconds of the start never arrived.
#[tokio::test]
async fn peers_08_rows_inserted_within_milliseconds_of_the_start_arrive() -> Result<()> {
    let stage = Stage::set(setting()).await?;
    let _worker = stage.worker("worker")?;
    run(&stage, "first").await?;
    // Committed while the second run takes its snapshot, stamped with that very moment.
    let planner = stage.fleet.planner("second", &["run"])?.spawn()?;
    for id in 0..30 {
        let insert = format!(
            "insert into TPCH.SF.T values ({}, current_timestamp()::timestamp_ntz(9), 'start')",
            5_000 + id
        );
        stage.emulator.sql_committed(&[&insert], 0.0).await?;
    }
    stage.expect_completed(planner).await?;
    run_later(&stage, "third").await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// peerdb#2408: the exported snapshot was lost with a connection, and the whole load had to start again.
#[tokio::test]
async fn peers_16_a_dropped_connection_does_not_lose_the_snapshot() -> Result<()> {
    let stage = Stage::set(setting()).await?;
    let cut = json!({ "match": { "kind": "submit", "sql_contains": "\"NAME\"", "after": 1, "times": 2 }, "action": "cut_connection" });
    stage.emulator.fault(cut).await?;
    let planner = stage.planner_run()?;
    let mut worker = stage.faulty_worker("worker", "after_commit=stop@2")?.spawn()?;
    stage.await_status("two chunks", |status| status.chunks_completed == 2).await?;
    stage.emulator.sql_committed(&["update TPCH.SF.T set NAME = 'later' where ID >= 300"], 0.0).await?;
    worker.signal(Signal::KILL)?;
    let _other = stage.worker("other")?;
    let status = stage.expect_completed(planner).await?;
    ensure!(status.chunks == status.chunks_completed, "no chunk was loaded anew: {status:?}");
    let later: i64 =
        stage.client.query_one("select count(*) from t where \"NAME\" = 'later'", &[]).await?.get(0);
    assert_eq!(later, 0, "the other worker, on other connections, reads the same moment");
    let executions: i32 = stage
        .client
        .query_one("select max(execution) from migration_status.migration_table_status", &[])
        .await?
        .get(0);
    assert_eq!(executions, 1);
    Ok(())
}
