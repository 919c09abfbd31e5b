//! One moment: whatever happens to the source between two chunks, the target is what the source was at the snapshot.
//!
//! The worker stops itself after its second chunk, so that the source changes between two chunks of one run.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{Setting, Stage};
use thaw_harness::{Process, Signal};

const SOURCE: &str = "create table TPCH.SF.T (ID number(38,0), WM timestamp_ntz(9), NAME varchar)";
const TARGET: &str = "create table t (\"ID\" bigint primary key, \"WM\" timestamp, \"NAME\" text)";

/// Rows of chunks that are loaded already, and of chunks that are not.
const CHANGES: &[&str] = &[
    "update TPCH.SF.T set NAME = 'changed', WM = '2024-02-01 00:00:00' where ID in (3, 150, 320, 599)",
    "delete from TPCH.SF.T where ID in (4, 160, 330, 598)",
    "insert into TPCH.SF.T values (600, '2024-02-01 00:00:00', 'new'), (-1, '2024-02-01 00:00:00', 'new')",
    // A row that moves from a chunk that is not loaded into the range of one that is: without a snapshot it is missed.
    "update TPCH.SF.T set ID = 42000 + ID where ID = 555",
];

fn setting() -> Setting {
    let row = |id: u32| format!("({id}, '2024-01-01 00:00:00', 'first')");
    let rows: Vec<String> = (0..600).map(row).collect();
    let entry: Value = json!({
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

/// Runs, and changes the source between the second chunk and the third.
async fn run_through_changes(stage: &Stage) -> Result<Process> {
    let planner = stage.planner_run()?;
    let mut worker = stage.faulty_worker("worker", "after_commit=stop@2")?.spawn()?;
    stage.await_status("two chunks", |status| status.chunks_completed == 2).await?;
    stage.emulator.sql_committed(CHANGES, 0.0).await?;
    worker.signal(Signal::CONT)?;
    stage.expect_completed(planner).await?;
    Ok(worker)
}

async fn snapshot(stage: &Stage) -> Result<(Option<String>, String)> {
    let read = "select snapshot, decisions::text from migration_status.migration_table_status order by table_id desc limit 1";
    let row = stage.client.query_one(read, &[]).await?;
    Ok((row.get(0), row.get(1)))
}

#[tokio::test]
async fn rows_changed_between_two_chunks_leave_the_target_equal_to_the_snapshot() -> Result<()> {
    let mut setting = setting();
    setting.source_sql.push("create table TPCH.SF.BEFORE as select * from TPCH.SF.T".into());
    let stage = Stage::set(setting).await?;
    let _worker = run_through_changes(&stage).await?;
    ensure!(snapshot(&stage).await?.0.is_some());
    stage.expect_table_equal("TPCH.SF.BEFORE", "t").await?;
    assert!(stage.expect_table_equal("TPCH.SF.T", "t").await.is_err(), "the source has changed");
    Ok(())
}

/// What upsert still guarantees: no row is doubled, each is one that the source had at some time of the run, rows that
/// did not change are all there; and the next run reads everything, so that only deleted rows remain.
#[tokio::test]
async fn without_a_snapshot_upsert_doubles_nothing_and_the_next_run_reads_everything() -> Result<()> {
    let mut setting = setting();
    setting.source_sql.push("create table TPCH.SF.BEFORE as select * from TPCH.SF.T".into());
    setting.source_sql[0].push_str(" data_retention_time_in_days = 0");
    let stage = Stage::set(setting).await?;
    let _worker = run_through_changes(&stage).await?;
    let (moment, decisions) = snapshot(&stage).await?;
    ensure!(moment.is_none() && decisions.contains("retention 0"), "{decisions}");
    let unchanged = "select count(*) from t where \"NAME\" = 'first' and \"ID\" between 0 and 599 \
                     and \"ID\" not in (3, 150, 320, 599, 4, 160, 330, 598, 555)";
    let found: i64 = stage.client.query_one(unchanged, &[]).await?.get(0);
    assert_eq!(found, 591, "rows that did not change are all there, once");
    let strange = "select count(*) from t where not (\"NAME\" = 'first' and \"ID\" between 0 and 599 \
                   or \"NAME\" = 'changed' and \"ID\" in (3, 150, 320, 599) or \"NAME\" = 'new' and \"ID\" in (-1, 600) \
                   or \"NAME\" = 'first' and \"ID\" = 42555)";
    let found: i64 = stage.client.query_one(strange, &[]).await?.get(0);
    assert_eq!(found, 0, "every row is one that the source had");
    let planner = stage.fleet.planner("planner-2", &["run"])?.spawn()?;
    stage.expect_completed(planner).await?;
    // Rows that the source has deleted, or given another key, stay.
    stage.client.batch_execute("delete from t where \"ID\" in (4, 160, 330, 598, 555)").await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_table_that_was_replaced_just_before_the_run_is_read_at_one_moment_all_the_same() -> Result<()> {
    let stage = Stage::set(setting()).await?;
    stage.emulator.replace("TPCH", "SF", "T").await?;
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    stage.expect_completed(planner).await?;
    let (moment, decisions) = snapshot(&stage).await?;
    ensure!(moment.is_some(), "{decisions}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}
