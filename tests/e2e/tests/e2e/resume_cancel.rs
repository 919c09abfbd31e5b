//! Ending a run and going on with it: cancel, retry, and workers that sleep through either.

use anyhow::{Result, ensure};
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::process::Finished;
use thaw_harness::tpch::ORDERS;
use thaw_harness::{Process, Signal, wait};

async fn run(stage: &Stage, name: &str, arguments: &[&str]) -> Result<Finished> {
    stage.fleet.planner(name, arguments)?.run(PATIENCE).await
}

fn expect_code(finished: &Finished, code: i32) -> Result<()> {
    ensure!(
        finished.code == code,
        "{} is not {code}:\n{}\n{}",
        finished.code,
        finished.stdout,
        finished.stderr
    );
    Ok(())
}

async fn count(stage: &Stage, sql: &str) -> Result<i64> {
    Ok(stage.client.query_one(sql, &[]).await?.get(0))
}

/// Waits until a process has frozen itself.
async fn await_frozen(process: &Process) -> Result<()> {
    let stat = format!("/proc/{}/stat", process.id());
    wait::until_some("a worker that is frozen", PATIENCE, async || {
        // The state stands behind the name, which is in parentheses.
        let stat = std::fs::read_to_string(&stat)?;
        Ok(stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')).then_some(()))
    })
    .await
}

const LOADED: &str = "select coalesce(sum(fetched_rows), 0)::bigint from migration_status.migration_chunk_status \
                      where status = 'completed'";

#[tokio::test]
async fn no_row_of_a_cancelled_chunk_appears_and_a_retry_goes_on_with_the_stored_plan() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 6_000, 1_000)).await?;
    // Frozen inside its second chunk's COPY.
    let mut worker = stage.faulty_worker("worker", "during_copy=stop@2")?.spawn()?;
    let mut planner = stage.planner_run()?;
    await_frozen(&worker).await?;
    let status = stage.status().await?;
    assert_eq!((status.chunks_completed, status.chunks_in_progress), (1, 1));
    let id = status.run;
    let cancelled = run(&stage, "cancel", &["cancel", &id]).await?;
    expect_code(&cancelled, 0)?;
    assert!(
        cancelled.stdout.contains("is cancelled: 1 table(s) and 5 chunk(s) were open"),
        "{}",
        cancelled.stdout
    );
    assert_eq!(planner.wait(PATIENCE).await?, 2, "the waiting planner says so: {}", planner.stderr()?);
    let again = run(&stage, "cancel-2", &["cancel", &id]).await?;
    expect_code(&again, 0)?;
    worker.signal(Signal::CONT)?;
    // The worker is at work again as soon as it has dropped what it slept in.
    let rows = count(&stage, "select count(*) from orders").await?;
    assert_eq!(rows, count(&stage, LOADED).await?, "only the completed chunk's rows are there");
    let open = "select count(*) from migration_status.migration_chunk_status where status in ('pending', 'in_progress')";
    assert_eq!(count(&stage, open).await?, 0);

    let not_by_itself = run(&stage, "dry", &["run", "--dry-run"]).await?;
    expect_code(&not_by_itself, 0)?;
    let retried = run(&stage, "retry", &["retry", &id]).await?;
    expect_code(&retried, 0)?;
    let status = stage.status().await?;
    assert_eq!(
        (status.run.as_str(), status.state.as_str(), status.rows_fetched),
        (id.as_str(), "completed", 6_000)
    );
    stage.expect_equal().await?;
    assert!(worker.status()?.is_none(), "the worker that slept works on");
    Ok(())
}

#[tokio::test]
async fn a_cancelled_run_is_not_resumed_by_itself() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    expect_code(&run(&stage, "detached", &["run", "--detach"]).await?, 0)?;
    let first = stage.status().await?.run;
    expect_code(&run(&stage, "cancel", &["cancel", &first]).await?, 0)?;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "anew", &["run"]).await?, 0)?;
    assert_ne!(stage.status().await?.run, first);
    stage.expect_equal().await
}

#[tokio::test]
async fn a_retry_needs_no_broker_and_no_worker_with_local() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 2_000, 1_000)).await?;
    expect_code(&run(&stage, "detached", &["run", "--detach"]).await?, 0)?;
    let first = stage.status().await?.run;
    expect_code(&run(&stage, "cancel", &["cancel", &first]).await?, 0)?;
    expect_code(&run(&stage, "retry", &["retry", &first, "--local"]).await?, 0)?;
    assert_eq!(stage.status().await?.run, first);
    stage.expect_equal().await
}

