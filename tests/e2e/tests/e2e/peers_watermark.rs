//! Rows that users of other tools lost, or read for ever, at the watermark; the numbers are those of the collection.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::Signal;

use crate::history::{FRESH, SOURCE, TARGET, commit, entry, last, names, run, set};

/// Every tie and every fraction counts: nothing below the bound is read again.
fn exactly() -> Value {
    entry(json!({ "watermark_lookback": 0 }))
}

async fn loaded(rows: &str) -> Result<Stage> {
    let stage =
        set(&[SOURCE, &format!("insert into TPCH.SF.T values {rows}")], TARGET, vec![exactly()]).await?;
    run(&stage, &[]).await?;
    Ok(stage)
}

async fn add(stage: &Stage, rows: &str) -> Result<()> {
    commit(stage, &format!("insert into TPCH.SF.T values {rows}")).await
}

/// airbyte#84400: nanoseconds were rounded up to microseconds; the checkpoint lay above every real value.
#[tokio::test]
async fn peers_01_nanoseconds_are_not_rounded_up_over_a_later_row() -> Result<()> {
    let stage = loaded("(1, '2024-01-10 00:00:00.123456600', 'a')").await?;
    add(&stage, "(2, '2024-01-10 00:00:00.123456700', 'in the gap')").await?;
    run(&stage, &[]).await?;
    ensure!(names(&stage).await? == ["a", "in the gap"]);
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// airbyte#82705: rounding down made an upper bound miss the greatest row; with one value all of them were lost.
#[tokio::test]
async fn peers_02_the_greatest_row_arrives_also_where_all_rows_have_one_value() -> Result<()> {
    let stage =
        loaded("(1, '2024-01-10 00:00:00.999999999', 'a'), (2, '2024-01-10 00:00:00.999999999', 'b')")
            .await?;
    ensure!(names(&stage).await? == ["a", "b"]);
    add(&stage, "(3, '2024-02-10 00:00:00.999999999', 'c')").await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// airbyte#83778: a wall clock was bound in the zone of the process; rows within its offset were skipped.
#[tokio::test]
async fn peers_03_the_zones_of_process_and_database_move_no_wall_clock() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-10 12:00:00', 'a')";
    let stage = set(&[SOURCE, rows], TARGET, vec![exactly()]).await?;
    let zone = "do $$ begin execute format('alter database %I set timezone to ''Pacific/Kiritimati''', \
                current_database()); end $$";
    stage.client.batch_execute(zone).await?;
    for row in ["(2, '2024-01-10 12:00:01', 'a second later')", "(3, '2024-01-10 12:00:02', 'and another')"] {
        let planner = stage.fleet.planner("planner", FRESH)?.env("TZ", "America/New_York");
        let finished = planner.run(PATIENCE).await?;
        ensure!(finished.code == 0, "{}", finished.stderr);
        add(&stage, row).await?;
    }
    let third = run(&stage, &[]).await?;
    ensure!(third.low.as_deref() == Some("2024-01-10 12:00:01.000000000"), "{third:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// airbyte#70257: where the cursor equalled MAX the range had no width, and no row was read.
#[tokio::test]
async fn peers_04_a_row_at_the_bound_itself_is_read() -> Result<()> {
    let stage = loaded("(1, '2024-01-10 00:00:00', 'a')").await?;
    add(&stage, "(2, '2024-01-10 00:00:00', 'same moment')").await?;
    let second = run(&stage, &[]).await?;
    ensure!((second.fetched, second.inserted, second.updated) == (2, 1, 0), "{second:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// airbyte#14732, #15158, #44402: `>` lost ties, `>=` doubled them with every run.
#[tokio::test]
async fn peers_06_ties_are_neither_lost_nor_doubled_nor_written_again() -> Result<()> {
    let stage = loaded("(1, '2024-01-10 00:00:00', 'a'), (2, '2024-01-10 00:00:00', 'b')").await?;
    for id in 3..6 {
        add(&stage, &format!("({id}, '2024-01-10 00:00:00', 'tie')")).await?;
        let next = run(&stage, &[]).await?;
        ensure!((next.inserted, next.updated) == (1, 0), "{next:?}");
    }
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// airbyte#21500: pages by OFFSET skipped rows when the cursor of some moved during the sync.
#[tokio::test]
async fn peers_07_pages_do_not_shift_when_watermarks_move_during_the_run() -> Result<()> {
    let rows: Vec<String> = (0..400).map(|id| format!("({id}, '2024-01-01 00:00:00', 'first')")).collect();
    let paged = entry(json!({ "strategy": "offset_based", "chunking_columns": ["WM"] }));
    let setting = Setting {
        source_sql: vec![SOURCE.into(), format!("insert into TPCH.SF.T values {}", rows.join(", "))],
        target_sql: vec![TARGET.into()],
        entries: vec![paged],
        ..Setting::default()
    };
    let stage = Stage::set(setting.batch(100)).await?;
    let planner = stage.planner_run()?;
    let mut worker = stage.faulty_worker("worker", "after_claim=stop@2")?.spawn()?;
    stage
        .await_status("a page", |status| status.chunks_completed == 1 && status.chunks_in_progress == 1)
        .await?;
    let moved = "update TPCH.SF.T set WM = '2024-03-01 00:00:00', NAME = 'moved' where mod(ID, 3) = 0";
    stage.emulator.sql_committed(&[moved], 0.0).await?;
    worker.signal(Signal::CONT)?;
    let status = stage.expect_completed(planner).await?;
    ensure!((status.chunks, status.rows_fetched) == (4, 400), "{status:?}");
    ensure!(names(&stage).await?.iter().all(|name| name == "first"), "the pages are of two moments");
    stage.emulator.advance_clock(json!({ "advance_seconds": 60 })).await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// sling-cli#356: the key of an update lost its fraction and its zone.
#[tokio::test]
async fn peers_09_instants_keep_their_fraction_and_are_compared_across_offsets() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-10 12:00:00.123456789 +0530', 'a')";
    let stage = set(
        &["create table TPCH.SF.T (ID number(38,0), WM timestamp_tz(9), NAME varchar)", rows],
        "create table t (\"ID\" bigint primary key, \"WM\" timestamptz, \"NAME\" text)",
        vec![exactly()],
    )
    .await?;
    let first = run(&stage, &[]).await?;
    ensure!(first.high.as_deref() == Some("2024-01-10 06:30:00.123456789 +0000"), "{first:?}");
    // Later as an instant, earlier as a text.
    add(&stage, "(2, '2024-01-10 01:30:00.123456790 -0500', 'b')").await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

/// sling-cli#307: a bound cut to milliseconds read the same rows again for ever.
#[tokio::test]
async fn peers_10_what_is_up_to_date_stays_so_and_is_not_written() -> Result<()> {
    let stage =
        loaded("(1, '2024-01-10 00:00:00.000123', 'a'), (2, '2024-01-10 00:00:00.000456', 'b')").await?;
    for _ in 0..3 {
        let again = run(&stage, &[]).await?;
        ensure!((again.fetched, again.inserted, again.updated) == (1, 0, 0), "{again:?}");
        ensure!(again.low.as_deref() == Some("2024-01-10 00:00:00.000456000"), "{again:?}");
    }
    Ok(())
}

/// sling-cli#380: new rows without a value in the update key never arrived.
#[tokio::test]
async fn peers_11_rows_without_a_watermark_arrive_whenever_they_come() -> Result<()> {
    let stage = loaded("(1, '2024-01-10 00:00:00', 'a')").await?;
    for id in 2..4 {
        add(&stage, &format!("({id}, null, 'no watermark')")).await?;
        run(&stage, &[]).await?;
        stage.expect_table_equal("TPCH.SF.T", "t").await?;
    }
    ensure!(last(&stage).await?.decisions.contains("have no watermark"));
    Ok(())
}

/// airbyte#9915: seconds were rounded up in the cursor.
#[tokio::test]
async fn peers_12_a_target_of_whole_seconds_does_not_round_the_bound_up() -> Result<()> {
    let stage = set(
        &[SOURCE, "insert into TPCH.SF.T values (1, '2024-01-10 00:00:00.600', 'a')"],
        "create table t (\"ID\" bigint primary key, \"WM\" timestamp(0), \"NAME\" text)",
        vec![exactly()],
    )
    .await?;
    run(&stage, &[]).await?;
    add(&stage, "(2, '2024-01-10 00:00:00.700', 'b')").await?;
    run(&stage, &[]).await?;
    ensure!(names(&stage).await? == ["a", "b"]);
    Ok(())
}
