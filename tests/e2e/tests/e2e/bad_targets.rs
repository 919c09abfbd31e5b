//! Tables that cannot be loaded as they are configured: everything about all of them is said before any row moves.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use thaw_e2e::{PATIENCE, Setting, Stage};
use thaw_harness::Finished;

fn entry(source: &str, target: &str, more: &Value) -> Value {
    let mut entry = json!({ "enabled": true, "source": source, "target": target });
    for (key, value) in more.as_object().into_iter().flatten() {
        entry[key] = value.clone();
    }
    entry
}

fn setting(source: &[&str], target: &[&str], entries: Vec<Value>) -> Setting {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Setting { source_sql: owned(source), target_sql: owned(target), entries, ..Setting::default() }.batch(100)
}

async fn planner(stage: &Stage, arguments: &[&str]) -> Result<Finished> {
    stage.fleet.planner("planner", arguments)?.run(PATIENCE).await
}

fn said(finished: &Finished) -> String {
    format!("{}{}", finished.stdout, finished.stderr)
}

/// What is wrong with one entry after the other: key of the entry that leads there, a part of what is said.
const FAULTS: [(&str, &str); 16] = [
    (".target", "is a view"),
    (".uniqueness_columns", "create unique index on \"public\".\"no_index\" (\"ID\")"),
    ("", "\"REQUIRED\" is NOT NULL"),
    ("", "no column in common"),
    (".column_mapping", "is mapped to \"A\" and \"B\""),
    (".chunking_columns", "the source has no column \"GONE\""),
    (".source_watermark", "\"GONE\" is no column that is loaded"),
    ("", "cannot be loaded into uuid"),
    (".source_filter", "one expression"),
    ("", "rows would be doubled"),
    (".timezone", "the target holds rows already"),
    (".target", "has no table"),
    (".source_filter", "is refused by the source: no column `GONE`"),
    (".timezone", "is no time zone that is known"),
    (".chunking_column_types", "declared as date; the source's type counts"),
    (".lossy", "no column \"AMONUT\" is loaded"),
];

fn faulty() -> Setting {
    setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), NAME varchar, AT timestamp_ntz(9))",
            "insert into TPCH.SF.T values (1, 'a', '2024-01-01')",
        ],
        &[
            "create table base (\"ID\" bigint primary key); create view a_view as select * from base",
            "create table no_index (\"ID\" bigint, \"NAME\" text); \
             create unique index part on no_index (\"ID\") where \"ID\" > 0",
            "create table required (\"ID\" bigint, \"REQUIRED\" text not null)",
            "create table nothing (other int)",
            "create table one_source (\"A\" bigint, \"B\" bigint)",
            "create table fine (\"ID\" bigint primary key)",
            "create table no_mark (\"ID\" bigint primary key)",
            "create table no_pair (\"ID\" uuid)",
            "create table no_filter (\"ID\" bigint)",
            "create table full_already (\"ID\" bigint); insert into full_already values (1)",
            "create table no_column (\"ID\" bigint); create table no_zone (\"ID\" bigint); \
             create table other_type (\"ID\" bigint); create table rounded (\"ID\" bigint)",
            "create table mixed (\"ID\" bigint primary key, \"AT\" timestamptz); insert into mixed values (1, now())",
        ],
        vec![
            entry("T", "a_view", &json!({})),
            entry("T", "no_index", &json!({ "uniqueness_columns": ["ID"] })),
            entry("T", "required", &json!({})),
            entry("T", "nothing", &json!({})),
            entry("T", "one_source", &json!({ "column_mapping": { "ID": "A", "id": "B" } })),
            entry("T", "fine", &json!({ "chunking_columns": ["GONE"] })),
            entry("T", "no_mark", &json!({ "source_watermark": "GONE" })),
            entry("T", "no_pair", &json!({})),
            entry("T", "no_filter", &json!({ "source_filter": "ID = 1) or (1 = 1" })),
            entry("T", "full_already", &json!({})),
            entry("T", "mixed", &json!({ "uniqueness_columns": ["ID"] })),
            entry("T", "missing", &json!({})),
            entry("T", "no_column", &json!({ "source_filter": "GONE = 1" })),
            entry("T", "no_zone", &json!({ "timezone": "Europe/Berlon" })),
            entry(
                "T",
                "other_type",
                &json!({ "chunking_columns": ["ID"], "chunking_column_types": ["date"] }),
            ),
            entry("T", "rounded", &json!({ "lossy": ["AMONUT"] })),
        ],
    )
}

