//! Every cell of the type matrix on a real server: each source type's values into each target type.
//!
//! The oracle is PostgreSQL: it casts a literal of the same value, which is written down here and not made by our
//! code. What we load must read as what it casts to; what we refuse it must refuse too, or change.

use thaw_harness::TestDatabase;
use thaw_model::plan::OnBadRow;
use thaw_model::target_type::TextKind;
use thaw_model::{SourceType as S, TargetType as T};
use thaw_worker::encode::{Encoded, RowEncoder, matrix, pair_is_loadable};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::support::{Cell, cell, copy_all, feed, plan_for};

/// A value: as the wire has it, as an SQL expression (already floored to microseconds), and as text.
struct Sample {
    wire: &'static str,
    sql: String,
    text: String,
}

/// Values whose wire text is a literal of their type.
fn typed(pg_type: &'static str, values: &[&'static str]) -> Vec<Sample> {
    let of = |wire: &&'static str| Sample {
        wire,
        sql: format!("'{}'::{pg_type}", wire.replace('\'', "''")),
        text: (*wire).to_owned(),
    };
    values.iter().map(of).collect()
}

/// Values with another literal and another text than the wire's.
fn dated(pg_type: &'static str, values: &[(&'static str, &str, &str)]) -> Vec<Sample> {
    let of = |(wire, value, text): &(&'static str, &str, &str)| Sample {
        wire,
        sql: format!("'{value}'::{pg_type}"),
        text: (*text).to_owned(),
    };
    values.iter().map(of).collect()
}

