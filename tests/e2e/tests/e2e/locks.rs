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

#[tokio::test]
async fn chunks_behind_a_lock_give_way_uncounted_and_say_whose_it_is() -> Result<()> {
    let setting = Setting::of(ORDERS, 1_500, 500).with("/postgres/lock_timeout_seconds", json!(1));
    let stage = Stage::set(setting).await?;
    let person = stage.target.connect().await?;
    // Readers and the start get through, rows do not.
    person.batch_execute("set application_name = 'report'; begin; lock table orders in share mode").await?;
    let pid: i32 = person.query_one("select pg_backend_pid()", &[]).await?.get(0);
    let _worker = stage.worker("worker")?;
    let planner = stage.planner_run()?;

    let waiting = "select min(application_name) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    let name = wait::until_some("a load to wait", PATIENCE, async || {
        Ok(stage.client.query_one(waiting, &[]).await?.get::<_, Option<String>>(0))
    })
    .await?;
    let run: String =
        stage.client.query_one("select run_id::text from migration_status.migration_runs", &[]).await?.get(0);
    assert!(name.starts_with(&format!("thaw/{run}/1/")), "run, table and chunk: {name}");
    let blamed = format!("blocked by pid {pid} (report)");
    wait::until("chunks to have given way twice", PATIENCE, async || {
        let sql = "select count(*) from migration_status.migration_chunk_status
                   where fence >= 2 and error_class = 'sqlstate_55P03' and error_text like '%' || $1";
        Ok(stage.client.query_one(sql, &[&blamed]).await?.get::<_, i64>(0) > 0)
    })
    .await?;

    person.batch_execute("rollback").await?;
    let status = stage.expect_completed(planner).await?;
    assert_eq!(status.failures, 0, "nothing was counted");
    stage.expect_equal().await?;
    let logs = stage.fleet.logs()?;
    assert!(logs.contains(&blamed), "{logs}");
    Ok(())
}

#[tokio::test]
async fn an_index_build_behind_a_lock_gives_way_says_whose_it_is_and_goes_on() -> Result<()> {
    let mut setting = Setting::of(ORDERS, 1_500, 500).with("/sources/0/tables/0/disable_index", json!(true));
    setting.target_sql.push("create index by_customer on orders (\"O_CUSTKEY\")".to_owned());
    let stage = Stage::set(setting).await?;
    let before = stage.target.dump_definition("orders")?;
    let planner = stage.planner_run()?;
    let sql = "select count(*) from pg_indexes where indexname = 'by_customer'";
    wait::until("the planner to have started the table", PATIENCE, async || {
        Ok(stage.client.query_one(sql, &[]).await?.get::<_, i64>(0) == 0)
    })
    .await?;
    let person = stage.target.connect().await?;
    // As a transaction does that has written a row: loads are let in, the build of an index is not.
    person
        .batch_execute("set application_name = 'app'; begin; lock table orders in row exclusive mode")
        .await?;
    let pid: i32 = person.query_one("select pg_backend_pid()", &[]).await?.get(0);
    let _one = stage.worker("worker-1")?;
    let _two = stage.worker("worker-2")?;
    wait::until("the finalizer to have given way", PATIENCE, async || {
        let sql = "select max(finalize_tries) from migration_status.migration_table_status";
        Ok(stage.client.query_one(sql, &[]).await?.get::<_, i16>(0) >= 2)
    })
    .await?;
    let logs = stage.fleet.logs()?;
    assert!(
        logs.contains("table is not finalized yet") && logs.contains(&format!("pid {pid} (app)")),
        "{logs}"
    );

    person.batch_execute("rollback").await?;
    stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    assert_eq!(stage.target.dump_definition("orders")?, before);
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
