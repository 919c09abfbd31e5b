//! A table without a key, three million rows: one statement whose result the fleet shares, against pages of 50,000 rows,
//! each of which scans and sorts the table again. What is compared is how long the source works.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::{Fleet, TestVhost};

use super::plan_100k_chunks::setting;
use crate::figure::{Figure, Goal, float, scaled};
use crate::rig::{LIMIT, Rig};

const ROWS: u64 = 3_000_000;
const BATCH: u64 = 50_000;

/// What the statements that read rows have cost the source.
struct Reading {
    statements: usize,
    seconds: f64,
    rows_scanned: u64,
}

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let vhost = TestVhost::create_on(&rig.rabbit.url(), rig.rabbit.control().clone())?;
    let rows = scaled(ROWS, rig.scale);
    let entry = json!({ "enabled": true, "source": "ORDERS", "target": "orders", "strategy": "auto" });
    let setting =
        Setting { tables: vec![(ORDERS, rows)], entries: vec![entry], ..setting(rig, &vhost).await? };
    let mut stage = Stage::set(setting.batch(BATCH)).await?;
    let mut costs = Vec::new();
    for strategy in ["auto", "offset_based"] {
        stage.builder = stage.builder.clone().set("/sources/0/tables/0/strategy", json!(strategy));
        stage.fleet = Fleet::new(stage.folder(), &stage.builder)?;
        stage.client.batch_execute("truncate orders").await?;
        stage.emulator.clear_statements().await?;
        let _workers = [stage.worker("worker-1")?, stage.worker("worker-2")?];
        let run = stage.fleet.planner(strategy, &["run", "--no-resume", "--full"])?.run(LIMIT).await?;
        ensure!(run.code == 0, "{strategy}: {}\n{}", run.stdout, run.stderr);
        stage.expect_equal().await.context(strategy)?;
        costs.push(reading(&stage).await?);
    }
    let [one, pages] = costs.as_slice() else { anyhow::bail!("two strategies were measured") };
    let wanted = usize::try_from(rows.div_ceil(BATCH))?;
    ensure!((one.statements, pages.statements) == (1, wanted), "{} and {}", one.statements, pages.statements);
    let figure = Figure::new("one_scan_vs_pages_source_time", pages.seconds / one.seconds, "ratio")
        .goal(Goal::AtLeast(10.0))
        .note(format!(
            "{} rows: 1 statement, {:.1} s of the source, {} M rows read; {} pages, {:.1} s, {} M rows",
            float(rows),
            one.seconds,
            one.rows_scanned / 1_000_000,
            pages.statements,
            pages.seconds,
            pages.rows_scanned / 1_000_000
        ));
    Ok(vec![figure])
}

async fn reading(stage: &Stage) -> Result<Reading> {
    let is_reading = |entry: &&Value| {
        entry["scanned"] == true && !entry["sql"].as_str().is_some_and(|sql| sql.ends_with(" limit 0"))
    };
    let log = stage.emulator.scan_costs("\"O_COMMENT\"").await?;
    let reading: Vec<&Value> = log.iter().filter(is_reading).collect();
    Ok(Reading {
        statements: reading.len(),
        seconds: reading.iter().filter_map(|entry| entry["source_ms"].as_f64()).sum::<f64>() / 1000.0,
        rows_scanned: reading.iter().filter_map(|entry| entry["rows_scanned"].as_u64()).sum(),
    })
}
