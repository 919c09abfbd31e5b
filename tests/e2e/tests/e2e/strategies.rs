//! Every chunking strategy, from the configuration to the rows: one `planner run --local` each, compared exactly.

use std::cell::Cell;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::tpch::ORDERS;
use thaw_harness::wait;

/// A source table of `columns` with these rows, its target, and the entry that loads one into the other.
struct Case {
    columns: &'static str,
    target: &'static str,
    /// Of the source's CREATE TABLE.
    options: &'static str,
    rows: Vec<String>,
    entry: Value,
}

impl Case {
    fn new(columns: &'static str, target: &'static str, rows: Vec<String>, chunking: &[&str]) -> Self {
        let entry = json!({
            "enabled": true, "source": "T", "target": "t",
            "uniqueness_columns": ["ID"], "chunking_columns": chunking,
        });
        Self { columns, target, options: "", rows, entry }
    }

    fn with(mut self, key: &str, value: Value) -> Self {
        self.entry[key] = value;
        self
    }

    async fn stage(self) -> Result<Stage> {
        let mut source_sql = vec![format!("create table TPCH.SF.T ({}) {}", self.columns, self.options)];
        source_sql.extend(
            self.rows.chunks(500).map(|rows| format!("insert into TPCH.SF.T values {}", rows.join(", "))),
        );
        let setting = Setting {
            source_sql,
            target_sql: vec![format!("create table t ({})", self.target)],
            entries: vec![self.entry],
            ..Setting::default()
        };
        Stage::set(setting.batch(100)).await
    }

    /// Runs it to the end and compares.
    async fn chunks(self) -> Result<Vec<Chunk>> {
        let stage = self.stage().await?;
        run_and_compare(&stage).await
    }
}

/// What a chunk turned out to be: strategy, range, rows.
type Chunk = (String, Value, i64);

async fn run_and_compare(stage: &Stage) -> Result<Vec<Chunk>> {
    run(stage).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    chunks_of(stage).await
}

async fn run(stage: &Stage) -> Result<()> {
    let run = stage.fleet.planner("planner", &["run", "--local"])?.run(PATIENCE).await?;
    ensure!(run.code == 0, "{}\n{}", run.stdout, run.stderr);
    Ok(())
}

async fn chunks_of(stage: &Stage) -> Result<Vec<Chunk>> {
    let sql = "select strategy, range::text, fetched_rows::bigint \
               from migration_status.migration_chunk_status order by chunk_no";
    let rows = stage.client.query(sql, &[]).await?;
    rows.iter().map(|row| Ok((row.get(0), serde_json::from_str(row.get(1))?, row.get(2)))).collect()
}

