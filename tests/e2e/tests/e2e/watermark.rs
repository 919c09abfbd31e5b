//! What a run reads of a table with a watermark, over several runs: nothing is stepped over, and nothing is read in
//! vain.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::history::{FRESH, KEYLESS, SOURCE, TARGET, commit, ends_with, entry, last, names, run, set};

#[tokio::test]
async fn note_11_a_failed_initial_load_leaves_no_bound() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'longer than the target takes'), \
                (2, '2024-06-01 00:00:00', 'high')";
    let stage = set(&[SOURCE, rows], TARGET, vec![entry(json!({}))]).await?;
    ends_with(&stage, FRESH, 2).await?;
    let failed = last(&stage).await?;
    ensure!(failed.state == "partial" && failed.low.is_none(), "{failed:?}");
    ensure!(names(&stage).await? == ["high"], "the younger row alone has arrived");
    stage.client.batch_execute("alter table t alter \"NAME\" type text").await?;
    let healed = run(&stage, &[]).await?;
    ensure!(healed.low.is_none() && healed.fetched == 2, "{healed:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_11_a_chunk_that_failed_below_a_younger_one_is_read_until_it_has_arrived() -> Result<()> {
    let stage = set(
        &[SOURCE, "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'first')"],
        TARGET,
        vec![entry(json!({}))],
    )
    .await?;
    let full = run(&stage, &[]).await?;
    ensure!(full.high.as_deref() == Some("2024-01-01 00:00:00.000000000"), "{full:?}");
    commit(
        &stage,
        "insert into TPCH.SF.T values (2, '2024-02-01 00:00:00', 'longer than the target takes'), \
         (3, '2024-06-01 00:00:00', 'young')",
    )
    .await?;
    // Failed twice: the bound stays where it is.
    for _ in 0..2 {
        ends_with(&stage, FRESH, 2).await?;
        let partial = last(&stage).await?;
        ensure!(partial.low.as_deref() == Some("2023-12-31 23:00:00.000000000"), "{partial:?}");
    }
    ensure!(last(&stage).await?.decisions.contains("did not complete"), "the reason is not said");
    stage.client.batch_execute("alter table t alter \"NAME\" type text").await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    // Released.
    let next = run(&stage, &[]).await?;
    ensure!(next.low.as_deref() == Some("2024-05-31 23:00:00.000000000") && next.fetched == 1, "{next:?}");
    Ok(())
}