fn samples(source: S) -> Vec<Sample> {
    match source {
        S::Number { .. } | S::Float | S::DecFloat => numbers(source),
        S::Date | S::Time { .. } => days_and_clocks(source),
        S::TimestampNtz { .. } | S::TimestampLtz { .. } | S::TimestampTz { .. } => timestamps(source),
        S::Boolean => typed("boolean", &["true", "false"]),
        S::Text { .. } => typed(
            "text",
            &[
                "",
                "sad",
                "it's ok",
                "äöü 😀",
                "42",
                "-1.5",
                "1e400",
                "NaN",
                "true",
                "2024-02-29",
                "2023-02-29",
                "23:59:59.9",
                "24:00:00",
                "2024-01-10 12:00:00.5",
                "2024-01-10 12:00:00+02",
                "{\"a\": [1, null]}",
                "{'a': 1}",
                "1e99999999",
                "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                "NaT",
                "a text of more than twenty characters",
                "spaces at the end       ",
            ],
        ),
        S::Binary => dated("bytea", &[("00FFab", "\\x00ffab", "00FFAB"), ("", "\\x", "")]),
        S::Uuid => typed("uuid", &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        S::Vector => typed("jsonb", &["[1.5,2]", "[]", "[0.1]"]),
        S::Object => typed("jsonb", &["{}", "{\"a\":{\"b\":[1,null,\"x\"]}}"]),
        S::Geography | S::Geometry => typed("jsonb", &["{\"coordinates\":[1.5,-2],\"type\":\"Point\"}"]),
        S::Array | S::Variant => typed(
            "jsonb",
            &[
                "[]",
                "[1,null,-3]",
                "[1.25,2.5]",
                "[true,false,null]",
                "[\"a\",\"b,c\",\"\\\"q\\\" ] [\",null]",
                "[\"2024-02-29\"]",
                "[\"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\"]",
                "[{\"a\":[1,2]},[3,4],\"x\"]",
                "[99999999999]",
            ],
        ),
    }
}

fn numbers(source: S) -> Vec<Sample> {
    match source {
        S::Number { precision: 4, .. } => typed("numeric", &["0", "1", "-7", "1200", "9999", "-9999"]),
        S::Number { precision: 9, .. } => {
            typed("numeric", &["0", "1", "32767", "-32768", "32768", "16777217", "999999999"])
        }
        S::Number { precision: 18, .. } => {
            typed("numeric", &["1", "2147483647", "-2147483649", "999999999999999999"])
        }
        S::Number { scale: 0, .. } => typed(
            "numeric",
            &[
                "0",
                "2",
                "9223372036854775807",
                "9223372036854775808",
                "-9223372036854775809",
                "99999999999999999999999999999999999999",
                "-99999999999999999999999999999999999999",
            ],
        ),
        S::Number { scale: 2, .. } => {
            typed("numeric", &["0.00", "1.00", "-0.05", "1.55", "1200.00", "99900.00", "-9999999999.99"])
        }
        S::Number { .. } => typed(
            "numeric",
            &[
                "0.0000000000000000000000000000000000000",
                "1.0000000000000000000000000000000000000",
                "-9.9999999999999999999999999999999999999",
            ],
        ),
        S::Float => typed(
            "float8",
            &["0", "0.1", "-2.5", "1e300", "1e-300", "0.30000000000000004", "NaN", "inf", "-inf", "1200"],
        ),
        S::DecFloat => typed("numeric", &["0", "1.5e10", "-12.340", "1e-40", "1e100", "0.1", "100"]),
        other => panic!("{other} is no number"),
    }
}

fn days_and_clocks(source: S) -> Vec<Sample> {
    match source {
        S::Date => dated(
            "date",
            &[
                ("0", "1970-01-01", "1970-01-01"),
                ("-719162", "0001-01-01", "0001-01-01"),
                ("-141428", "1582-10-14", "1582-10-14"),
                ("2932896", "9999-12-31", "9999-12-31"),
            ],
        ),
        S::Time { .. } => dated(
            "time",
            &[
                ("0.000000000", "00:00:00", "00:00:00.000000000"),
                ("82919.123456789", "23:01:59.123456", "23:01:59.123456789"),
                ("86399.999999999", "23:59:59.999999", "23:59:59.999999999"),
            ],
        ),
        other => panic!("{other} is neither"),
    }
}

fn timestamps(source: S) -> Vec<Sample> {
    match source {
        S::TimestampNtz { scale: 3 } => dated(
            "timestamp",
            &[
                ("1611871777.123", "2021-01-28 22:09:37.123", "2021-01-28 22:09:37.123"),
                ("-0.001", "1969-12-31 23:59:59.999", "1969-12-31 23:59:59.999"),
                ("0.000", "1970-01-01", "1970-01-01 00:00:00.000"),
            ],
        ),
        S::TimestampNtz { .. } => dated(
            "timestamp",
            &[
                ("1611871777.123456789", "2021-01-28 22:09:37.123456", "2021-01-28 22:09:37.123456789"),
                ("-0.000000001", "1969-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999999"),
                ("-62135596800.000000000", "0001-01-01", "0001-01-01 00:00:00.000000000"),
                ("253402300799.999999999", "9999-12-31 23:59:59.999999", "9999-12-31 23:59:59.999999999"),
            ],
        ),
        S::TimestampLtz { .. } => dated(
            "timestamptz",
            &[
                ("1704844800.000000000", "2024-01-10 00:00:00Z", "2024-01-10 00:00:00.000000000+00:00"),
                ("-0.876543300", "1969-12-31 23:59:59.123456Z", "1969-12-31 23:59:59.123456700+00:00"),
            ],
        ),
        S::TimestampTz { .. } => dated(
            "timestamptz",
            &[
                ("1616173619.000000000 960", "2021-03-19 17:06:59Z", "2021-03-19 09:06:59.000000000-08:00"),
                ("-0.000000001 1770", "1969-12-31 23:59:59.999999Z", "1970-01-01 05:29:59.999999999+05:30"),
            ],
        ),
        other => panic!("{other} is no timestamp"),
    }
}

/// What PostgreSQL makes of the sample in the target type, as an expression.
fn cast(source: S, sample: &Sample, target: &T, pg_type: &str) -> String {
    let sql = &sample.sql;
    let text = sample.text.replace('\'', "''");
    match (source, target) {
        // The server would round, into another day; interval knows no 24:00.
        (S::Text { .. }, T::Time { precision: 0 }) if text != "24:00:00" => {
            format!("date_trunc('second', '{text}'::time::interval)::time(0)")
        }
        (S::Text { .. }, _) | (_, T::Json) => format!("'{text}'::text::{pg_type}"),
        (S::Float, T::Text { .. }) => format!("{sql}::text::{pg_type}"),
        (_, T::Text { .. }) => format!("'{text}'::text::{pg_type}"),
        // The server's own cast of a float keeps 15 digits.
        (S::Float, _) if *target != T::Float8 => format!("{sql}::text::numeric::{pg_type}"),
        (S::Number { .. }, T::Bool) => format!("{sql}::int::boolean"),
        (S::Boolean, T::Int2 | T::Int8) => format!("{sql}::int::{pg_type}"),
        (S::Time { .. }, T::Time { precision: 0 }) => {
            format!("date_trunc('second', {sql}::interval)::time(0)")
        }
        (_, T::Timestamp { precision: 3 }) => format!("date_trunc('milliseconds', {sql}::timestamp)"),
        (_, T::Array { element }) if **element == T::Jsonb => {
            format!(
                "array(select nullif(e, 'null') from jsonb_array_elements({sql}) with ordinality a(e, n) order by n)"
            )
        }
        (_, T::Array { .. }) => {
            format!(
                "array(select e from json_array_elements_text('{text}'::json) with ordinality a(e, n) order by n)::{pg_type}"
            )
        }
        _ => format!("{sql}::{pg_type}"),
    }
}

/// Strictness that is ours: PostgreSQL reads these as something, in a way we call a guess.
fn is_stricter(source: S, target: &T, wire: &str) -> bool {
    match (source, target) {
        // A list in a list is no element, though PostgreSQL would take its text; numbers are no texts of bool.
        (S::Array | S::Variant, T::Array { .. }) => wire.contains("[{") || wire.starts_with("[1,null"),
        (S::Text { .. }, T::Date) => wire.starts_with("2024-01-10 "),
        // A text with an offset is no wall clock; a time of day, or a timestamp's, would be cut out of another text.
        (S::Text { .. }, T::Timestamp { .. }) => wire.ends_with("+02"),
        (S::Text { .. }, T::Time { .. }) => wire.starts_with("2024-01-10 "),
        _ => false,
    }
}

async fn scalar(client: &Client, sql: &str) -> Option<Option<String>> {
    let messages = client.simple_query(sql).await.ok()?;
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
        _ => None,
    })
}

