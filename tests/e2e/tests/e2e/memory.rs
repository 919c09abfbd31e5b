//! A worker's memory does not depend on the size of a chunk. (`make bench` asks the same of a million rows.)

use anyhow::Result;
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::ORDERS;

/// What a worker with one slot may hold, code and all.
const LIMIT: u64 = 64 * 1024 * 1024;

#[tokio::test]
async fn a_worker_streams_a_chunk_far_larger_than_its_memory() -> Result<()> {
    // 150,000 orders are 30 MB of text in one chunk.
    let stage = Stage::set(Setting::of(ORDERS, 150_000, 1_000_000)).await?;
    let worker = stage.fleet.worker("worker", 1)?.spawn()?;
    let planner = stage.planner_run()?;
    let status = stage.expect_completed(planner).await?;
    assert_eq!(status.chunks, 1, "one chunk of all rows");
    let peak = worker.peak_memory()?;
    assert!(peak <= LIMIT, "VmHWM was {} MB", peak / (1024 * 1024));
    stage.expect_equal().await
}
