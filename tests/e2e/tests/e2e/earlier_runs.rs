//! What an earlier run left behind never makes a later one miss a row.

use anyhow::Result;
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::{CUSTOMER, ORDERS};

use crate::history::{SOURCE, TARGET, entry};

/// As if the planner's lease had run out an hour ago.
const AGE_PLANNER: &str = "update migration_status.migration_runs \
     set planner_lease_until = planner_lease_until - interval '1 hour' where planner_lease_until is not null";

async fn run_again(stage: &Stage, name: &str, arguments: &[&str]) -> Result<()> {
    let planner = stage.fleet.planner(name, arguments)?.spawn()?;
    stage.expect_completed(planner).await.map(drop)
}

#[tokio::test]
async fn a_detached_run_is_followed_to_its_end_and_everything_asked_is_loaded() -> Result<()> {
    let tables = vec![(CUSTOMER, 500), (ORDERS, 2_000)];
    let stage = Stage::set(Setting { tables, ..Setting::default() }.batch(1_000)).await?;
    let detached =
        stage.fleet.planner("detached", &["run", "--detach", "--table", "orders"])?.run(PATIENCE).await?;
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    let first = stage.status().await?.run;
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;
    let second = stage.expect_completed(planner).await?;
    assert_eq!((second.run, second.tables.len()), (first, 2), "what it did not have is added to it");
    stage.expect_equal().await
}

#[tokio::test]
async fn note_11_rows_below_the_greatest_watermark_arrive_after_a_run_that_failed_in_part() -> Result<()> {
    let setting = Setting {
        source_sql: vec![
            SOURCE.into(),
            "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')"
                .into(),
        ],
        target_sql: vec![TARGET.into()],
        entries: vec![entry(json!({}))],
        ..Setting::default()
    };
    let stage = Stage::set(setting.batch(100)).await?;
    let _worker = stage.worker("worker")?;
    run_again(&stage, "first", &["run"]).await?;
    // As if the chunk that held row 1 had failed in that run.
    stage
        .client
        .batch_execute(
            "delete from t where \"ID\" = 1; \
             update migration_status.migration_table_status set status = 'partial', error_class = 'test'",
        )
        .await?;
    run_again(&stage, "second", &["run", "--no-resume"]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_24_a_row_that_was_committed_late_arrives_with_the_next_run() -> Result<()> {
    let setting = Setting {
        source_sql: vec![
            SOURCE.into(),
            "insert into TPCH.SF.T values (1, '2024-01-10 01:05:00', 'first')".into(),
        ],
        target_sql: vec![TARGET.into()],
        entries: vec![entry(json!({}))],
        ..Setting::default()
    };
    let stage = Stage::set(setting.batch(100)).await?;
    let _worker = stage.worker("worker")?;
    run_again(&stage, "first", &["run"]).await?;
    // Stamped before what the first run has seen, and visible only now.
    stage
        .emulator
        .sql_committed(&["insert into TPCH.SF.T values (2, '2024-01-10 01:00:00', 'late')"], 60.0)
        .await?;
    run_again(&stage, "second", &["run"]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_target_that_another_entry_has_loaded_gives_no_bound() -> Result<()> {
    let half = |condition: &str| entry(json!({ "source_filter": condition }));
    let setting = Setting {
        source_sql: vec![
            SOURCE.into(),
            "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'low'), (2, '2024-06-01 00:00:00', 'high')".into(),
        ],
        target_sql: vec![TARGET.into()],
        entries: vec![half("NAME = 'high'")],
        ..Setting::default()
    };
    let stage = Stage::set(setting.batch(100)).await?;
    let _worker = stage.worker("worker")?;
    run_again(&stage, "first", &["run"]).await?;
    // The filter is changed: another entry, whose rows lie below the greatest watermark of the target.
    let low = stage.builder.clone().set("/sources/0/tables/0/source_filter", json!("NAME <> 'high'"));
    low.write(stage.folder())?;
    run_again(&stage, "second", &["run"]).await?;
    stage
        .emulator
        .sql_committed(&["insert into TPCH.SF.T values (3, '2024-02-01 00:00:00', 'low')"], 60.0)
        .await?;
    run_again(&stage, "third", &["run"]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_run_that_was_never_planned_to_its_end_is_planned_by_the_next_planner() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    let mut planner =
        stage.fleet.planner("planner", &["run"])?.env("THAW_FAULT_POINTS", "after_reserve=kill").spawn()?;
    assert_eq!(planner.wait(PATIENCE).await?, 137);
    let first = stage.status().await?.run;
    stage.client.batch_execute(AGE_PLANNER).await?;
    run_again(&stage, "local", &["run", "--local"]).await?;
    assert_eq!(stage.status().await?.run, first);
    stage.expect_equal().await
}

#[tokio::test]
async fn what_somebody_emptied_in_the_middle_of_a_run_is_loaded_from_the_beginning() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 500)).await?;
    let mut planner = stage.planner_run()?;
    let mut victim = stage.faulty_worker("victim", "after_commit=kill@2")?.spawn()?;
    assert_eq!(victim.wait(PATIENCE).await?, 137);
    planner.signal(thaw_harness::Signal::KILL)?;
    planner.wait(PATIENCE).await?;
    stage.client.batch_execute(AGE_PLANNER).await?;
    stage.client.batch_execute("truncate orders").await?;
    run_again(&stage, "again", &["run", "--local"]).await?;
    stage.expect_equal().await
}
