//! What happens: plan, load, kill, replace, finish, compare, run again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use thaw_harness::compare::{self, Ends};
use thaw_harness::fleet::{self, RunStatus};
use thaw_harness::{Comparison, Process, Signal, wait};
use tokio_postgres::Client;

use crate::narrate::{grouped, say};
use crate::scene::{Logs, Scene, TABLES};

/// Far more than the demo takes; a machine may be busy.
const LIMIT: Duration = Duration::from_secs(300);
const SLOTS: u16 = 2;

/// Tells it all and returns the last line.
pub(crate) async fn tell(logs: &Logs) -> Result<String> {
    let scene = Scene::set(logs).await?;
    let told = act(&scene).await;
    if told.is_err() {
        scene.collect_logs(logs);
    }
    told
}

async fn act(scene: &Scene) -> Result<String> {
    let client = scene.target.connect().await?;
    let start = Instant::now();
    say("Starting two workers and one planner, each a process of its own.");
    let mut victim = scene.fleet.worker("worker-1", SLOTS)?.spawn()?;
    let _second = scene.fleet.worker("worker-2", SLOTS)?.spawn()?;
    let mut planner = scene.fleet.planner("planner", &["run"])?.spawn()?;

    let orphaned = kill_while_loading(&client, &mut victim, &mut planner).await?;
    say(&format!("Killed worker-1 with SIGKILL in the middle of {}. Starting worker-3.", chunks(orphaned)));
    let _third = scene.fleet.worker("worker-3", SLOTS)?.spawn()?;
    follow(&client, &mut planner).await?;
    let seconds = start.elapsed().as_secs_f64();

    let status = newest(&client).await?;
    ensure!(status.state == "completed", "the run ended {}", status.state);
    say(&format!(
        "The run is completed after {seconds:.1} s; the orphaned chunks were loaded by the others ({} counted).",
        if status.failures == 1 { "1 failure".to_owned() } else { format!("{} failures", status.failures) }
    ));
    say("Comparing source and target, row by row, by SQL on both sides.");
    let total = compare_all(scene, &client).await?;
    run_again(scene, &client).await?;
    Ok(format!(
        "demo: {} rows, {} tables, 1 worker killed, {} missing, {} doubled, {seconds:.1} s",
        grouped(total.source_rows),
        TABLES.len(),
        total.missing,
        total.doubled,
    ))
}

/// Freezes the worker, looks whether it holds a chunk right now, and kills it if it does: so the kill cannot miss.
/// Returns the number of its chunks.
async fn kill_while_loading(client: &Client, victim: &mut Process, planner: &mut Process) -> Result<i64> {
    let what = "worker-1 to load a chunk while others are already completed";
    let held = wait::until_some(what, LIMIT, async || {
        still_running(planner)?;
        let (Some(id), Some(status)) = (fleet::worker_id(victim)?, fleet::newest_run(client).await?) else {
            return Ok(None);
        };
        if status.chunks_completed < 2 || fleet::chunks_held(client, &id).await? == 0 {
            return Ok(None);
        }
        victim.signal(Signal::STOP)?;
        let held = fleet::chunks_held(client, &id).await?;
        if held == 0 {
            victim.signal(Signal::CONT)?;
            return Ok(None);
        }
        Ok(Some(held))
    })
    .await?;
    victim.signal(Signal::KILL)?;
    victim.wait(LIMIT).await?;
    Ok(held)
}

fn still_running(planner: &mut Process) -> Result<()> {
    if let Some(status) = planner.status()? {
        bail!("the planner ended too early: {status}");
    }
    Ok(())
}

/// Shows progress until the planner has ended well.
async fn follow(client: &Client, planner: &mut Process) -> Result<()> {
    let mut shown = -1;
    wait::until("the planner's end", LIMIT, async || {
        let ended = planner.status()?.is_some();
        if let Some(status) = fleet::newest_run(client).await? {
            // A line every tenth of the way.
            let tenth = status.chunks_completed * 10 / status.chunks.max(1);
            if tenth > shown {
                shown = tenth;
                say(&progress(&status));
            }
        }
        Ok(ended)
    })
    .await?;
    let code = planner.wait(LIMIT).await?;
    ensure!(code == 0, "the planner ended with exit code {code}:\n{}", planner.stderr()?);
    Ok(())
}

fn progress(status: &RunStatus) -> String {
    let rows = usize::try_from(status.rows_fetched).unwrap_or(0);
    let of = format!("{} of {}", status.chunks_completed, chunks(status.chunks));
    format!("  {} rows loaded, {of} completed, {} in progress", grouped(rows), status.chunks_in_progress)
}

fn chunks(number: i64) -> String {
    if number == 1 { "1 chunk".to_owned() } else { format!("{number} chunks") }
}

/// Compares every table and says what it found; fails unless all are equal.
async fn compare_all(scene: &Scene, target: &Client) -> Result<Comparison> {
    let source = scene.source_client().await?;
    let mut total: Option<Comparison> = None;
    for table in TABLES {
        let name = table.source();
        let found = compare::table(Ends::new(&source, &name, target, table.name)).await?;
        say(&format!(
            "  {:<9} {:>8} rows, checksum {:016x} = {:016x}, {} missing, {} doubled",
            table.name,
            grouped(found.target_rows),
            found.source_checksum & i128::from(u64::MAX),
            found.target_checksum & i128::from(u64::MAX),
            found.missing,
            found.doubled
        ));
        ensure!(found.is_equal(), "{} differs: {found:?}", table.name);
        total = Some(total.map_or(found, |sum| Comparison {
            source_rows: sum.source_rows + found.source_rows,
            target_rows: sum.target_rows + found.target_rows,
            missing: sum.missing + found.missing,
            doubled: sum.doubled + found.doubled,
            ..found
        }));
    }
    total.context("there are no tables")
}

/// Nothing has changed at the source: the second run must cost next to nothing and write nothing.
async fn run_again(scene: &Scene, client: &Client) -> Result<()> {
    say("Running once more: nothing has changed at the source.");
    let first = newest(client).await?;
    scene.emulator.clear_statements().await?;
    let start = Instant::now();
    let finished = scene.fleet.planner("planner-again", &["run"])?.run(LIMIT).await?;
    ensure!(
        finished.code == 0,
        "the second run ended with exit code {}:\n{}",
        finished.code,
        finished.stderr
    );
    let seconds = start.elapsed().as_secs_f64();
    let status = newest(client).await?;
    ensure!(status.run != first.run, "the second run is the first one");
    let statements = scene.emulator.statements("").await?.len();
    say(&format!(
        "  {seconds:.1} s, {statements} statements at the source, {} rows read again, {} written",
        status.rows_fetched, status.rows_written
    ));
    ensure!(status.rows_written == 0, "an up-to-date table was written to");
    ensure!(
        status.rows_fetched * 10 < first.rows_fetched,
        "the second run read {} of {} rows again",
        status.rows_fetched,
        first.rows_fetched
    );
    compare_all(scene, client).await.map(drop)
}

async fn newest(client: &Client) -> Result<RunStatus> {
    fleet::newest_run(client).await?.context("the status tables have no run")
}
