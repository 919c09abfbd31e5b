//! Filters on both sides: random filters of the closed list, evaluated by the emulator's Snowflake engine and, as
//! translated, by PostgreSQL on the same rows as the encoder would have written them, select the same rows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use emulator_engine::{Engine, EngineOptions, ExecuteRequest};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use thaw_config::{Lookback, Strategy as Chunking, TableEntry};
use thaw_harness::TestDatabase;
use thaw_model::plan::BadRowPolicy;
use thaw_model::{PgIdent, SfIdent, SourceType as S};
use thaw_planner::columns::{self, Mapped};
use thaw_planner::filter::translate;
use thaw_planner::introspect::source::SourceColumn;
use thaw_postgres::catalog::describe_table;
use tokio_postgres::Client;

const CASES: usize = 500;
const HOUR: i128 = 3_600_000_000_000;
/// The emulator's clock: 2026-11-23 09:00:00 UTC.
const NOW: i128 = 1_795_424_400_000_000_000;

/// Column of the source, its type for the emulator, of the target, its type there.
const COLUMNS: [(&str, &str, S, &str, &str); 8] = [
    ("N", "number(38,0)", S::Number { precision: 38, scale: 0 }, "n", "bigint"),
    ("Amount", "number(10,2)", S::Number { precision: 10, scale: 2 }, "Amount", "numeric(12,4)"),
    ("Is Active", "boolean", S::Boolean, "Is Active", "boolean"),
    // Ordered by another collation than the source's bytes.
    ("NAME", "varchar(40)", S::Text { length: Some(40) }, "name", "text collate \"en-x-icu\""),
    ("D", "date", S::Date, "d", "date"),
    ("MICROS", "timestamp_ntz(6)", S::TimestampNtz { scale: 6 }, "micros", "timestamp"),
    ("NANOS", "timestamp_ntz(9)", S::TimestampNtz { scale: 9 }, "nanos", "timestamp"),
    ("LTZ", "timestamp_ltz(6)", S::TimestampLtz { scale: 6 }, "ltz", "timestamptz"),
];

