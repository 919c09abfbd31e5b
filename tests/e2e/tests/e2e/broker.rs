//! The broker dies, forgets, or is emptied: hints are lost, rows are not.

use anyhow::{Context, Result};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::RabbitServer;
use thaw_harness::tpch::ORDERS;

#[tokio::test]
async fn a_broker_killed_in_the_middle_of_a_run_costs_no_row() -> Result<()> {
    let mut rabbit = RabbitServer::start()?;
    let mut setting = Setting::of(ORDERS, 20_000, 1_000);
    setting.broker = Some(rabbit.url());
    let stage = Stage::set(setting).await?;
    let _one = stage.worker("worker-1")?;
    let _two = stage.worker("worker-2")?;
    let planner = stage.planner_run()?;
    stage.await_status("some chunks", |status| status.chunks_completed >= 3).await?;
    rabbit.kill9()?;
    rabbit.launch()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_broker_restarted_in_the_middle_of_a_run_costs_no_row() -> Result<()> {
    let mut rabbit = RabbitServer::start()?;
    let mut setting = Setting::of(ORDERS, 20_000, 1_000);
    setting.broker = Some(rabbit.url());
    let stage = Stage::set(setting).await?;
    let _one = stage.worker("worker-1")?;
    let planner = stage.planner_run()?;
    stage.await_status("some chunks", |status| status.chunks_completed >= 3).await?;
    rabbit.restart()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_purged_queue_is_filled_again_by_redispatch() -> Result<()> {
    let stage =
        Stage::set(Setting::of(ORDERS, 6_000, 1_000).with("/worker/first_hint_seconds", 1.into())).await?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    let vhost = stage.vhost.as_ref().context("the shared broker")?;
    vhost.rabbitmqctl("purge_queue", &["thaw.chunks"])?;
    let _worker = stage.worker("worker")?;
    stage.await_completed().await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_deleted_queue_is_declared_and_filled_again() -> Result<()> {
    let stage =
        Stage::set(Setting::of(ORDERS, 6_000, 1_000).with("/worker/first_hint_seconds", 1.into())).await?;
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    let vhost = stage.vhost.as_ref().context("the shared broker")?;
    vhost.rabbitmqctl("delete_queue", &["thaw.chunks"])?;
    let _worker = stage.worker("worker")?;
    stage.await_completed().await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn without_a_broker_one_machine_does_it_alone() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 6_000, 1_000)).await?;
    let builder = stage.builder.clone().set("/rabbitmq", serde_json::Value::Null);
    let fleet = thaw_harness::Fleet::new(stage.folder(), &builder)?;
    let planner = fleet.planner("planner", &["run", "--local"])?.spawn()?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await
}
