//! kill -9 of a worker at five points of a chunk's life: rows arrive once, and only what counts is counted.

use anyhow::Result;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;

/// Kills a worker at its second chunk's `point`, replaces it, and returns the failures that were counted.
async fn kill_at(point: &str) -> Result<i64> {
    let stage = Stage::set(Setting::of(ORDERS, 6_000, 1_000)).await?;
    let mut victim = stage.faulty_worker("victim", &format!("{point}=kill@2"))?.spawn()?;
    let planner = stage.planner_run()?;
    assert_eq!(victim.wait(PATIENCE).await?, 137, "the worker was killed at {point}");
    let _successor = stage.worker("successor")?;
    let status = stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    assert_eq!(status.rows_fetched, 6_000);
    Ok(status.failures)
}

#[tokio::test]
async fn a_worker_killed_after_it_received_a_chunk_costs_nothing() -> Result<()> {
    assert_eq!(kill_at("after_receive").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_after_its_claim_costs_one_failure() -> Result<()> {
    assert_eq!(kill_at("after_claim").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_in_copy_leaves_nothing_of_the_chunk() -> Result<()> {
    assert_eq!(kill_at("during_copy").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_before_its_commit_leaves_nothing_of_the_chunk() -> Result<()> {
    assert_eq!(kill_at("before_commit").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_worker_killed_after_its_commit_leaves_the_chunk_loaded_once() -> Result<()> {
    assert_eq!(kill_at("after_commit").await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_chunk_whose_upsert_was_killed_is_loaded_once() -> Result<()> {
    // Rows are there already: the mode is upsert, through a temporary table.
    let mut setting = Setting::of(ORDERS, 4_000, 1_000);
    setting.target_sql = vec![
        "insert into orders select n, 1, 'O', 1.00, date '2020-01-01', 'old', 'old', 0, 'old', \
         timestamp '1999-01-01' from generate_series(1, 64) n"
            .to_owned(),
    ];
    let stage = Stage::set(setting).await?;
    let mut victim = stage.faulty_worker("victim", "before_complete=kill@2")?.spawn()?;
    let planner = stage.planner_run()?;
    assert_eq!(victim.wait(PATIENCE).await?, 137);
    let _successor = stage.worker("successor")?;
    stage.expect_completed(planner).await?;
    let stale: i64 = stage
        .client
        .query_one("select count(*) from orders where \"O_COMMENT\" = 'old' and \"O_ORDERKEY\" <= 7", &[])
        .await?
        .get(0);
    assert_eq!(stale, 0, "old rows with a key of the source are replaced");
    stage.client.batch_execute("delete from orders where \"O_COMMENT\" = 'old'").await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_worker_killed_while_it_finalizes_is_replaced() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    let mut victim = stage.faulty_worker("victim", "during_finalize=kill")?.spawn()?;
    // The planner finalizes too: it leaves.
    let detached = stage.fleet.planner("planner", &["run", "--detach"])?.run(PATIENCE).await?;
    assert_eq!(detached.code, 0, "{}", detached.stderr);
    assert_eq!(victim.wait(PATIENCE).await?, 137);
    let _successor = stage.worker("successor")?;
    stage.await_completed().await?;
    stage.expect_equal().await
}