const NUMBERS: [&str; 7] = ["-3", "0", "1", "2", "5", "7", "100"];
const AMOUNTS: [&str; 6] = ["-1.50", "0.00", "0.01", "1.00", "1.50", "99.99"];
const TEXTS: [&str; 10] = ["", "a", "A", "b", "B", "ä", "a ", "aa", "it''s", "Z"];
const DATES: [&str; 5] = ["2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "1999-12-31"];
const TIMES: [&str; 5] = ["00:00:00", "00:00:00.000001", "12:30:00.5", "23:59:59.999999", "08:00:00"];

/// The rows, each a list of literals that both databases read; NULL in a seventh of the cells.
fn rows() -> Vec<Vec<Option<String>>> {
    let pick = |values: &[&str], at: usize| values[at % values.len()].to_owned();
    let stamp = |at: usize| format!("{} {}", pick(&DATES, at), pick(&TIMES, at / 2));
    (0..210_usize)
        .map(|row| {
            let cell =
                |column: usize, text: String| (!(row * 5 + column * 3).is_multiple_of(7)).then_some(text);
            vec![
                cell(0, pick(&NUMBERS, row)),
                cell(1, pick(&AMOUNTS, row / 2)),
                cell(2, pick(&["true", "false"], row / 3)),
                cell(3, format!("'{}'", pick(&TEXTS, row / 2))),
                cell(4, format!("'{}'", pick(&DATES, row / 4))),
                cell(5, format!("'{}'", stamp(row / 5))),
                // Nanoseconds, which the target floors away.
                cell(
                    6,
                    format!(
                        "'{} {}'",
                        pick(&DATES, row),
                        pick(&["00:00:00.000000999", "12:30:00.000001001", "00:00:00"], row / 3)
                    ),
                ),
                cell(7, format!("'{} +0000'", stamp(row / 3))),
            ]
        })
        .collect()
}

fn floored(cell: &str) -> String {
    cell.replace("000000999", "000000").replace("000001001", "000001")
}

struct Ends {
    engine: Engine,
    target: TestDatabase,
    client: Client,
    mapped: Mapped,
    entry: TableEntry,
    _source: TestDatabase,
}

async fn ends() -> Ends {
    let (source, target) = (TestDatabase::create().await, TestDatabase::create().await);
    let engine =
        Engine::connect(&source.url(), EngineOptions { seed: 1, connections: 2 }).await.expect("connects");
    let client = target.connect().await.expect("connects");
    client.batch_execute("set timezone = 'UTC'").await.expect("sets");
    let past = NOW - 20 * HOUR;
    let of_source: Vec<String> = COLUMNS.iter().map(|c| format!("\"{}\" {}", c.0, c.1)).collect();
    let of_target: Vec<String> = COLUMNS.iter().map(|c| format!("\"{}\" {}", c.3, c.4)).collect();
    for sql in ["create database DB", "create schema DB.SC"] {
        engine.run(sql, "DB", "SC", past).await.expect(sql);
    }
    let create = format!("create table T (K number(38,0), {})", of_source.join(", "));
    engine.run(&create, "DB", "SC", past).await.expect("creates");
    client
        .batch_execute(&format!("create table t (k bigint, {})", of_target.join(", ")))
        .await
        .expect("creates");
    for (key, row) in rows().iter().enumerate() {
        let values: Vec<String> = row.iter().map(|cell| cell.clone().unwrap_or("null".to_owned())).collect();
        let values = values.join(", ");
        engine
            .run(&format!("insert into T values ({key}, {values})"), "DB", "SC", past)
            .await
            .expect("inserts");
        let insert = format!("insert into t values ({key}, {})", floored(&values));
        client.batch_execute(&insert).await.expect("inserts");
    }
    let described = describe_table(&client, &PgIdent::exact("public"), &PgIdent::exact("t")).await;
    let described = described.expect("describes").expect("a table");
    let columns: Vec<SourceColumn> = COLUMNS
        .iter()
        .map(|column| SourceColumn {
            name: SfIdent::exact(column.0),
            source_type: Some(column.2),
            type_name: column.1.to_owned(),
            is_collated: false,
        })
        .collect();
    let entry = entry();
    let mapped = columns::map(&entry, &columns, &described).expect("maps");
    Ends { engine, target, client, mapped, entry, _source: source }
}

fn entry() -> TableEntry {
    TableEntry {
        path: "sources[0].tables[0]".into(),
        enabled: true,
        source: SfIdent::exact("T"),
        target: PgIdent::exact("t"),
        source_filter: None,
        chunking_columns: Vec::new(),
        uniqueness_columns: Vec::new(),
        source_watermark: None,
        target_watermark: None,
        column_mapping: BTreeMap::new(),
        truncate_onstart: false,
        insert_only: false,
        disable_index: false,
        parallel_threads: None,
        batch_size: 10,
        batch_size_copy_mode: 10,
        strategy: Chunking::Auto,
        timezone: "UTC".into(),
        timezone_is_set: true,
        watermark_lookback: Lookback::Exactly(Duration::ZERO),
        bad_rows: BadRowPolicy::default(),
        lossy: Vec::new(),
        allow_empty_source: false,
        append: false,
        offset_sub_chunks_max: 32,
    }
}

impl Ends {
    async fn of_source(&self, filter: &str) -> Vec<i64> {
        let request = ExecuteRequest {
            sql: format!("select K from T where (\n{filter}\n)"),
            database: Some("DB".to_owned()),
            schema: Some("SC".to_owned()),
            timezone: Some("UTC".to_owned()),
            user: "LOADER".to_owned(),
            account: "ACME".to_owned(),
            role: Some("READER".to_owned()),
            now: NOW,
            visible_until: NOW,
            ..ExecuteRequest::default()
        };
        let output = self.engine.execute(request).await.unwrap_or_else(|error| panic!("{filter}: {error}"));
        let rows = output.rows.collect().await.unwrap_or_else(|error| panic!("{filter}: {error}"));
        let mut keys: Vec<i64> =
            rows.iter().map(|row| row[0].as_deref().expect("a key").parse().expect("a number")).collect();
        keys.sort_unstable();
        keys
    }

    async fn of_target(&self, filter: &str) -> Vec<i64> {
        let sql = format!("select k from t where {filter} order by k");
        let rows = self.client.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        rows.iter().map(|row| row.get(0)).collect()
    }
}

fn one_of(values: &'static [&'static str]) -> BoxedStrategy<String> {
    proptest::sample::select(values).prop_map(str::to_owned).boxed()
}

