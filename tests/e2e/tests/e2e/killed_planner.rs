//! The planner dies: workers go on, nothing is lost, the next planner puts the run right.

use anyhow::Result;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::Signal;
use thaw_harness::tpch::{CUSTOMER, ORDERS};

/// As if the dead planner's lease had run out an hour ago.
const AGE_PLANNER: &str = "update migration_status.migration_runs \
     set planner_lease_until = planner_lease_until - interval '1 hour' where planner_lease_until is not null";

#[tokio::test]
async fn a_planner_killed_between_insert_and_publish_has_its_chunks_published_by_redispatch() -> Result<()> {
    let stage =
        Stage::set(Setting::of(ORDERS, 6_000, 1_000).with("/worker/first_hint_seconds", 1.into())).await?;
    let mut planner =
        stage.fleet.planner("planner", &["run"])?.env("THAW_FAULT_POINTS", "after_store=kill").spawn()?;
    assert_eq!(planner.wait(PATIENCE).await?, 137);
    let status = stage.status().await?;
    assert_eq!((status.chunks_completed, status.chunks > 1), (0, true));
    let _worker = stage.worker("worker")?;
    stage.await_status("all chunks", |status| status.chunks == status.chunks_completed).await?;
    stage.expect_equal().await?;
    // The run was not planned to its end as far as the dead planner said: the next one puts it right.
    stage.client.batch_execute(AGE_PLANNER).await?;
    let planner = stage.fleet.planner("planner-2", &["run"])?.spawn()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_planner_killed_after_it_reserved_leaves_a_run_that_the_next_one_plans() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    let mut planner =
        stage.fleet.planner("planner", &["run"])?.env("THAW_FAULT_POINTS", "after_reserve=kill").spawn()?;
    assert_eq!(planner.wait(PATIENCE).await?, 137);
    let _worker = stage.worker("worker")?;
    // While its lease runs nobody knows that it is dead.
    let second = stage.fleet.planner("planner-2", &["run"])?.run(PATIENCE).await?;
    assert_eq!(second.code, 3, "{}", second.stderr);
    stage.client.batch_execute(AGE_PLANNER).await?;
    let planner = stage.fleet.planner("planner-3", &["run"])?.spawn()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_planner_killed_in_the_middle_of_publishing_is_not_needed_any_more() -> Result<()> {
    let setting = Setting { tables: vec![(CUSTOMER, 1_000), (ORDERS, 6_000)], ..Setting::default() };
    let stage = Stage::set(setting.batch(1_000).with("/worker/first_hint_seconds", 1.into())).await?;
    let mut planner = stage.planner_run()?;
    stage
        .await_status("a table that loads", |status| {
            status.tables.iter().any(|(_, state)| state == "loading")
        })
        .await?;
    planner.signal(Signal::KILL)?;
    planner.wait(PATIENCE).await?;
    let _worker = stage.worker("worker")?;
    let planned = stage.client.query_one(
        "select bool_and(planned_at is not null) from migration_status.migration_table_status",
        &[],
    );
    if planned.await?.get(0) {
        stage.await_status("all chunks", |status| status.chunks == status.chunks_completed).await?;
    }
    stage.client.batch_execute(AGE_PLANNER).await?;
    let planner = stage.fleet.planner("planner-2", &["run"])?.spawn()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_second_planner_on_the_same_tables_is_refused_with_the_runs_id() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    let mut first = stage.planner_run()?;
    let status = stage.await_status("the first run", |_| true).await?;
    let second = stage.fleet.planner("planner-2", &["run"])?.run(PATIENCE).await?;
    assert_eq!(second.code, 3, "{}", second.stderr);
    let said = format!("{}{}", second.stdout, second.stderr);
    assert!(said.contains(&status.run), "{said}");
    assert!(first.status()?.is_none(), "the first one is not disturbed");
    let _worker = stage.worker("worker")?;
    stage.expect_completed(first).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn an_interrupted_planner_leaves_a_run_that_goes_on() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 4_000, 1_000)).await?;
    let mut planner = stage.planner_run()?;
    stage
        .await_status("the plan", |status| status.tables.iter().all(|(_, state)| state == "loading"))
        .await?;
    planner.signal(Signal::TERM)?;
    assert_eq!(planner.wait(PATIENCE).await?, 4, "{}", planner.stderr()?);
    let _worker = stage.worker("worker")?;
    stage.await_completed().await?;
    stage.expect_equal().await
}