#[tokio::test]
async fn every_fault_of_every_table_is_in_one_report() -> Result<()> {
    let stage = Stage::set(faulty()).await?;
    for arguments in [&["check"][..], &["run", "--local"], &["run", "--dry-run"]] {
        let finished = planner(&stage, arguments).await?;
        let said = said(&finished);
        ensure!(finished.code == 1, "exit code {}: {said}", finished.code);
        for (position, (key, part)) in FAULTS.iter().enumerate() {
            let path = format!("sources[0].tables[{position}]{key}: ");
            let found = said.lines().any(|line| line.contains(&path) && line.contains(part));
            ensure!(found, "{path}{part}: not in {said}");
        }
    }
    let schemas = "select count(*) from pg_namespace where nspname like 'migration_status%'";
    ensure!(stage.client.query_one(schemas, &[]).await?.get::<_, i64>(0) == 0, "something was written");
    Ok(())
}

#[tokio::test]
async fn two_columns_for_one_target_are_refused_by_the_configuration_alone() -> Result<()> {
    let clash = entry("T", "t", &json!({ "column_mapping": { "ID": "X", "NAME": "X" } }));
    let stage = Stage::set(setting(
        &["create table TPCH.SF.T (ID number(38,0), NAME varchar)"],
        &["create table t (\"X\" text)"],
        vec![clash],
    ))
    .await?;
    let finished = planner(&stage, &["check", "--offline"]).await?;
    ensure!(finished.code == 1 && said(&finished).contains("is the target of `ID` already"), "{finished:?}");
    Ok(())
}

#[tokio::test]
async fn null_keys_are_counted_before_any_row_moves_and_follow_on_bad_row() -> Result<()> {
    let source = [
        "create table TPCH.SF.T (ID number(38,0), NAME varchar)",
        "insert into TPCH.SF.T values (1, 'a'), (null, 'b'), (null, 'c')",
    ];
    let target = ["create table t (\"ID\" bigint, \"NAME\" text); create unique index k on t (\"ID\")"];
    let keyed = |more: Value| {
        let mut entry = entry("T", "t", &more);
        entry["uniqueness_columns"] = json!(["ID"]);
        setting(&source, &target, vec![entry])
    };
    for policy in ["fail", "null"] {
        let stage = Stage::set(keyed(json!({ "on_bad_row": policy }))).await?;
        let finished = planner(&stage, &["run", "--local"]).await?;
        let said = said(&finished);
        ensure!(finished.code == 2, "{policy}: exit code {}: {said}", finished.code);
        ensure!(said.contains("2 rows have NULL in key column \"ID\""), "{policy}: {said}");
        let rows: i64 = stage.client.query_one("select count(*) from t", &[]).await?.get(0);
        ensure!(rows == 0, "{policy}: {rows} rows moved");
    }
    let stage = Stage::set(keyed(json!({ "on_bad_row": "quarantine" }))).await?;
    for _ in 0..2 {
        let finished = planner(&stage, &["run", "--local"]).await?;
        ensure!(finished.code == 0, "{}", said(&finished));
    }
    let rows: i64 = stage.client.query_one("select count(*) from t", &[]).await?.get(0);
    let aside = "select count(*) from migration_status.quarantined_rows where reason like '%null in a key%'";
    let aside: i64 = stage.client.query_one(aside, &[]).await?.get(0);
    ensure!((rows, aside) == (1, 4), "{rows} rows, {aside} set aside in two runs");
    Ok(())
}

#[tokio::test]
async fn a_filter_is_frozen_once_and_a_volatile_one_needs_a_single_chunk() -> Result<()> {
    let rows: Vec<String> = (0..250).map(|n| format!("({n}, '2020-01-01')")).collect();
    let filtered = |filter: &str| {
        let more =
            json!({ "source_filter": filter, "uniqueness_columns": ["ID"], "chunking_columns": ["ID"] });
        setting(
            &[
                "create table TPCH.SF.T (ID number(38,0), D date)",
                &format!("insert into TPCH.SF.T values {}", rows.join(", ")),
                "insert into TPCH.SF.T values (1000, '9999-01-01')",
            ],
            &["create table t (\"ID\" bigint primary key, \"D\" date)"],
            vec![entry("T", "t", &more)],
        )
    };
    let stage = Stage::set(filtered("D < CURRENT_DATE -- what is past")).await?;
    let finished = planner(&stage, &["run", "--local"]).await?;
    ensure!(finished.code == 0, "{}", said(&finished));
    let loaded: i64 = stage.client.query_one("select count(*) from t", &[]).await?.get(0);
    let filter = "select plan #>> '{source,filter}' from migration_status.migration_table_status";
    let filter: String = stage.client.query_one(filter, &[]).await?.get(0);
    ensure!(
        loaded == 250 && filter.starts_with("D < '20") && filter.ends_with("'::DATE"),
        "{loaded}: {filter}"
    );
    ensure!(said(&finished).contains("source_filter on the target: translated"), "{}", said(&finished));
    drop(stage);
    let stage = Stage::set(filtered("UUID_STRING() <> 'a'")).await?;
    let checked = planner(&stage, &["check"]).await?;
    ensure!(said(&checked).contains("uses UUID_STRING"), "{}", said(&checked));
    Ok(())
}

