//! One worker, one slot, one chunk: how fast 750,000 orders load, what a million rows cost in memory, and how fast the
//! emulator could have been read at all.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::{ORDERS, TpchTable};
use thaw_harness::{EmulatorOptions, PostgresServer, TestDatabase, TestVhost};

use crate::{Servers, count, megabytes, say};

const TOKEN: &str = "bench";
const LIMIT: Duration = Duration::from_secs(900);

pub(crate) async fn measure(servers: &Servers) -> Result<()> {
    for (rows, what) in [(750_000, "speed"), (1_000_000, "memory")] {
        let vhost = TestVhost::create_on(&servers.rabbit.url(), servers.rabbit.control().clone())?;
        let account = TestDatabase::create_on(&servers.postgres.url()).await?;
        load(rows, what, &servers.postgres, account, &vhost.url()).await?;
    }
    Ok(())
}

async fn load(
    rows: u64,
    what: &str,
    postgres: &PostgresServer,
    account: TestDatabase,
    broker: &str,
) -> Result<()> {
    let setting = Setting {
        emulator: EmulatorOptions {
            // Rows in storage order: shuffling is for correctness, and not what is measured.
            arguments: vec!["--calm".into(), "--token".into(), format!("pat:LOADER={TOKEN}")],
            ..EmulatorOptions::default()
        },
        target_server: Some(postgres.url()),
        account: Some(account),
        broker: Some(broker.to_owned()),
        ..Setting::of(ORDERS, rows, 10_000_000)
    };
    let stage = Stage::set(setting).await?;
    let read = read_rate(stage.emulator.url(), ORDERS).await?;
    let worker = stage.fleet.worker("worker", 1)?.spawn()?;
    let start = Instant::now();
    let mut planner = stage.planner_run()?;
    let code = planner.wait(LIMIT).await?;
    let run = start.elapsed().as_secs_f64();
    ensure!(code == 0, "planner ended with {code}:\n{}", planner.stderr()?);
    let peak = worker.peak_memory()?;
    stage.expect_equal().await?;
    let phases = "select extract(epoch from finished_at - claimed_at)::float8, fetch_ms, decode_ms, load_ms, fetched_rows \
                  from migration_status.migration_chunk_status";
    let chunks = stage.client.query(phases, &[]).await?;
    ensure!(chunks.len() == 1, "{} chunks instead of one", chunks.len());
    let chunk = chunks.first().context("no chunk")?;
    let seconds: f64 = chunk.get(0);
    let loaded: i64 = chunk.get(4);
    let mut line = format!("{what}: {loaded} orders in one chunk, one slot: ");
    write!(line, "{:.0} rows/s ({seconds:.2} s; whole run {run:.2} s)", count(loaded) / seconds)?;
    write!(line, ", worker VmHWM {:.1} MB", megabytes(peak)?)?;
    say(&line);
    let milliseconds = |index: usize| chunk.get::<_, Option<i32>>(index).unwrap_or(0);
    say(&format!(
        "  phases: fetch {} ms, decode {} ms, load {} ms",
        milliseconds(1),
        milliseconds(2),
        milliseconds(3)
    ));
    say(&format!(
        "  the emulator alone, read to the end by a client that does nothing else: {:.0} rows/s ({} partitions, {:.1} MB \
         compressed, {:.2} s)",
        count(i64::try_from(rows)?) / read.seconds,
        read.partitions,
        megabytes(read.bytes)?,
        read.seconds
    ));
    Ok(())
}

/// What reading a table from the emulator costs by itself.
struct Read {
    seconds: f64,
    partitions: usize,
    bytes: u64,
}

/// Submits the whole table and fetches every partition, without inflating it.
async fn read_rate(url: &str, table: TpchTable) -> Result<Read> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let start = Instant::now();
    let body = json!({"statement": format!("select * from {}", table.source()), "parameters": {"client_result_chunk_size": 16}});
    let request = http.post(format!("{url}/api/v2/statements")).body(body.to_string());
    let first = authorized(request).send().await?.error_for_status()?;
    let text = first.text().await?;
    let mut bytes = u64::try_from(text.len())?;
    let answer: Value = serde_json::from_str(&text)?;
    let handle = answer["statementHandle"].as_str().context("no handle")?;
    let partitions = answer["resultSetMetaData"]["partitionInfo"].as_array().map_or(0, Vec::len);
    for partition in 1..partitions {
        let request = http.get(format!("{url}/api/v2/statements/{handle}?partition={partition}"));
        bytes += u64::try_from(authorized(request).send().await?.error_for_status()?.bytes().await?.len())?;
    }
    Ok(Read { seconds: start.elapsed().as_secs_f64(), partitions, bytes })
}

fn authorized(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request
        .bearer_auth(TOKEN)
        .header("X-Snowflake-Authorization-Token-Type", "PROGRAMMATIC_ACCESS_TOKEN")
        .header("Content-Type", "application/json")
        .header("Accept", "application/json")
        .header("User-Agent", "bench/1")
}