#[tokio::test]
async fn note_24_a_late_commit_arrives_with_the_next_run_and_what_was_there_costs_no_write() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-10 00:10:00', 'a'), (2, '2024-01-10 00:50:00', 'b'), \
                (3, '2024-01-10 01:05:00', 'c')";
    let stage = set(&[SOURCE, rows], TARGET, vec![entry(json!({}))]).await?;
    run(&stage, &[]).await?;
    commit(&stage, "insert into TPCH.SF.T values (4, '2024-01-10 01:00:00', 'late')").await?;
    let late = run(&stage, &[]).await?;
    ensure!((late.fetched, late.inserted, late.updated) == (4, 1, 0), "{late:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn note_26_a_watermark_in_the_year_9999_moves_no_bound() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-10 00:00:00', 'a'), (2, '9999-12-31 00:00:00', 'open end')";
    let stage = set(&[SOURCE, rows], TARGET, vec![entry(json!({}))]).await?;
    let first = run(&stage, &[]).await?;
    ensure!(first.high.as_deref() == Some("2024-01-10 00:00:00.000000000"), "{first:?}");
    ensure!(first.decisions.contains("1 rows have a watermark above the snapshot"), "{}", first.decisions);
    commit(&stage, "insert into TPCH.SF.T values (3, '2024-01-11 00:00:00', 'b')").await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn nanoseconds_of_the_source_are_kept_and_lose_no_row_in_microseconds() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-10 00:00:00.123456789', 'a')";
    let stage = set(&[SOURCE, rows], TARGET, vec![entry(json!({ "watermark_lookback": 0 }))]).await?;
    let first = run(&stage, &[]).await?;
    ensure!(first.high.as_deref() == Some("2024-01-10 00:00:00.123456789"), "{first:?}");
    commit(&stage, "insert into TPCH.SF.T values (2, '2024-01-10 00:00:00.123456790', 'b')").await?;
    let second = run(&stage, &[]).await?;
    ensure!(second.low.as_deref() == Some("2024-01-10 00:00:00.123456000"), "{second:?}");
    ensure!(second.high.as_deref() == Some("2024-01-10 00:00:00.123456790"), "{second:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn a_date_is_read_again_from_the_day_before() -> Result<()> {
    let stage = set(
        &[
            "create table TPCH.SF.T (ID number(38,0), WM date, NAME varchar)",
            "insert into TPCH.SF.T values (1, '2024-01-08', 'a'), (2, '2024-01-09', 'b'), (3, '2024-01-10', 'c')",
        ],
        "create table t (\"ID\" bigint primary key, \"WM\" date, \"NAME\" text)",
        vec![entry(json!({}))],
    )
    .await?;
    run(&stage, &[]).await?;
    commit(
        &stage,
        "insert into TPCH.SF.T values (4, '2024-01-10', 'later that day'), (5, '2024-01-09', 'late')",
    )
    .await?;
    let second = run(&stage, &[]).await?;
    ensure!(second.low.as_deref() == Some("2024-01-09") && second.fetched == 4, "{second:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn entries_that_share_a_target_have_bounds_of_their_own() -> Result<()> {
    let half = |condition: &str| entry(json!({ "source_filter": condition }));
    let rows =
        "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'low'), (2, '2024-06-01 00:00:00', 'high')";
    let stage = set(&[SOURCE, rows], TARGET, vec![half("NAME = 'low'"), half("NAME = 'high'")]).await?;
    run(&stage, &[]).await?;
    commit(&stage, "insert into TPCH.SF.T values (3, '2024-01-02 00:00:00', 'low')").await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    let lows = "select watermark_low from migration_status.migration_table_status order by table_id";
    let lows: Vec<Option<String>> =
        stage.client.query(lows, &[]).await?.iter().map(|row| row.get(0)).collect();
    let expected = [None, None, Some("2023-12-31 23:00:00.000000000"), Some("2024-05-31 23:00:00.000000000")];
    ensure!(lows.iter().map(Option::as_deref).eq(expected), "{lows:?}");
    Ok(())
}

#[tokio::test]
async fn full_reads_below_the_bound_too() -> Result<()> {
    let rows =
        "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')";
    let stage = set(&[SOURCE, rows], TARGET, vec![entry(json!({}))]).await?;
    run(&stage, &[]).await?;
    stage.client.batch_execute("update t set \"NAME\" = 'tampered' where \"ID\" = 1").await?;
    run(&stage, &[]).await?;
    ensure!(names(&stage).await? == ["tampered", "b"], "the bound was not obeyed");
    let full = run(&stage, &["--full"]).await?;
    ensure!((full.low, full.updated) == (None, 1));
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn since_above_the_safe_bound_leaves_its_gap_to_the_next_run() -> Result<()> {
    let stage = set(
        &[SOURCE, "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a')"],
        TARGET,
        vec![entry(json!({}))],
    )
    .await?;
    run(&stage, &[]).await?;
    commit(
        &stage,
        "insert into TPCH.SF.T values (2, '2024-02-01 00:00:00', 'between'), (3, '2024-06-01 00:00:00', 'young')",
    )
    .await?;
    let above = run(&stage, &["--since", "2024-03-01"]).await?;
    ensure!(above.state == "completed" && above.leaves_gap && above.fetched == 1, "{above:?}");
    ensure!(above.safe.as_deref() == Some("2023-12-31 23:00:00.000000000"), "{above:?}");
    ensure!(names(&stage).await? == ["a", "young"]);
    let ordinary = run(&stage, &[]).await?;
    ensure!(ordinary.low == above.safe && !ordinary.leaves_gap, "{ordinary:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    let below = run(&stage, &["--since=2024-01-15 00:00:00.5"]).await?;
    ensure!(!below.leaves_gap && below.safe.is_none() && below.fetched == 2, "{below:?}");
    ensure!(below.low.as_deref() == Some("2024-01-15 00:00:00.500000000"), "{below:?}");
    let after = run(&stage, &[]).await?;
    ensure!(after.low.as_deref() == Some("2024-05-31 23:00:00.000000000"), "{after:?}");
    Ok(())
}

#[tokio::test]
async fn a_value_of_since_that_a_table_cannot_take_stops_before_anything_is_written() -> Result<()> {
    let unmarked = json!({
        "enabled": true, "source": "U", "target": "u", "uniqueness_columns": ["ID"], "chunking_columns": ["ID"],
    });
    let stage = set(
        &[SOURCE, "create table TPCH.SF.U (ID number(38,0))"],
        &format!("{TARGET}; create table u (\"ID\" bigint primary key)"),
        vec![entry(json!({})), unmarked],
    )
    .await?;
    for way in ["--local", "--dry-run"] {
        let said = ends_with(&stage, &["run", way, "--since", "yesterday"], 1).await?;
        ensure!(said.contains("sources[0].tables[0]") && said.contains("2024-01-10"), "{said}");
        ensure!(said.contains("sources[0].tables[1]") && said.contains("has none"), "{said}");
    }
    let made = "select to_regnamespace('migration_status') is not null";
    ensure!(!stage.client.query_one(made, &[]).await?.get::<_, bool>(0), "something was written");
    ends_with(&stage, &["run", "--local", "--since", "2024-01-01", "--table", "t"], 0).await.map(drop)
}

#[tokio::test]
async fn a_tail_without_keys_is_replaced_and_full_replaces_everything() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b'), \
                (2, '2024-06-01 00:00:00', 'b'), (3, null, 'none')";
    let without = entry(json!({ "uniqueness_columns": [], "watermark_lookback": "1h" }));
    let stage = set(&[SOURCE, rows], KEYLESS, vec![without]).await?;
    run(&stage, &[]).await?;
    commit(&stage, "insert into TPCH.SF.T values (4, '2024-05-31 23:30:00', 'late')").await?;
    let tail = run(&stage, &[]).await?;
    ensure!(tail.low.as_deref() == Some("2024-05-31 23:00:00.000000000") && tail.fetched == 4, "{tail:?}");
    ensure!(names(&stage).await? == ["a", "b", "b", "none", "late"]);
    stage.client.batch_execute("update t set \"NAME\" = 'tampered'").await?;
    let full = run(&stage, &["--full"]).await?;
    ensure!(full.low.is_none() && full.fetched == 5, "{full:?}");
    ensure!(names(&stage).await? == ["a", "b", "b", "none", "late"]);
    // A gap without a bound: nobody deletes everything unasked.
    stage
        .client
        .batch_execute(
            "update migration_status.migration_table_status set status = 'partial', error_class = 'test', \
             watermark_low = null",
        )
        .await?;
    let said = ends_with(&stage, FRESH, 2).await?;
    ensure!(said.contains("--full"), "{said}");
    ensure!(names(&stage).await?.len() == 5);
    run(&stage, &["--full"]).await?;
    ensure!(names(&stage).await? == ["a", "b", "b", "none", "late"]);
    Ok(())
}

#[tokio::test]
async fn a_tail_under_a_filter_leaves_the_rows_of_others() -> Result<()> {
    let rows = "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'mine'), (2, '2024-06-01 00:00:00', 'mine'), \
                (3, '2024-06-01 00:00:00', 'not mine')";
    let mine = json!({ "uniqueness_columns": [], "source_filter": "NAME = 'mine'" });
    let stage = set(&[SOURCE, rows], KEYLESS, vec![entry(mine)]).await?;
    run(&stage, &[]).await?;
    stage.client.batch_execute("insert into t values (9, '2024-07-01 00:00:00', 'by hand')").await?;
    commit(&stage, "insert into TPCH.SF.T values (4, '2024-06-02 00:00:00', 'mine')").await?;
    for flags in [&[][..], &["--full"]] {
        run(&stage, flags).await?;
        ensure!(names(&stage).await? == ["mine", "mine", "mine", "by hand"], "{:?}", names(&stage).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_tail_that_another_entry_may_share_is_nobodys_to_delete() -> Result<()> {
    let rows =
        "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'low'), (2, '2024-06-01 00:00:00', 'high')";
    let part = |filter: &str| entry(json!({ "uniqueness_columns": [], "source_filter": filter }));
    // No row can be in both: each replaces its own tail.
    let apart = set(&[SOURCE, rows], KEYLESS, vec![part("NAME = 'low'"), part("NAME in ('high')")]).await?;
    for _ in 0..2 {
        run(&apart, &[]).await?;
        ensure!(names(&apart).await? == ["low", "high"]);
    }
    // Some may be: what one deletes the other would not load again.
    let overlapping = set(&[SOURCE, rows], KEYLESS, vec![part("ID = 1"), part("NAME = 'high'")]).await?;
    run(&overlapping, &[]).await?;
    let said = ends_with(&overlapping, FRESH, 2).await?;
    ensure!(said.contains("may select the same rows"), "{said}");
    ensure!(names(&overlapping).await? == ["low", "high"]);
    Ok(())
}

#[tokio::test]
async fn a_tail_that_somebody_else_has_rounded_is_not_replaced_unasked() -> Result<()> {
    let without = entry(json!({ "uniqueness_columns": [] }));
    let rows = "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00.1234567', 'a')";
    let stage = set(&[SOURCE, rows], KEYLESS, vec![without]).await?;
    // As PostgreSQL reads the source's text: rounded up.
    stage.client.batch_execute("insert into t values (1, '2024-01-01 00:00:00.1234567', 'a')").await?;
    let said = ends_with(&stage, FRESH, 2).await?;
    ensure!(said.contains("rounded") && said.contains("--full"), "{said}");
    run(&stage, &["--full"]).await?;
    ensure!(names(&stage).await? == ["a"]);
    run(&stage, &[]).await?;
    ensure!(names(&stage).await? == ["a"]);
    Ok(())
}

#[tokio::test]
async fn a_column_that_came_later_is_said_to_be_missing_below_the_bound() -> Result<()> {
    let rows =
        "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')";
    let stage = set(&[SOURCE, rows], TARGET, vec![entry(json!({}))]).await?;
    run(&stage, &[]).await?;
    ensure!(!run(&stage, &[]).await?.decisions.contains("older rows"));
    stage.client.batch_execute("alter table t add name2 text").await?;
    let mapped = json!({ "NAME": "name2" });
    stage.builder.clone().set("/sources/0/tables/0/column_mapping", mapped).write(stage.folder())?;
    let said = ends_with(&stage, FRESH, 0).await?;
    ensure!(said.contains("\"name2\" came after") && said.contains("--full"), "{said}");
    let filled = "select count(*) from t where name2 is not null";
    run(&stage, &["--full"]).await?;
    ensure!(stage.client.query_one(filled, &[]).await?.get::<_, i64>(0) == 2, "--full does not fill all");
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_up_to_date_is_scanned_twice_at_most() -> Result<()> {
    let stage = set(
        &[
            SOURCE,
            "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')",
        ],
        TARGET,
        vec![entry(json!({}))],
    )
    .await?;
    run(&stage, &[]).await?;
    stage.emulator.clear_statements().await?;
    let again = run(&stage, &[]).await?;
    ensure!(again.chunks <= 1 && again.fetched == 1 && again.inserted + again.updated == 0, "{again:?}");
    let scans = stage.emulator.statements("at(timestamp").await?.len();
    ensure!((1..=2).contains(&scans), "{scans} statements scan the table");
    // Nothing at all is left below the lookback: the bound does not move away either.
    commit(&stage, "delete from TPCH.SF.T where ID = 2").await?;
    let none = run(&stage, &[]).await?;
    ensure!(none.chunks == 0 && none.high == again.high, "{none:?}");
    Ok(())
}

#[tokio::test]
async fn wall_clocks_bound_instants_in_the_zone_of_the_entry() -> Result<()> {
    // Tokyo is nine hours ahead, so its clock always shows more than the snapshot's in UTC.
    let stage = set(
        &[
            SOURCE,
            "insert into TPCH.SF.T values (1, '2024-01-10 08:00:00', 'a'), (2, '2024-01-10 20:00:00', 'b')",
        ],
        "create table t (\"ID\" bigint primary key, \"WM\" timestamptz, \"NAME\" varchar(20))",
        vec![entry(json!({ "timezone": "Asia/Tokyo" }))],
    )
    .await?;
    let first = run(&stage, &[]).await?;
    ensure!(first.high.as_deref() == Some("2024-01-10 20:00:00.000000000"), "{first:?}");
    let found: bool =
        stage.client.query_one("select max(\"WM\") = '2024-01-10 11:00:00+00' from t", &[]).await?.get(0);
    ensure!(found, "the target holds the instant");
    commit(&stage, "insert into TPCH.SF.T values (3, '2024-01-10 19:30:00', 'late')").await?;
    let second = run(&stage, &[]).await?;
    // The target's instant as Tokyo's wall clock, less the hours a clock may be set back, less the lookback.
    ensure!(second.low.as_deref() == Some("2024-01-10 16:00:00.000000000"), "{second:?}");
    ensure!(second.fetched == 2 && names(&stage).await? == ["a", "b", "late"], "{second:?}");
    Ok(())
}

#[tokio::test]
async fn texts_and_numbers_can_be_watermarks() -> Result<()> {
    let stage = set(
        &[
            "create table TPCH.SF.T (ID number(38,0), WM varchar, NAME varchar)",
            "create table TPCH.SF.U (ID number(38,0), WM number(38,0), NAME varchar)",
            "insert into TPCH.SF.T values (1, 'B-9', 'a'), (2, 'a-1', 'b'), (3, null, 'none')",
            "insert into TPCH.SF.U values (1, 9, 'a'), (2, 10, 'b'), (3, null, 'none')",
        ],
        "create table t (\"ID\" bigint primary key, \"WM\" text, \"NAME\" text); \
         create table u (\"ID\" bigint primary key, \"WM\" numeric, \"NAME\" text)",
        vec![entry(json!({})), entry(json!({ "source": "U", "target": "u" }))],
    )
    .await?;
    run(&stage, &[]).await?;
    commit(&stage, "insert into TPCH.SF.T values (4, 'a-1', 'tie'), (5, '\u{e9}', 'next')").await?;
    commit(&stage, "insert into TPCH.SF.U values (4, 10, 'tie'), (5, 11, 'next')").await?;
    run(&stage, &[]).await?;
    stage.expect_table_equal("TPCH.SF.T", "t").await?;
    stage.expect_table_equal("TPCH.SF.U", "u").await?;
    let lows = "select array_agg(watermark_low order by table_id), sum(fetched_rows)::bigint \
                from migration_status.migration_table_status where watermark_low is not null";
    let row = stage.client.query_one(lows, &[]).await?;
    let (lows, fetched): (Vec<String>, i64) = (row.get(0), row.get(1));
    ensure!(lows == ["a-1", "10"] && fetched == 8, "{lows:?} {fetched}");
    Ok(())
}

#[tokio::test]
async fn without_a_snapshot_the_next_run_begins_at_what_the_source_held_before() -> Result<()> {
    let keeps_nothing = format!("{SOURCE} data_retention_time_in_days = 0");
    let rows =
        "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')";
    let stage = set(&[&keeps_nothing, rows], TARGET, vec![entry(json!({}))]).await?;
    let first = run(&stage, &[]).await?;
    ensure!(first.decisions.contains("retention 0"), "{}", first.decisions);
    // A younger row in the target, as if a chunk had read it after the count: the count's value holds the bound back.
    stage.client.batch_execute("insert into t values (3, '2024-09-01 00:00:00', 'read later')").await?;
    commit(
        &stage,
        "insert into TPCH.SF.T values (3, '2024-09-01 00:00:00', 'read later'), (4, '2024-07-01 00:00:00', 'missed')",
    )
    .await?;
    let second = run(&stage, &[]).await?;
    ensure!(second.low.as_deref() == Some("2024-05-31 23:00:00.000000000"), "{second:?}");
    ensure!(second.decisions.contains("at the last completed run"), "{}", second.decisions);
    stage.expect_table_equal("TPCH.SF.T", "t").await
}

#[tokio::test]
async fn an_empty_source_empties_no_target_without_keys() -> Result<()> {
    let rows =
        "insert into TPCH.SF.T values (1, '2024-01-01 00:00:00', 'a'), (2, '2024-06-01 00:00:00', 'b')";
    let stage = set(&[SOURCE, rows], KEYLESS, vec![entry(json!({ "uniqueness_columns": [] }))]).await?;
    run(&stage, &[]).await?;
    commit(&stage, "delete from TPCH.SF.T").await?;
    for flags in [&[][..], &["--full"]] {
        let empty = run(&stage, flags).await?;
        ensure!(empty.decisions.contains("allow_empty_source"), "{}", empty.decisions);
        ensure!(names(&stage).await? == ["a", "b"]);
    }
    let allowed = stage.builder.clone().set("/sources/0/tables/0/allow_empty_source", json!(true));
    allowed.write(stage.folder())?;
    run(&stage, &["--full"]).await?;
    ensure!(names(&stage).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_table_cut_by_its_watermark_reads_only_its_last_days() -> Result<()> {
    let days: Vec<String> = (1..=20).map(|day| format!("({day}, '2024-01-{day:02}', 'day')")).collect();
    let stage = set(
        &[
            "create table TPCH.SF.T (ID number(38,0), WM date, NAME varchar)",
            &format!("insert into TPCH.SF.T values {}, (99, null, 'none')", days.join(", ")),
        ],
        "create table t (\"ID\" bigint primary key, \"WM\" date, \"NAME\" text)",
        vec![entry(json!({ "chunking_columns": ["WM"] }))],
    )
    .await?;
    let full = run(&stage, &[]).await?;
    ensure!(full.fetched == 21 && full.high.as_deref() == Some("2024-01-20"), "{full:?}");
    commit(&stage, "insert into TPCH.SF.T values (21, '2024-01-21', 'day'), (22, '2024-01-19', 'late')")
        .await?;
    let next = run(&stage, &[]).await?;
    // The 19th twice, the 20th, the 21st, and the row without a day.
    ensure!(next.low.as_deref() == Some("2024-01-19") && next.fetched == 5 && next.inserted == 2, "{next:?}");
    stage.expect_table_equal("TPCH.SF.T", "t").await
}