fn strategies(chunks: &[Chunk]) -> Vec<&str> {
    let mut names: Vec<&str> = chunks.iter().map(|(strategy, ..)| strategy.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn largest(chunks: &[Chunk]) -> i64 {
    chunks.iter().map(|(.., rows)| *rows).max().unwrap_or_default()
}

#[tokio::test]
async fn a_named_single_chunk_is_obeyed_whatever_the_size() -> Result<()> {
    let rows = (0..350).map(|n| format!("({n}, {n})")).collect();
    let case =
        Case::new("ID number(38,0), N number(9,0)", "\"ID\" bigint primary key, \"N\" int", rows, &["ID"]);
    let chunks = case.with("strategy", json!("single_chunk")).chunks().await?;
    ensure!(chunks.len() == 1 && largest(&chunks) == 350, "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn numbers_are_cut_into_ranges_with_fractions_and_nulls() -> Result<()> {
    let rows = (0..900).map(|n| match n % 9 {
        0 => format!("({n}, null)"),
        k => format!("({n}, {}.{:02})", n * k - 400, n % 100),
    });
    let case = Case::new(
        "ID number(38,0), N number(12,2)",
        "\"ID\" bigint primary key, \"N\" numeric(12,2)",
        rows.collect(),
        &["N"],
    );
    let chunks = case.chunks().await?;
    ensure!(strategies(&chunks) == ["numeric_range"] && largest(&chunks) <= 100, "{chunks:?}");
    ensure!(chunks.iter().filter(|(_, range, _)| range["part"] == "nulls").count() == 1, "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn note_21_numbers_kept_as_text_are_cut_as_numbers() -> Result<()> {
    let rows = (0..700).map(|n| match n % 70 {
        0 => format!("({n}, 'x{n}')"),
        1 => format!("({n}, null)"),
        2 => format!("({n}, '{n}.5')"),
        3 => format!("({n}, '{}')", "9".repeat(40)),
        4 => format!("({n}, '')"),
        _ => format!("({n}, '{n}')"),
    });
    let case = Case::new(
        "ID number(38,0), N varchar",
        "\"ID\" bigint primary key, \"N\" text",
        rows.collect(),
        &["N"],
    );
    let chunks = case.with("chunking_column_types", json!(["varchar_numeric"])).chunks().await?;
    ensure!(strategies(&chunks) == ["numeric_range"] && largest(&chunks) <= 100, "{chunks:?}");
    let rows = |part: &str| -> i64 {
        chunks.iter().filter(|(_, range, _)| range["part"] == part).map(|(.., rows)| rows).sum()
    };
    ensure!((rows("unparsed"), rows("nulls"), rows("between")) == (30, 10, 660), "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn texts_are_cut_into_lists_of_values() -> Result<()> {
    let texts = ["it''s", "a\\\\b", "ß", "", "z z", "Z", "\u{1F600}", "a", "A", "\\\"q", "n", "%"];
    let rows = (0..1000).map(|n| match n % 13 {
        12 => format!("({n}, null)"),
        k => format!("({n}, '{}')", texts[k]),
    });
    let case = Case::new(
        "ID number(38,0), G varchar",
        "\"ID\" bigint primary key, \"G\" text",
        rows.collect(),
        &["G"],
    );
    let chunks = case.chunks().await?;
    ensure!(strategies(&chunks) == ["grouped_values"] && largest(&chunks) <= 100, "{chunks:?}");
    ensure!(chunks.iter().any(|(_, range, _)| range["part"] == "in"), "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn days_are_packed_and_the_last_pack_is_checked_too() -> Result<()> {
    let rows = (0..1000).map(|n| match n % 100 {
        0 => format!("({n}, null)"),
        1 => format!("({n}, '0001-01-01')"),
        2 => format!("({n}, '9999-12-31')"),
        _ => format!("({n}, dateadd(day, {}, '2024-02-20'::date))", n % 15),
    });
    let case = Case::new(
        "ID number(38,0), D date",
        "\"ID\" bigint primary key, \"D\" date",
        rows.collect(),
        &["D", "ID"],
    );
    let chunks = case.with("strategy", json!("date_range")).chunks().await?;
    ensure!(strategies(&chunks) == ["date_range"] && largest(&chunks) <= 100, "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn a_large_day_is_read_in_pages_with_the_old_scripts_metadata() -> Result<()> {
    let rows = (0..900).map(|n| match n {
        0..350 => format!("({n}, '2024-01-10 {:02}:00:00', {})", n % 24, n % 5),
        350..360 => format!("({n}, null, 1)"),
        _ => format!("({n}, dateadd(hour, {n}, '2024-01-11 00:00:00'::timestamp_ntz), 1)"),
    });
    let case = Case::new(
        "ID number(38,0), \"At\" timestamp_ntz(9), V number(9,0)",
        "\"ID\" bigint primary key, \"At\" timestamp, \"V\" int",
        rows.collect(),
        &["At"],
    );
    let chunks = case.chunks().await?;
    ensure!(strategies(&chunks) == ["date_range", "date_range_offset"], "{chunks:?}");
    ensure!(largest(&chunks) <= 100, "{chunks:?}");
    let pages: Vec<&Value> =
        chunks.iter().filter(|(name, ..)| name == "date_range_offset").map(|(_, range, _)| range).collect();
    ensure!(
        pages.first()
            == Some(&&json!({
                "strategy": "date_range_offset", "date_value": "2024-01-10",
                "offset": 0, "limit": 100, "sub_chunk_index": 1, "total_sub_chunks": 4,
            })),
        "{pages:?}"
    );
    ensure!(pages.len() == 4, "{pages:?}");
    Ok(())
}

#[tokio::test]
async fn rows_without_a_column_to_cut_by_are_read_in_pages() -> Result<()> {
    // Every row is there three times, and the columns hold ties: only the whole row tells rows apart.
    let mut case = Case::new(
        "A number(38,0), B number(9,0), C variant",
        "\"A\" bigint, \"B\" int, \"C\" text",
        Vec::new(),
        &[],
    );
    case.entry["uniqueness_columns"] = Value::Null;
    case.entry["strategy"] = "offset_based".into();
    let stage = case.stage().await?;
    let rows: Vec<String> =
        (0..600).map(|n| format!("({}, {}, '[{}]')", n / 3, n / 3 % 2, n / 3 % 7)).collect();
    let values = rows.join(", ");
    let insert =
        format!("insert into TPCH.SF.T select column1, column2, parse_json(column3) from values {values}");
    stage.emulator.sql(&[&insert]).await?;
    let chunks = run_and_compare(&stage).await?;
    ensure!(strategies(&chunks) == ["offset_based"] && chunks.len() == 6, "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn a_text_with_nul_can_bound_a_chunk() -> Result<()> {
    let rows = (0..300).map(|n| format!("({n}, '{}\\u0000x')", n % 4)).collect();
    let case = Case::new("ID number(38,0), G varchar", "\"ID\" bigint primary key, \"G\" text", rows, &["G"]);
    let stage = case.with("nul_in_text", json!("strip")).stage().await?;
    run(&stage).await?;
    let chunks = chunks_of(&stage).await?;
    ensure!(strategies(&chunks) == ["grouped_values"] && chunks.len() == 4, "{chunks:?}");
    let sql = "select count(*) from t where \"G\" = (\"ID\" % 4) || 'x'";
    let arrived: i64 = stage.client.query_one(sql, &[]).await?.get(0);
    ensure!(arrived == 300, "{arrived}");
    Ok(())
}

#[tokio::test]
async fn a_named_strategy_that_the_column_cannot_carry_is_refused_with_what_fits() -> Result<()> {
    let rows = (0..3).map(|n| format!("({n}, {n})")).collect();
    let case =
        Case::new("ID number(38,0), N number(9,0)", "\"ID\" bigint primary key, \"N\" int", rows, &["N"]);
    let stage = case.with("strategy", json!("date_range")).stage().await?;
    let run = stage.fleet.planner("planner", &["run", "--local"])?.run(PATIENCE).await?;
    let said = format!("{}{}", run.stdout, run.stderr);
    ensure!(run.code != 0 && said.contains("\"N\"") && said.contains("numeric_range"), "{} {said}", run.code);
    Ok(())
}

#[tokio::test]
async fn days_of_instants_begin_at_midnight_in_the_tables_time_zone() -> Result<()> {
    // 23:30 of the day before in Berlin and 00:30 there are the same day in UTC; offsets of the values differ too.
    for (columns, offset) in [
        ("ID number(38,0), \"At\" timestamp_ltz(9)", ""),
        ("ID number(38,0), \"At\" timestamp_tz(9)", " -0700"),
    ] {
        let rows = (0..600).map(|n| {
            let (day, hour, minute) = (1 + n % 28, n % 24, n * 7 % 60);
            format!("({n}, '2024-03-{day:02} {hour:02}:{minute:02}:00.5{offset}')")
        });
        let case =
            Case::new(columns, "\"ID\" bigint primary key, \"At\" timestamptz", rows.collect(), &["At"]);
        let chunks = case.with("timezone", json!("Europe/Berlin")).chunks().await?;
        ensure!(strategies(&chunks) == ["date_range"] && chunks.len() > 5, "{columns}: {chunks:?}");
    }
    Ok(())
}

#[tokio::test]
async fn flags_and_many_texts_are_cut_without_a_list_too_long() -> Result<()> {
    let flags = (0..250).map(|n| match n % 5 {
        0 => format!("({n}, null)"),
        k => format!("({n}, {})", k % 2 == 0),
    });
    let case = Case::new(
        "ID number(38,0), F boolean",
        "\"ID\" bigint primary key, \"F\" boolean",
        flags.collect(),
        &["F"],
    );
    let chunks = case.chunks().await?;
    ensure!(strategies(&chunks) == ["grouped_values"] && chunks.len() == 3, "{chunks:?}");
    let texts = (0..3000).map(|n| format!("({n}, 'patient {}')", n * 7919 % 3000));
    let case = Case::new(
        "ID number(38,0), K varchar",
        "\"ID\" bigint primary key, \"K\" text",
        texts.collect(),
        &["K"],
    );
    let chunks =
        case.with("batch_size", json!(1500)).with("batch_size_copy_mode", json!(1500)).chunks().await?;
    ensure!(chunks.len() == 2 && chunks.iter().all(|(_, range, _)| range["part"] == "between"), "{chunks:?}");
    Ok(())
}

#[tokio::test]
async fn pages_without_a_snapshot_are_only_had_by_name_and_are_read_again() -> Result<()> {
    let rows = (0..350).map(|n| format!("({n}, '2024-01-10', '2024-01-11 00:00:00'::timestamp_ntz)"));
    let mut case = Case::new(
        "ID number(38,0), D date, W timestamp_ntz(9)",
        "\"ID\" bigint primary key, \"D\" date, \"W\" timestamp",
        rows.collect(),
        &["D"],
    );
    case.entry["source_watermark"] = json!("W");
    case.options = "data_retention_time_in_days = 0";
    let stage = case.with("strategy", json!("date_range_offset")).stage().await?;
    run(&stage).await?;
    let sql = "select leaves_gap, snapshot is null, watermark_safe is null, chunk_count \
               from migration_status.migration_table_status";
    let row = stage.client.query_one(sql, &[]).await?;
    let found = (row.get::<_, bool>(0), row.get::<_, bool>(1), row.get::<_, bool>(2), row.get::<_, i32>(3));
    // One empty NULL chunk, four pages, an empty range before and one behind them.
    ensure!(found == (true, true, true, 7), "{found:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_hundred_thousand_chunks_are_planned_stored_and_published_in_flat_memory() -> Result<()> {
    let stage = Stage::set(Setting::of(ORDERS, 100_000, 1)).await?;
    let mut planner = stage.fleet.planner("planner", &["run", "--detach"])?.spawn()?;
    let peak = Cell::new(0);
    wait::until("the planner to end", PATIENCE, async || {
        let now = planner.peak_memory();
        peak.set(*now.as_ref().unwrap_or(&peak.get()));
        Ok(now.is_err())
    })
    .await?;
    let code = planner.wait(PATIENCE).await?;
    ensure!(code == 0, "{}\n{}", planner.stdout()?, planner.stderr()?);
    let sql = "select count(*), max(expected_rows) from migration_status.migration_chunk_status";
    let row = stage.client.query_one(sql, &[]).await?;
    let found = (row.get::<_, i64>(0), row.get::<_, i64>(1));
    ensure!(found == (100_000, 1), "{found:?}");
    ensure!(peak.get() > 0 && peak.get() < 100 * 1024 * 1024, "VmHWM was {} bytes", peak.get());
    Ok(())
}

#[tokio::test]
async fn note_06_one_statement_counts_a_table_of_many_dates() -> Result<()> {
    let rows = (0..600).map(|n| format!("({n}, dateadd(day, {}, '2024-01-01'::date))", n % 200)).collect();
    let case = Case::new("ID number(38,0), D date", "\"ID\" bigint primary key, \"D\" date", rows, &["D"]);
    let stage = case.stage().await?;
    stage.emulator.clear_statements().await?;
    let chunks = run_and_compare(&stage).await?;
    let scans = stage.emulator.statements("at(timestamp").await?.len();
    ensure!(chunks.len() == 7 && scans == chunks.len() + 1, "{scans} statements for {} chunks", chunks.len());
    Ok(())
}
