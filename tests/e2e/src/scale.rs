//! Tables at the size they have in the field, without their rows: an aggregate that nobody here could compute is answered
//! by the emulator with what it would find.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Setting, Stage};

/// Rows a chunk in field note 5.
const BATCH: u64 = 25_000;
/// Rows and days of field note 5, and what `date_range_offset` makes of them.
pub const ROWS: u64 = 272_000_000;
const DAYS: u64 = 199;
pub const CHUNKS: u64 = 10_968;

/// Field note 5: 272 million rows on 199 days, 12.4 million of them on one; planned with this strategy.
///
/// # Errors
/// Something does not start.
pub async fn field_note_5(strategy: &str, setting: Setting) -> Result<Stage> {
    let mut source_sql = vec![
        "create table TPCH.SF.CLAIMS (ID number(38,0), VISIT_DATE date)".to_owned(),
        "insert into TPCH.SF.CLAIMS values (1, '2025-01-01'::date)".to_owned(),
        "create table TPCH.SF.FOUND (DAY date, N number(38,0))".to_owned(),
    ];
    let days: Vec<String> = days().iter().map(|(day, rows)| format!("('{day}'::date, {rows})")).collect();
    source_sql.push(format!("insert into TPCH.SF.FOUND values {}", days.join(", ")));
    let setting = Setting {
        source_sql,
        target_sql: vec!["create table claims (\"ID\" bigint primary key, \"VISIT_DATE\" date)".to_owned()],
        entries: vec![json!({
            "enabled": true, "source": "CLAIMS", "target": "claims", "uniqueness_columns": ["ID"],
            "chunking_columns": ["VISIT_DATE"], "chunking_column_types": ["date"], "strategy": strategy,
        })],
        ..setting
    };
    let stage = Stage::set(setting.batch(BATCH)).await?;
    // As the planner's distribution asks for it: bucket, least, greatest, rows, rows before the greatest value, greatest
    // watermark, then NULL watermarks, those above the snapshot, NULL keys, and values that do not parse.
    stage
        .emulator
        .answer(
            "count_if(\"VISIT_DATE\" is not null)",
            "select row_number() over (order by DAY) as I, DAY as LO, DAY as HI, N, 0 as B, null as W, 0 as N0, 0 as N1, \
             0 as N2, 0 as N3 from TPCH.SF.FOUND order by 1",
        )
        .await?;
    Ok(stage)
}

/// Day and rows. All days but one hold 31 to 71 full chunks and more than half of another, 12,412,345 rows are on one,
/// and what is left of the whole is on the last.
fn days() -> Vec<(String, u64)> {
    let mut left = ROWS - 12_412_345;
    let mut days = Vec::new();
    for position in 0..DAYS {
        let rows = match position {
            120 => 12_412_345,
            198 => left,
            _ => (31 + position * 37 % 41) * BATCH + 13_900 + position % 2 * 100,
        };
        if position != 120 && position != 198 {
            left -= rows;
        }
        days.push((day_of(2025, position), rows));
    }
    days
}

/// The day at a position from the year on, in years of twelve months of 28 days.
fn day_of(year: u64, position: u64) -> String {
    let (year, month, day) = (year + position / 336, position % 336 / 28 + 1, position % 28 + 1);
    format!("{year}-{month:02}-{day:02}")
}

/// A target that has everything of 695 days: planning it again finds nothing new. What is planned next has chunks of a
/// day's rows.
///
/// # Errors
/// Something does not start, or the first run does not end well.
pub async fn nothing_new(mut setting: Setting) -> Result<Stage> {
    let rows: Vec<String> = (0..695_u64 * 3)
        .map(|id| {
            let day = day_of(2023, id / 3);
            format!("({id}, '{day}'::date, '{day}'::timestamp_ntz)")
        })
        .collect();
    let columns = "ID number(38,0), VISIT_DATE date, UPDATED_AT timestamp_ntz(9)";
    setting.source_sql = vec![format!("create table TPCH.SF.VISITS ({columns})")];
    setting.source_sql.extend(
        rows.chunks(500).map(|rows| format!("insert into TPCH.SF.VISITS values {}", rows.join(", "))),
    );
    setting.target_sql = vec![
        "create table visits (\"ID\" bigint primary key, \"VISIT_DATE\" date, \"UPDATED_AT\" timestamp)"
            .to_owned(),
    ];
    setting.entries = vec![json!({
        "enabled": true, "source": "VISITS", "target": "visits", "uniqueness_columns": ["ID"],
        "chunking_columns": ["VISIT_DATE"], "chunking_column_types": ["date"],
        "source_watermark": "UPDATED_AT", "target_watermark": "UPDATED_AT",
    })];
    let mut stage = Stage::set(setting).await?;
    let run = stage.fleet.planner("first", &["run", "--local"])?.run(crate::PATIENCE).await?;
    anyhow::ensure!(run.code == 0, "{}\n{}", run.stdout, run.stderr);
    stage.expect_table_equal("TPCH.SF.VISITS", "visits").await?;
    stage.builder = stage.builder.clone().set("/batch_size", json!(3)).set("/batch_size_copy_mode", json!(3));
    stage.fleet = thaw_harness::Fleet::new(stage.folder(), &stage.builder)?;
    stage.emulator.clear_statements().await?;
    Ok(stage)
}

/// What the statements on the source took in the emulator, in seconds, and how many of them scan a table.
///
/// # Errors
/// The emulator does not answer.
pub async fn statements(stage: &Stage) -> Result<(f64, usize)> {
    let log = stage.emulator.statements("").await?;
    let millis: u64 = log.iter().filter_map(|entry| entry["elapsed_ms"].as_u64()).sum();
    // LIMIT 0 asks for the columns, which Snowflake answers without a look at the rows.
    let is_scan = |entry: &&Value| {
        entry["scanned"] == true && !entry["sql"].as_str().is_some_and(|sql| sql.ends_with(" limit 0"))
    };
    let scans = log.iter().filter(is_scan).count();
    Ok((std::time::Duration::from_millis(millis).as_secs_f64(), scans))
}

/// The only table of `planner run --dry-run --json`.
///
/// # Errors
/// It refuses, or prints something else.
pub async fn dry_run(stage: &Stage) -> Result<Value> {
    let run = stage.fleet.planner("dry-run", &["run", "--dry-run", "--json"])?.run(crate::PATIENCE).await?;
    anyhow::ensure!(run.code == 0, "{}\n{}", run.stdout, run.stderr);
    let document: Value = serde_json::from_str(&run.stdout)?;
    document["tables"].get(0).cloned().context("no table was planned")
}
