//! SIGTERM: a worker finishes what it can, hands back what it cannot, and nothing of that counts as a failure.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::Signal;
use thaw_harness::tpch::ORDERS;

#[tokio::test]
async fn a_worker_with_time_enough_finishes_its_chunk() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 6_000, 1_000)).await?;
    let mut worker = stage.worker("worker-1")?;
    let planner = stage.planner_run()?;
    stage.await_status("some chunks", |status| status.chunks_completed >= 2).await?;
    assert_eq!(worker.terminate(PATIENCE).await?, 0, "{}", worker.stderr()?);
    let status = stage.status().await?;
    assert_eq!((status.chunks_in_progress, status.chunks_failed), (0, 0), "nothing is left held");
    let _second = stage.worker("worker-2")?;
    let status = stage.expect_completed(planner).await?;
    assert_eq!(status.failures, 0);
    stage.expect_equal().await
}

#[tokio::test]
async fn a_worker_without_time_hands_its_chunk_back_uncounted() -> Result<()> {
    let setting = Setting::of(ORDERS, 4_000, 2_000).with("/worker/shutdown_grace_seconds", json!(1));
    let stage = Stage::set(setting).await?;
    // No answer to a chunk's query for as long as the rule stands.
    let rule = json!({"match": {"sql_contains": "O_COMMENT", "times": 0}, "action": "hang"});
    stage.emulator.fault(rule).await?;
    let mut worker = stage.worker("worker-1")?;
    let planner = stage.planner_run()?;
    stage.await_status("a held chunk", |status| status.chunks_in_progress > 0).await?;
    let before = std::time::Instant::now();
    assert_eq!(worker.terminate(PATIENCE).await?, 0, "{}", worker.stderr()?);
    assert!(before.elapsed() < Duration::from_secs(15), "the grace period was one second");
    let status = stage.status().await?;
    assert_eq!((status.chunks_in_progress, status.failures), (0, 0), "handed back, not counted");
    stage.emulator.clear_faults().await?;
    let _second = stage.worker("worker-2")?;
    let status = stage.expect_completed(planner).await?;
    assert_eq!(status.failures, 0);
    stage.expect_equal().await
}

#[tokio::test]
async fn a_frozen_worker_is_replaced_and_writes_nothing_when_it_wakes() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 6_000, 1_000)).await?;
    let mut frozen = stage.faulty_worker("frozen", "during_copy=stop@2")?.spawn()?;
    let planner = stage.planner_run()?;
    // It stops itself in the middle of a COPY, with its transaction open.
    thaw_harness::wait::until("the worker to freeze", PATIENCE, async || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", frozen.id()))?;
        Ok(stat.contains(") T "))
    })
    .await?;
    let _successor = stage.worker("successor")?;
    let status = stage.expect_completed(planner).await?;
    assert!(status.failures >= 1, "the lapsed lease counts");
    frozen.signal(Signal::CONT)?;
    assert_eq!(frozen.terminate(PATIENCE).await?, 0, "{}", frozen.stderr()?);
    stage.expect_equal().await
}