/// Loads the samples and a NULL; what was loaded, in order.
async fn load(client: &Client, source: S, pg_type: &str, wires: &[&str]) -> (Encoded, Vec<Option<String>>) {
    client
        .batch_execute(&format!(
            "drop table if exists t; create table t (n bigint generated always as identity, v {pg_type})"
        ))
        .await
        .expect("creates");
    let mut plan = plan_for(client, "t", &[("v", source)]).await;
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    let (encoder, rows) = RowEncoder::new(&plan, false).expect("the pair is loadable");
    let mut cells: Vec<Vec<Cell>> = wires.iter().map(|wire| vec![cell(wire)]).collect();
    cells.push(vec![None]);
    let (encoded, copied) = tokio::join!(feed(encoder, cells), copy_all(client, "t", "v", rows));
    copied.unwrap_or_else(|error| panic!("{source} into {pg_type}: the server refused a row: {error:?}"));
    let read = client.query("select v::text from t order by n", &[]).await.expect("reads");
    (encoded.expect("encodes"), read.iter().map(|row| row.get(0)).collect())
}

async fn check_cell(client: &Client, source: S, target: &T) {
    let pg_type = match target {
        T::Enum { .. } => "mood".to_owned(),
        other => other.to_string(),
    };
    let samples = samples(source);
    let wires: Vec<&str> = samples.iter().map(|sample| sample.wire).collect();
    let (encoded, read) = load(client, source, &pg_type, &wires).await;
    let mut read = read.into_iter();
    for (ordinal, sample) in (1_i64..).zip(&samples) {
        let what = format!("{source} {:?} into {pg_type}", sample.wire);
        let expression = cast(source, sample, target, &pg_type);
        let expected = scalar(client, &format!("select ({expression})::text")).await;
        match encoded.bad_rows.iter().find(|bad| bad.ordinal == ordinal) {
            None => assert_eq!(Some(read.next().expect("a row")), expected, "{what}"),
            Some(_) if is_stricter(source, target, sample.wire) => {}
            Some(bad) => {
                let back = match target {
                    T::Text { .. } => {
                        let text = sample.text.replace('\'', "''");
                        format!("select rtrim(({expression})::text) = rtrim('{text}')")
                    }
                    _ => {
                        let natural = sample.sql.rsplit("::").next().expect("a type");
                        format!("select ({expression})::text::{natural} is not distinct from {}", sample.sql)
                    }
                };
                let same = scalar(client, &back).await.flatten();
                assert_ne!(same.as_deref(), Some("t"), "{what} was refused: {}", bad.reason);
            }
        }
    }
    assert_eq!(read.next(), Some(None), "{source}: null stays null in {pg_type}");
    assert_eq!(read.next(), None);
}

#[tokio::test]
async fn every_cell_of_the_matrix_loads_what_postgresql_would_make_of_it() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client
        .batch_execute(
            "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; create extension citext; \
             create type mood as enum ('sad', 'it''s ok')",
        )
        .await
        .expect("sets up");
    let mut cells = 0;
    for source in matrix::sources() {
        for target in matrix::targets() {
            // A wrong xml is refused by the server, not by the encoder: docs/types.md says so.
            if pair_is_loadable(source, &target).is_ok()
                && !matches!(target, T::Text { kind: TextKind::Xml, .. })
            {
                check_cell(&client, source, &target).await;
                cells += 1;
            }
        }
    }
    assert!(cells > 250, "{cells} cells");
}

#[test]
fn the_documented_matrix_is_the_one_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/types.md");
    let document = std::fs::read_to_string(path).expect("docs/types.md is there");
    assert!(
        document.contains(&matrix::markdown()),
        "docs/types.md is stale: put in the table of `cargo run -p thaw-worker --example type_matrix`"
    );
}
