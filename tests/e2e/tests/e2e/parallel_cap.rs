//! `parallel_threads` of a table: so many of its chunks are loaded at once across the fleet, whoever dies.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::process::{Process, Signal};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{fleet, wait};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

const CAP: i64 = 2;

/// Each load takes a third of a second, so that more than two at a time would be met.
const SLOWLY: &str = "
    create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.3); return null; end $$;
    create trigger slowly before insert on orders for each statement execute function slowly()";

/// Chunks at work by the status rows, and those whose rows are on their way by the sessions.
const AT_WORK: &str = "
    select (select count(*) from migration_status.migration_chunk_status where status = 'in_progress'),
           (select count(distinct application_name) from pg_stat_activity
            where datname = current_database() and state <> 'idle'
              and application_name ~ '^thaw/[0-9a-f-]{36}/[0-9]+/[0-9]+$')";

/// The most chunks whose times, from claim to end, share a moment.
const OVERLAP: &str = "
    select coalesce(max(others.count), 0)
    from migration_status.migration_chunk_status c
    cross join lateral (
      select count(*) from migration_status.migration_chunk_status o
      where o.claimed_at <= c.claimed_at and o.finished_at > c.claimed_at
    ) others";

fn setting() -> Setting {
    let mut setting =
        Setting::of(ORDERS, 2_400, 200).with("/sources/0/tables/0/parallel_threads", json!(CAP));
    setting.target_sql.push(SLOWLY.to_owned());
    setting
}

/// Looks at the work until told to stop; the most that was at work at any look, by rows and by sessions.
struct Watch {
    stop: tokio::sync::oneshot::Sender<()>,
    task: JoinHandle<Result<(i64, i64)>>,
}

impl Watch {
    async fn start(stage: &Stage) -> Result<Self> {
        let client = stage.target.connect().await?;
        let (stop, stopped) = tokio::sync::oneshot::channel();
        Ok(Self { stop, task: tokio::spawn(watch(client, stopped)) })
    }

    async fn most(self) -> Result<(i64, i64)> {
        drop(self.stop);
        self.task.await?
    }
}

async fn watch(client: Client, mut stopped: tokio::sync::oneshot::Receiver<()>) -> Result<(i64, i64)> {
    let exists = "select to_regclass('migration_status.migration_chunk_status') is not null";
    let (mut rows, mut sessions) = (0, 0);
    while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
        if client.query_one(exists, &[]).await?.get::<_, bool>(0) {
            let seen = client.query_one(AT_WORK, &[]).await?;
            rows = rows.max(seen.get(0));
            sessions = sessions.max(seen.get(1));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok((rows, sessions))
}

fn workers(stage: &Stage) -> Result<Vec<Process>> {
    ["worker-1", "worker-2", "worker-3"].into_iter().map(|name| stage.worker(name)).collect()
}

async fn overlap(stage: &Stage) -> Result<i64> {
    Ok(stage.client.query_one(OVERLAP, &[]).await?.get(0))
}

#[tokio::test]
async fn three_workers_load_no_more_chunks_of_a_table_at_once_than_its_cap_though_one_is_killed() -> Result<()>
{
    let stage = Stage::set(setting()).await?;
    let watch = Watch::start(&stage).await?;
    let mut workers = workers(&stage)?;
    let planner = stage.planner_run()?;
    let victim = wait::until_some("a worker to be in the middle of a chunk", PATIENCE, async || {
        let Some(status) = fleet::newest_run(&stage.client).await? else { return Ok(None) };
        if status.chunks_completed < 2 {
            return Ok(None);
        }
        for (number, worker) in workers.iter().enumerate() {
            if let Some(id) = fleet::worker_id(worker)?
                && fleet::chunks_held(&stage.client, &id).await? > 0
            {
                return Ok(Some(number));
            }
        }
        Ok(None)
    })
    .await?;
    workers[victim].signal(Signal::KILL)?;
    let status = stage.expect_completed(planner).await?;
    stage.expect_equal().await?;
    assert_eq!(status.chunks, 12);
    let (rows, sessions) = watch.most().await?;
    assert_eq!((rows, overlap(&stage).await?), (CAP, CAP), "never more, and not one by one");
    assert!(sessions <= CAP, "{sessions} loads at once");
    Ok(())
}

#[tokio::test]
async fn a_cap_holds_for_the_chunks_that_a_retry_takes_up_again() -> Result<()> {
    let mut setting = setting();
    setting
        .target_sql
        .push("alter table orders add constraint impossible check (\"O_ORDERKEY\" < 0) not valid".to_owned());
    let stage = Stage::set(setting).await?;
    let _workers = workers(&stage)?;
    let mut planner = stage.planner_run()?;
    ensure!(planner.wait(PATIENCE).await? == 2, "no row can be loaded");
    let failed = stage.status().await?;
    assert_eq!((failed.chunks_failed, failed.chunks), (12, 12));

    stage.client.batch_execute("alter table orders drop constraint impossible").await?;
    let watch = Watch::start(&stage).await?;
    let retry = stage.fleet.planner("retry", &["retry", &failed.run])?.spawn()?;
    stage.expect_completed(retry).await?;
    stage.expect_equal().await?;
    let (rows, sessions) = watch.most().await?;
    assert_eq!((rows, overlap(&stage).await?), (CAP, CAP), "never more, and not one by one");
    assert!(sessions <= CAP, "{sessions} loads at once");
    Ok(())
}
