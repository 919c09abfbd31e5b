//! A hundred thousand chunks: planned, stored, and published with confirms. How long `planner run --detach` takes from
//! its start to its end, and its peak memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{EmulatorOptions, TestDatabase, TestVhost, wait};

use crate::{Servers, megabytes, say};

const CHUNKS: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) async fn measure(servers: &Servers) -> Result<()> {
    let vhost = TestVhost::create_on(&servers.rabbit.url(), servers.rabbit.control().clone())?;
    let setting = Setting {
        emulator: EmulatorOptions { arguments: vec!["--calm".into()], ..EmulatorOptions::default() },
        target_server: Some(servers.postgres.url()),
        account: Some(TestDatabase::create_on(&servers.postgres.url()).await?),
        broker: Some(vhost.url()),
        // One row a chunk: the rows cost nothing, the chunks what chunks cost.
        ..Setting::of(ORDERS, CHUNKS, 1)
    };
    let stage = Stage::set(setting).await?;
    let launch = stage.fleet.planner("planner", &["run", "--detach"])?;
    let start = Instant::now();
    let mut planner = launch.spawn()?;
    let mut peak = 0;
    while planner.status()?.is_none() {
        ensure!(start.elapsed() < LIMIT, "the planner takes longer than {LIMIT:?}");
        // Its end may come between the two looks.
        peak = planner.peak_memory().unwrap_or(0).max(peak);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    let code = planner.wait(LIMIT).await?;
    ensure!(code == 0, "planner ended with {code}:\n{}", planner.stderr()?);
    let stored = stage.status().await?.chunks;
    ensure!(stored == i64::try_from(CHUNKS)?, "{stored} chunks are stored");
    // The broker's statistics lag behind what it has confirmed.
    wait::until("every hint to be in the queue", LIMIT, async || Ok(messages(&vhost)? == CHUNKS)).await?;
    say(&format!("BENCH plan_100k_chunks_s {seconds:.2} s"));
    say(&format!("BENCH plan_100k_chunks_rss_mb {:.1} MB", megabytes(peak)?));
    Ok(())
}

fn messages(vhost: &TestVhost) -> Result<u64> {
    let queues = vhost.rabbitmqctl("list_queues", &["--quiet", "name", "messages"])?;
    let count = queues.lines().find_map(|line| line.strip_prefix("thaw.chunks\t"));
    Ok(count.context("no queue")?.trim().parse()?)
}
