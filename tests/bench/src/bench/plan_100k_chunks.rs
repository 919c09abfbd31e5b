//! A hundred thousand chunks, planned, stored and published with confirms.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{EmulatorOptions, TestDatabase, TestVhost, wait};

use crate::figure::{Figure, Goal, megabytes, scaled};
use crate::rig::{LIMIT, Rig};
use crate::rounds::Side;

const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let chunks = scaled(100_000, rig.scale);
    let (mut seconds, mut peak) = (Side::default(), 0);
    for _ in 0..rig.rounds {
        let (took, memory) = plan(rig, chunks).await?;
        seconds.add(took);
        peak = memory.max(peak);
    }
    Ok(vec![
        Figure::new("plan_100k_chunks_s", seconds.median()?, "s")
            .goal(Goal::AtMost(15.0))
            .note(format!("{chunks} chunks: {} s", seconds.spread())),
        Figure::new("plan_100k_chunks_rss_mb", megabytes(peak), "MB").goal(Goal::AtMost(100.0)),
    ])
}

async fn plan(rig: &Rig, chunks: u64) -> Result<(f64, u64)> {
    let vhost = TestVhost::create_on(&rig.rabbit.url(), rig.rabbit.control().clone())?;
    let setting = setting(rig, &vhost).await?;
    // One row a chunk: the rows cost nothing, the chunks what chunks cost.
    let stage = Stage::set(Setting { tables: vec![(ORDERS, chunks)], ..setting }.batch(1)).await?;
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
    ensure!(stored == i64::try_from(chunks)?, "{stored} chunks are stored");
    // The broker's statistics lag behind what it has confirmed.
    wait::until("every hint to be in the queue", LIMIT, async || Ok(messages(&vhost)? == chunks)).await?;
    Ok((seconds, peak))
}

/// A stage of its own on the rig's servers, with an emulator that executes what it is asked.
///
/// # Errors
/// A server refuses.
pub(super) async fn setting(rig: &Rig, vhost: &TestVhost) -> Result<Setting> {
    Ok(Setting {
        emulator: EmulatorOptions { arguments: vec!["--calm".into()], ..EmulatorOptions::default() },
        target_server: Some(rig.target.url()),
        account: Some(TestDatabase::create_on(&rig.target.url()).await?),
        broker: Some(vhost.url()),
        ..Setting::default()
    })
}

fn messages(vhost: &TestVhost) -> Result<u64> {
    let queues = vhost.rabbitmqctl("list_queues", &["--quiet", "name", "messages"])?;
    let count = queues.lines().find_map(|line| line.strip_prefix("thaw.chunks\t"));
    Ok(count.context("no queue")?.trim().parse()?)
}
