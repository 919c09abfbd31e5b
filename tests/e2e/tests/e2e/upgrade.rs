//! New programs and new status tables while old workers are about.

use anyhow::Result;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::wait;

#[tokio::test]
async fn a_running_worker_takes_nothing_under_status_tables_of_a_newer_release() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 500)).await?;
    let planner = stage.planner_run()?;
    let worker = stage.worker("worker")?;
    stage.expect_completed(planner).await?;
    stage.client.batch_execute("insert into migration_status.schema_version values (1000)").await?;
    wait::until("the worker to notice", PATIENCE, async || {
        Ok(worker.stderr()?.contains("have version 1000, this program knows up to"))
    })
    .await?;
    // Somebody has put the tables of its own release back.
    stage.client.batch_execute("delete from migration_status.schema_version where version = 1000").await?;
    wait::until("the worker to go on", PATIENCE, async || Ok(worker.stderr()?.contains("worker goes on")))
        .await?;
    let again = stage.fleet.planner("again", &["run", "--full"])?.spawn()?;
    stage.expect_completed(again).await?;
    stage.expect_equal().await
}