/// A column, as a person writes it, with literals of its type.
fn operands() -> BoxedStrategy<(String, BoxedStrategy<String>)> {
    let quoted =
        |values: &'static [&'static str]| one_of(values).prop_map(|text| format!("'{text}'")).boxed();
    let stamps = (one_of(&DATES), one_of(&TIMES)).prop_map(|(date, time)| format!("'{date} {time}'")).boxed();
    let zoned = (one_of(&DATES), one_of(&["00:00:00 +0000", "12:30:00 +0130", "08:00:00 -0800"]))
        .prop_map(|(date, time)| format!("'{date} {time}'"))
        .boxed();
    let nanos = one_of(&DATES).prop_map(|date| format!("'{date} 00:00:00'")).boxed();
    let dates =
        prop_oneof![quoted(&DATES), one_of(&DATES).prop_map(|date| format!("'{date}'::DATE"))].boxed();
    prop_oneof![
        (one_of(&["N", "n", "\"N\"", "T.N"]), Just(one_of(&NUMBERS))),
        (Just("\"Amount\"".to_owned()), Just(one_of(&["-1.5", "0", "1", "1.50", "99.990", "1.505"]))),
        (Just("\"Is Active\"".to_owned()), Just(one_of(&["TRUE", "false"]))),
        (one_of(&["NAME", "name"]), Just(quoted(&TEXTS))),
        (Just("D".to_owned()), Just(dates.clone())),
        (one_of(&["MICROS::DATE", "CAST(LTZ AS DATE)", "nanos::date"]), Just(dates)),
        (Just("MICROS".to_owned()), Just(prop_oneof![stamps.clone(), nanos.clone()].boxed())),
        (Just("NANOS".to_owned()), Just(nanos)),
        (Just("LTZ".to_owned()), Just(prop_oneof![zoned, stamps].boxed())),
    ]
    .boxed()
}

fn comparison() -> BoxedStrategy<String> {
    let operator = || one_of(&["=", "<>", "!=", "<", "<=", ">", ">="]);
    operands()
        .prop_flat_map(move |(column, literal)| {
            let list = proptest::collection::vec(prop_oneof![8 => literal.clone(), 1 => one_of(&["NULL"])], 1..5);
            let (a, b, c) = (column.clone(), column.clone(), column.clone());
            let (d, bare) = (column.clone(), column);
            prop_oneof![
                4 => (operator(), literal.clone()).prop_map(move |(op, literal)| format!("{a} {op} {literal}")),
                1 => (operator(), literal.clone()).prop_map(move |(op, literal)| format!("{literal} {op} {b}")),
                2 => (one_of(&["IN", "not in"]), list).prop_map(move |(is_in, list)| {
                    format!("{c} {is_in} ({})", list.join(", "))
                }),
                2 => (one_of(&["BETWEEN", "NOT BETWEEN"]), literal.clone(), literal).prop_map(move |(between, low, high)| {
                    format!("{d} {between} {low} AND {high}")
                }),
                1 => one_of(&["IS NULL", "IS NOT NULL"]).prop_map(move |test| {
                    format!("{} {test}", bare.split("::").next().unwrap_or_default())
                }),
            ]
        })
        .boxed()
}

fn filters() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        20 => comparison(),
        1 => one_of(&["\"Is Active\"", "NOT \"Is Active\"", "1 = 1", "TRUE", "N = NULL"]),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}\n OR {b})")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            inner.prop_map(|a| format!("({a}) -- as written\n")),
        ]
    })
    .boxed()
}

#[tokio::test]
async fn note_22_a_translated_filter_selects_the_same_rows_on_both_sides() {
    let ends = ends().await;
    let mut runner = TestRunner::deterministic();
    let strategy = filters();
    let (mut translated, mut selective) = (0, 0);
    let mut wrong = String::new();
    for _ in 0..CASES {
        let filter = strategy.new_tree(&mut runner).expect("draws").current();
        let Ok(pg) = translate(&filter, &ends.entry, &ends.mapped) else { continue };
        translated += 1;
        let (source, target) = (ends.of_source(&filter).await, ends.of_target(pg.as_str()).await);
        if !source.is_empty() && source.len() < 210 {
            selective += 1;
        }
        if source != target {
            writeln!(wrong, "{filter}\n  became {pg}\n  {} and {} rows", source.len(), target.len())
                .expect("writes");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(
        translated > CASES / 3 && selective > CASES / 5,
        "{translated} translated, {selective} selective"
    );
    println!(
        "{CASES} filters, {translated} translated, {selective} of them selective; {}",
        ends.target.name()
    );
}
