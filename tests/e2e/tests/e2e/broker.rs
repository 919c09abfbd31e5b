//! The broker dies, forgets, or is emptied: hints are lost, rows are not.

use anyhow::{Context, Result};
use reqwest::Url;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{Fleet, RabbitServer, wait};

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
async fn a_run_that_nobody_works_on_asks_whether_a_worker_is_there() -> Result<()> {
    let setting = Setting::of(ORDERS, 2_000, 1_000).with("/worker/first_hint_seconds", 1.into());
    let stage = Stage::set(setting).await?;
    let planner = stage.planner_run()?;
    let asked = async || Ok(planner.stderr()?.contains("no worker is at work: is one running"));
    wait::until("the planner to ask for workers", PATIENCE, asked).await?;
    let _worker = stage.worker("worker")?;
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

const PASSWORD: &str = "hunter2-of-the-broker";

/// A fleet like the stage's, whose processes come to the broker under another name.
fn fleet_of(stage: &Stage, user: &str, halt_grace_seconds: u32) -> Result<Fleet> {
    let vhost = stage.vhost.as_ref().context("the shared broker")?;
    let mut url = Url::parse(&vhost.url())?;
    url.set_username(user).ok().context("a user")?;
    url.set_password(Some(PASSWORD)).ok().context("a password")?;
    let folder = stage.folder().join(user);
    std::fs::create_dir(&folder)?;
    let builder =
        stage.builder.clone().amqp(url.as_str()).set("/worker/halt_grace_seconds", halt_grace_seconds.into());
    Fleet::new(&folder, &builder)
}

#[tokio::test]
async fn a_refused_login_halts_the_worker_and_ends_it_after_the_grace() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 1_000, 1_000)).await?;
    let worker = fleet_of(&stage, "nobody", 4)?.worker("worker", 1)?.run(PATIENCE).await?;
    assert_eq!(worker.code, 5, "{}", worker.stderr);
    assert!(worker.stderr.contains("worker halted: no chunk is taken"), "{}", worker.stderr);
    assert!(worker.stderr.contains("broker refused the login of user nobody"), "{}", worker.stderr);
    assert!(!worker.stderr.contains(PASSWORD), "{}", worker.stderr);
    Ok(())
}

#[tokio::test]
async fn a_halted_worker_goes_on_once_the_broker_knows_its_login() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 3_000, 1_000)).await?;
    let vhost = stage.vhost.as_ref().context("the shared broker")?;
    // Users belong to the whole broker: a name of this test's own.
    let user = format!("late_{}", vhost.name());
    let fleet = fleet_of(&stage, &user, 120)?;
    let worker = fleet.worker("worker", 1)?.spawn()?;
    wait::until("the worker is halted", PATIENCE, async || Ok(worker.stderr()?.contains("worker halted")))
        .await?;
    let control = vhost.control();
    control.run(&["add_user", &user, PASSWORD])?;
    control.run(&["set_permissions", "-p", vhost.name(), &user, ".*", ".*", ".*"])?;
    let planner = stage.planner_run()?;
    let completed = stage.expect_completed(planner).await;
    control.run(&["delete_user", &user])?;
    completed?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_planner_names_what_is_wrong_with_the_broker_and_not_the_password() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 1_000, 1_000)).await?;
    let refused = fleet_of(&stage, "nobody", 4)?.planner("planner", &["run"])?.run(PATIENCE).await?;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let sentence = "broker refused the login of user nobody; check rabbitmq.url";
    assert!(refused.stderr.contains(sentence), "{}", refused.stderr);
    assert!(!refused.stderr.contains(PASSWORD), "{}", refused.stderr);

    let builder = stage.builder.clone().amqp(&format!("amqp://nobody:{PASSWORD}@broker.invalid/thaw"));
    let folder = stage.folder().join("nowhere");
    std::fs::create_dir(&folder)?;
    let lost = Fleet::new(&folder, &builder)?.planner("planner", &["run"])?.run(PATIENCE).await?;
    assert_eq!(lost.code, 1, "{}", lost.stderr);
    assert!(lost.stderr.contains("host broker.invalid of the broker does not resolve"), "{}", lost.stderr);
    assert!(!lost.stderr.contains(PASSWORD), "{}", lost.stderr);
    Ok(())
}
