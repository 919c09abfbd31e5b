//! A person's lock on a target keeps a run waiting, not busy.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::wait;

#[tokio::test]
async fn a_start_behind_a_lock_is_tried_seldom_and_says_whose_it_is() -> Result<()> {
    let setting = Setting::of(ORDERS, 3_000, 1_000).with("/sources/0/tables/0/truncate_onstart", json!(true));
    let stage = Stage::set(setting).await?;
    let person = stage.target.connect().await?;
    person
        .batch_execute("set application_name = 'report'; begin; lock table orders in access share mode")
        .await?;
    let pid: i32 = person.query_one("select pg_backend_pid()", &[]).await?.get(0);

    let _one = stage.worker("worker-1")?;
    let _two = stage.worker("worker-2")?;
    let planner = stage.planner_run()?;
    await_tries(&stage, 1).await?;
    let first = Instant::now();
    await_tries(&stage, 3).await?;
    // At least 1.5 s and 3 s of pause, though three processes look every second.
    assert!(first.elapsed() > Duration::from_secs(4), "{:?}", first.elapsed());
    assert_eq!(stage.status().await?.chunks_completed, 0);

    person.batch_execute("rollback").await?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    let logs = stage.fleet.logs()?;
    assert!(logs.contains(&format!("pid {pid} (report)")), "{logs}");
    let tries = i16::try_from(logs.matches("table waits for a lock on its target").count())?;
    assert_eq!(tries, start_tries(&stage).await?, "every try is logged once, by whoever made it");
    assert_eq!(stage.status().await?.failures, 0);
    Ok(())
}

async fn await_tries(stage: &Stage, tries: i16) -> Result<()> {
    wait::until("the start to have been tried", PATIENCE, async || Ok(start_tries(stage).await? >= tries))
        .await
}

async fn start_tries(stage: &Stage) -> Result<i16> {
    let sql = "select to_regclass('migration_status.migration_table_status') is not null";
    if !stage.client.query_one(sql, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    let sql = "select coalesce(max(start_tries), 0::smallint) from migration_status.migration_table_status";
    Ok(stage.client.query_one(sql, &[]).await?.get(0))
}
