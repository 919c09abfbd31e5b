//! The target's server is restarted or killed in the middle of a run.

use anyhow::Result;
use thaw_e2e::{Setting, Stage};
use thaw_harness::fleet;
use thaw_harness::tpch::ORDERS;
use thaw_harness::{PostgresOptions, PostgresServer, wait};

enum End {
    Restart,
    Crash,
}

async fn interrupt(end: End) -> Result<()> {
    let mut server = PostgresServer::start(&PostgresOptions::default())?;
    let mut setting = Setting::of(ORDERS, 20_000, 1_000);
    setting.target_server = Some(server.url());
    let mut stage = Stage::set(setting).await?;
    let _one = stage.worker("worker-1")?;
    let _two = stage.worker("worker-2")?;
    let planner = stage.planner_run()?;
    stage.await_status("some chunks", |status| status.chunks_completed >= 3).await?;
    match end {
        End::Restart => server.restart()?,
        End::Crash => {
            server.kill9()?;
            server.launch()?;
        }
    }
    stage.client = wait::until_some("the server to accept us", thaw_e2e::PATIENCE, async || {
        Ok(stage.target.connect().await.ok())
    })
    .await?;
    assert!(fleet::newest_run(&stage.client).await?.is_some());
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_postgres_restarted_in_the_middle_of_a_run_costs_no_row() -> Result<()> {
    interrupt(End::Restart).await
}

#[tokio::test]
async fn a_postgres_killed_in_the_middle_of_a_run_costs_no_row() -> Result<()> {
    interrupt(End::Crash).await
}