#[tokio::test]
async fn wall_clocks_become_instants_of_the_entrys_zone() -> Result<()> {
    let more = json!({ "timezone": "America/New_York", "uniqueness_columns": ["ID"] });
    let stage = Stage::set(setting(
        &[
            "create table TPCH.SF.T (ID number(38,0), WALL timestamp_ntz(6), INSTANT timestamp_ltz(6))",
            "insert into TPCH.SF.T values (1, '2024-07-01 12:00:00', '2024-07-01 12:00:00 +0000'), \
             (2, '2024-01-01 12:00:00', '2024-01-01 12:00:00 +0000'), \
             (3, '2024-03-10 02:30:00', '2024-03-10 07:00:00 +0000')",
        ],
        &["create table t (\"ID\" bigint primary key, \"WALL\" timestamptz, \"INSTANT\" timestamp)"],
        vec![entry("T", "t", &more)],
    ))
    .await?;
    for _ in 0..2 {
        let finished = planner(&stage, &["run", "--local"]).await?;
        ensure!(finished.code == 0, "{}", said(&finished));
    }
    let read = "select string_agg((\"WALL\" at time zone 'UTC')::text || ' | ' || \"INSTANT\"::text, ', ' order by \"ID\") \
                from t";
    let read: String = stage.client.query_one(read, &[]).await?.get(0);
    ensure!(
        read == "2024-07-01 16:00:00 | 2024-07-01 08:00:00, 2024-01-01 17:00:00 | 2024-01-01 07:00:00, \
                 2024-03-10 07:30:00 | 2024-03-10 03:00:00",
        "{read}"
    );
    let checked = planner(&stage, &["check"]).await?;
    ensure!(
        said(&checked).contains(
            "the account's time zone is America/Los_Angeles; the tables are read in America/New_York"
        ),
        "{}",
        said(&checked)
    );
    Ok(())
}

#[tokio::test]
async fn an_empty_source_leaves_a_truncated_target_as_it_was() -> Result<()> {
    let empty = |more: Value| {
        setting(
            &["create table TPCH.SF.T (ID number(38,0))"],
            &["create table t (\"ID\" bigint); insert into t values (1)"],
            vec![entry("T", "t", &more)],
        )
    };
    for (more, left) in [
        (json!({ "truncate_onstart": true }), 1),
        (json!({ "truncate_onstart": true, "allow_empty_source": true }), 0),
    ] {
        let stage = Stage::set(empty(more)).await?;
        let finished = planner(&stage, &["run", "--local"]).await?;
        ensure!(finished.code == 0, "{}", said(&finished));
        let rows: i64 = stage.client.query_one("select count(*) from t", &[]).await?.get(0);
        ensure!(rows == left, "{rows} rows are left, {left} expected");
    }
    Ok(())
}

#[tokio::test]
async fn note_27_indexes_are_dropped_only_where_it_pays() -> Result<()> {
    let kept = |rows: u32| {
        let values: Vec<String> = (0..rows).map(|n| format!("({n}, '2024-02-01')")).collect();
        let more = json!({
            "disable_index": true, "uniqueness_columns": ["ID"], "source_watermark": "AT", "target_watermark": "AT",
            "watermark_lookback": 0,
        });
        setting(
            &[
                "create table TPCH.SF.T (ID number(38,0), AT date)",
                &format!("insert into TPCH.SF.T values {}", values.join(", ")),
            ],
            &["create table t (\"ID\" bigint primary key, \"AT\" date); \
                 insert into t select g, '2024-01-01' from generate_series(1, 1000) g; \
                 create index by_day on t (\"AT\"); analyze t"],
            vec![entry("T", "t", &more)],
        )
    };
    for (rows, decision) in
        [(100, "indexes: kept (100 rows"), (300, "indexes: dropped and rebuilt (300 rows")]
    {
        let stage = Stage::set(kept(rows)).await?;
        let finished = planner(&stage, &["run", "--local"]).await?;
        ensure!(finished.code == 0, "{}", said(&finished));
        ensure!(said(&finished).contains(decision), "{decision}: {}", said(&finished));
        let there = "select count(*) from pg_indexes where indexname = 'by_day'";
        ensure!(stage.client.query_one(there, &[]).await?.get::<_, i64>(0) == 1, "the index is gone");
    }
    Ok(())
}