/// A worker freezes in COPY, its run is superseded while it sleeps, and it wakes when the new run has loaded.
async fn superseded_in_copy(setting: Setting) -> Result<()> {
    let stage = Stage::set(setting.batch(1_000)).await?;
    let mut sleeper = stage.faulty_worker("sleeper", "during_copy=stop")?.spawn()?;
    expect_code(&run(&stage, "detached", &["run", "--detach"]).await?, 0)?;
    await_frozen(&sleeper).await?;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "anew", &["run", "--no-resume"]).await?, 0)?;
    sleeper.signal(Signal::CONT)?;
    stage.expect_equal().await?;
    // Another run, in which the woken one takes part.
    expect_code(&run(&stage, "again", &["run", "--no-resume"]).await?, 0)?;
    stage.expect_equal().await?;
    assert!(sleeper.status()?.is_none(), "it works on");
    Ok(())
}

#[tokio::test]
async fn a_worker_frozen_in_copy_of_a_superseded_run_doubles_nothing_in_a_table_with_keys() -> Result<()> {
    superseded_in_copy(Setting { tables: vec![(ORDERS, 4_000)], ..Setting::default() }).await
}

#[tokio::test]
async fn a_worker_frozen_in_copy_of_a_superseded_run_doubles_nothing_in_a_table_without_keys() -> Result<()> {
    let setting = Setting { tables: vec![(ORDERS, 4_000)], ..Setting::default() };
    let setting = setting
        .with("/sources/0/tables/0/truncate_onstart", json!(true))
        .with("/sources/0/tables/0/uniqueness_columns", json!([]));
    let setting =
        Setting { target_sql: vec!["alter table orders drop constraint orders_pkey".to_owned()], ..setting };
    superseded_in_copy(setting).await
}

#[tokio::test]
async fn peers_17_a_resume_does_not_truncate_what_was_loaded() -> Result<()> {
    let setting = Setting { tables: vec![(ORDERS, 4_000)], ..Setting::default() };
    let setting = setting.with("/sources/0/tables/0/truncate_onstart", json!(true));
    let stage = Stage::set(setting.batch(1_000)).await?;
    stage
        .client
        .batch_execute("alter table orders add constraint broken check (\"O_ORDERKEY\" <> 1)")
        .await?;
    let _worker = stage.worker("worker")?;
    expect_code(&run(&stage, "broken", &["run"]).await?, 2)?;
    let before = count(&stage, "select count(*) from orders").await?;
    assert!(before > 0);
    // A row that only a second truncate would remove.
    stage
        .client
        .batch_execute(
            "alter table orders drop constraint broken; \
             insert into orders select -1, \"O_CUSTKEY\", \"O_ORDERSTATUS\", \"O_TOTALPRICE\", \"O_ORDERDATE\", \
               \"O_ORDERPRIORITY\", \"O_CLERK\", \"O_SHIPPRIORITY\", \"O_COMMENT\", \"UPDATED_AT\" from orders limit 1",
        )
        .await?;
    expect_code(&run(&stage, "again", &["run"]).await?, 0)?;
    assert_eq!(count(&stage, "select count(*) from orders where \"O_ORDERKEY\" = -1").await?, 1);
    stage.client.batch_execute("delete from orders where \"O_ORDERKEY\" = -1").await?;
    stage.expect_equal().await
}

#[tokio::test]
async fn a_table_without_a_key_goes_on_where_it_stopped_and_is_loaded_anew_over_nothing() -> Result<()> {
    let rows: Vec<String> = (0..60).map(|id| format!("({id})")).collect();
    let setting = Setting {
        source_sql: vec![
            "create table TPCH.SF.T (ID number(38,0))".into(),
            format!("insert into TPCH.SF.T values {}", rows.join(", ")),
        ],
        target_sql: vec!["create table t (\"ID\" bigint constraint not_33 check (\"ID\" <> 33))".into()],
        entries: vec![json!({ "enabled": true, "source": "T", "target": "t", "chunking_columns": ["ID"] })],
        ..Setting::default()
    };
    let stage = Stage::set(setting.batch(10)).await?;
    expect_code(&run(&stage, "first", &["run", "--local"]).await?, 2)?;
    let id = stage.status().await?.run;
    // What is there is that run's: a new one would double it, and says whose it is.
    let anew = run(&stage, "anew", &["run", "--local", "--no-resume"]).await?;
    expect_code(&anew, 2)?;
    let told = format!("run {id} did not complete and has left 50 rows in the target");
    ensure!(anew.stdout.contains(&told), "{}", anew.stdout);
    stage.client.batch_execute("alter table t drop constraint not_33").await?;
    expect_code(&run(&stage, "retried", &["retry", &id, "--local"]).await?, 0)?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;

    // The same without a word: the newest incomplete run goes on.
    stage
        .client
        .batch_execute("truncate t; alter table t add constraint not_33 check (\"ID\" <> 33)")
        .await?;
    expect_code(&run(&stage, "second", &["run", "--local", "--no-resume"]).await?, 2)?;
    stage.client.batch_execute("alter table t drop constraint not_33").await?;
    expect_code(&run(&stage, "resumed", &["run", "--local"]).await?, 0)?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}
