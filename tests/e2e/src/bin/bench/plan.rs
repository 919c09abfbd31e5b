//! Planning: a hundred thousand chunks, planned, stored and published with confirms; and two tables of the field, which
//! are planned without being written. Each is held to its limit, on an optimised build and a machine that does nothing
//! else.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use thaw_e2e::{Setting, Stage, scale};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{EmulatorOptions, TestDatabase, TestVhost, wait};

use crate::{Servers, megabytes, say};

const CHUNKS: u64 = 100_000;
const LIMIT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) async fn measure(servers: &Servers) -> Result<()> {
    let mut is_within = many_chunks(servers).await?;
    let vhost = vhost(servers)?;
    let stage = scale::field_note_5("date_range_offset", setting(servers, &vhost).await?).await?;
    let (planned, is_quick) = dry_run(&stage, ("plan_272m_rows_s", 3.0)).await?;
    is_within &= is_quick;
    ensure!(planned["chunks"]["count"] == scale::CHUNKS, "{planned}");
    let stage = scale::nothing_new(setting(servers, &vhost).await?).await?;
    let (planned, is_quick) = dry_run(&stage, ("plan_nothing_new_s", 1.0)).await?;
    is_within &= is_quick;
    ensure!(planned["chunks"]["count"].as_u64().is_some_and(|chunks| chunks <= 1), "{planned}");
    ensure!(is_within, "planning is slower or larger than it may be");
    Ok(())
}

/// Prints a figure; false: it is above its limit.
fn within(name: &str, figure: f64, limit: f64, unit: &str) -> bool {
    say(&format!("BENCH {name} {figure:.2} {unit}"));
    if figure > limit {
        say(&format!("  above the limit of {limit} {unit}"));
    }
    figure <= limit
}

/// Plans without writing, and prints how long that took, its statements included.
async fn dry_run(stage: &Stage, (name, limit): (&str, f64)) -> Result<(Value, bool)> {
    let start = Instant::now();
    let planned = scale::dry_run(stage).await?;
    let seconds = start.elapsed().as_secs_f64();
    let (statements, scans) = scale::statements(stage).await?;
    let is_within = within(name, seconds, limit, "s");
    say(&format!("  statements that scan a table: {scans}; all statements together: {statements:.2} s"));
    Ok((planned, is_within))
}

fn vhost(servers: &Servers) -> Result<TestVhost> {
    TestVhost::create_on(&servers.rabbit.url(), servers.rabbit.control().clone())
}

async fn setting(servers: &Servers, vhost: &TestVhost) -> Result<Setting> {
    Ok(Setting {
        emulator: EmulatorOptions { arguments: vec!["--calm".into()], ..EmulatorOptions::default() },
        target_server: Some(servers.postgres.url()),
        account: Some(TestDatabase::create_on(&servers.postgres.url()).await?),
        broker: Some(vhost.url()),
        ..Setting::default()
    })
}

async fn many_chunks(servers: &Servers) -> Result<bool> {
    let vhost = vhost(servers)?;
    let setting = setting(servers, &vhost).await?;
    // One row a chunk: the rows cost nothing, the chunks what chunks cost.
    let stage = Stage::set(Setting { tables: vec![(ORDERS, CHUNKS)], ..setting }.batch(1)).await?;
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
    let is_quick = within("plan_100k_chunks_s", seconds, 15.0, "s");
    let is_small = within("plan_100k_chunks_rss_mb", megabytes(peak)?, 100.0, "MB");
    Ok(is_quick && is_small)
}

fn messages(vhost: &TestVhost) -> Result<u64> {
    let queues = vhost.rabbitmqctl("list_queues", &["--quiet", "name", "messages"])?;
    let count = queues.lines().find_map(|line| line.strip_prefix("thaw.chunks\t"));
    Ok(count.context("no queue")?.trim().parse()?)
}
