//! Wire text -> decode -> encode -> COPY -> PostgreSQL reads it back as text. The expected texts are written by hand
//! or computed by PostgreSQL from something else than our bytes.

use std::fmt::Write as _;

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::TestRunner;
use thaw_harness::TestDatabase;
use thaw_model::SourceType as S;
use thaw_worker::encode::RowEncoder;
use tokio_postgres::Client;

use crate::support::{Cell, cell, copy_all, feed, plan_for};

/// Loads the cells into a column of this type and reads them back as text, in order.
async fn round_trip(
    client: &Client,
    source: S,
    pg_type: &str,
    cells: Vec<Cell>,
    lossy: bool,
) -> Vec<Option<String>> {
    client
        .batch_execute(&format!(
            "drop table if exists t; create table t (n bigint generated always as identity, v {pg_type})"
        ))
        .await
        .expect("creates");
    let mut plan = plan_for(client, "t", &[("v", source)]).await;
    plan.columns[0].lossy = lossy;
    let (encoder, rows) = RowEncoder::new(&plan, false).expect("the pair is loadable");
    let count = cells.len();
    let rows_of_one = cells.into_iter().map(|cell| vec![cell]).collect();
    let (encoded, copied) = tokio::join!(feed(encoder, rows_of_one), copy_all(client, "t", "v", rows));
    encoded.expect("encodes");
    assert_eq!(copied.expect("copies"), u64::try_from(count).expect("small"));
    let read = client.query("select v::text from t order by n", &[]).await.expect("reads");
    read.iter().map(|row| row.get(0)).collect()
}

async fn check(client: &Client, source: S, pg_type: &str, cases: &[(&str, &str)]) {
    check_with(client, source, pg_type, cases, false).await;
}

async fn check_with(client: &Client, source: S, pg_type: &str, cases: &[(&str, &str)], lossy: bool) {
    let mut cells: Vec<Cell> = cases.iter().map(|(wire, _)| cell(wire)).collect();
    cells.push(None);
    let read = round_trip(client, source, pg_type, cells, lossy).await;
    for ((wire, expected), found) in cases.iter().zip(&read) {
        assert_eq!(found.as_deref(), Some(*expected), "{source} {wire} into {pg_type}");
    }
    assert_eq!(read.last(), Some(&None), "{source}: null stays null in {pg_type}");
}

async fn connected() -> (TestDatabase, Client) {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client.batch_execute("set timezone = 'UTC'; set datestyle = 'ISO, YMD'").await.expect("sets");
    (database, client)
}

#[tokio::test]
async fn numbers_arrive_digit_by_digit() {
    let (_database, client) = connected().await;
    let int = S::Number { precision: 38, scale: 0 };
    let nines = "99999999999999999999999999999999999999";
    let negative = format!("-{nines}");
    check(&client, int, "smallint", &[("0", "0"), ("-32768", "-32768"), ("32767", "32767")]).await;
    check(&client, int, "integer", &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")]).await;
    check(
        &client,
        int,
        "bigint",
        &[("-9223372036854775808", "-9223372036854775808"), ("9223372036854775807", "9223372036854775807")],
    )
    .await;
    check(&client, int, "numeric", &[(nines, nines), (&negative, &negative), ("10000", "10000"), ("0", "0")])
        .await;
    check(&client, int, "numeric(38,0)", &[(nines, nines)]).await;
    check(&client, int, "boolean", &[("0", "false"), ("1", "true")]).await;
    check(&client, int, "text", &[("42", "42"), ("-7", "-7")]).await;
    check(&client, int, "double precision", &[("9007199254740992", "9.007199254740992e+15"), ("-3", "-3")])
        .await;
    let money = S::Number { precision: 12, scale: 2 };
    check(
        &client,
        money,
        "numeric(12,2)",
        &[("1.00", "1.00"), ("-12.34", "-12.34"), ("9999999999.99", "9999999999.99")],
    )
    .await;
    check(&client, money, "numeric", &[("1.00", "1.00"), ("-0.05", "-0.05")]).await;
    check(&client, money, "numeric(20,6)", &[("-12.34", "-12.340000")]).await;
    check(&client, money, "numeric(12,1)", &[("1.50", "1.5"), ("7.00", "7.0")]).await;
    check(&client, money, "numeric(5,-2)", &[("1200.00", "1200"), ("-300.00", "-300")]).await;
    check(&client, money, "integer", &[("12.00", "12"), ("-3.00", "-3")]).await;
    check(&client, money, "varchar(8)", &[("12.30", "12.30")]).await;
    check(&client, money, "real", &[("0.10", "0.1"), ("1234.50", "1234.5")]).await;
    check(
        &client,
        S::Number { precision: 38, scale: 37 },
        "numeric(38,37)",
        &[("-1.0000000000000000000000000000000000001", "-1.0000000000000000000000000000000000001")],
    )
    .await;
}

#[tokio::test]
async fn what_lossy_rounds_is_rounded_as_postgresql_rounds_it() {
    let (_database, client) = connected().await;
    let wires = ["0.5", "1.5", "-0.5", "2.449", "2.45", "-2.45", "99.994", "0.005", "-0.004"];
    for pg_type in ["numeric(10,2)", "numeric(10,1)", "numeric(10,0)", "bigint", "numeric(10,-1)"] {
        // The oracle: PostgreSQL's own cast of the text.
        let mut cases = Vec::new();
        for wire in wires {
            let sql = format!("select ('{wire}'::numeric)::{pg_type}::text");
            let expected: String = client.query_one(&sql, &[]).await.expect("casts").get(0);
            cases.push((wire, expected));
        }
        let cases: Vec<(&str, &str)> =
            cases.iter().map(|(wire, expected)| (*wire, expected.as_str())).collect();
        check_with(&client, S::Number { precision: 10, scale: 3 }, pg_type, &cases, true).await;
    }
    for wire in ["0.5", "1.5", "2.5", "-2.5", "-0.4"] {
        let sql = format!("select ('{wire}'::float8)::int::text");
        let expected: String = client.query_one(&sql, &[]).await.expect("casts").get(0);
        check_with(&client, S::Float, "integer", &[(wire, &expected)], true).await;
    }
}

#[tokio::test]
async fn floats_and_decfloats_arrive_as_what_they_are() {
    let (_database, client) = connected().await;
    let specials = [("NaN", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")];
    check(&client, S::Float, "double precision", &specials).await;
    check(&client, S::Float, "real", &specials).await;
    check(&client, S::Float, "numeric", &specials).await;
    check(&client, S::Float, "text", &specials).await;
    check(
        &client,
        S::Float,
        "double precision",
        &[
            ("0.1", "0.1"),
            ("-1.5e300", "-1.5e+300"),
            ("1.7976931348623157e+308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
        ],
    )
    .await;
    check(
        &client,
        S::Float,
        "numeric",
        &[("0.1", "0.1"), ("1e20", "100000000000000000000"), ("-2.5e-7", "-0.00000025")],
    )
    .await;
    check(&client, S::Float, "numeric(6,2)", &[("0.1", "0.10"), ("NaN", "NaN")]).await;
    check(&client, S::Float, "bigint", &[("3", "3"), ("-1e15", "-1000000000000000")]).await;
    check(&client, S::Float, "real", &[("0.1", "0.1"), ("16777216", "1.6777216e+07")]).await;
    check(
        &client,
        S::Float,
        "text",
        &[("0.1", "0.1"), ("1e15", "1e+15"), ("0.00001", "1e-05"), ("123456789", "123456789")],
    )
    .await;
    check(
        &client,
        S::DecFloat,
        "numeric",
        &[
            ("1.5e10", "15000000000"),
            ("-12.340", "-12.340"),
            ("1e-40", "0.0000000000000000000000000000000000000001"),
        ],
    )
    .await;
    check(&client, S::DecFloat, "double precision", &[("1.5e10", "15000000000"), ("-0.25", "-0.25")]).await;
    check(&client, S::DecFloat, "text", &[("1.5e10", "1.5e10")]).await;
}

#[tokio::test]
async fn text_goes_wherever_it_can_be_read_strictly() {
    let (_database, client) = connected().await;
    client
        .batch_execute("create extension if not exists citext; create type mood as enum ('sad', 'it''s ok'); create domain code as varchar(3)")
        .await
        .expect("creates");
    let text = S::Text { length: None };
    let samples = [
        ("", ""),
        ("plain", "plain"),
        ("äöü 😀 \t\n\\ 'q' \"d\"", "äöü 😀 \t\n\\ 'q' \"d\""),
        ("null", "null"),
        ("NaT", "NaT"),
    ];
    check(&client, text, "text", &samples).await;
    check(&client, text, "varchar", &samples).await;
    check(&client, text, "citext", &samples).await;
    check(&client, text, "varchar(3)", &[("äöü", "äöü"), ("abc   ", "abc"), ("", "")]).await;
    check(&client, text, "code", &[("abc", "abc")]).await;
    check(&client, text, "char(3)", &[("a", "a"), ("abc  ", "abc")]).await;
    check(&client, text, "mood", &[("it's ok", "it's ok")]).await;
    check(&client, text, "xml", &[("<a>b</a>", "<a>b</a>")]).await;
    check(
        &client,
        text,
        "uuid",
        &[
            ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ],
    )
    .await;
    check(&client, text, "json", &[(r#" {"b":1, "a" : "\u0000"}"#, r#" {"b":1, "a" : "\u0000"}"#)]).await;
    check(&client, text, "jsonb", &[(r#" {"b":1, "a" : [null, 1.50]}"#, r#"{"a": [null, 1.50], "b": 1}"#)])
        .await;
    check(&client, text, "integer", &[(" 42 ", "42"), ("+7", "7"), ("1e3", "1000")]).await;
    check(&client, text, "numeric(10,2)", &[("12.3", "12.30"), ("NaN", "NaN")]).await;
    check(&client, text, "double precision", &[("1.5e3", "1500"), ("-inf", "-Infinity")]).await;
    check(&client, text, "boolean", &[("Yes", "true"), ("0", "false")]).await;
    check(&client, text, "date", &[("2024-02-29", "2024-02-29"), ("2024-02-29 00:00:00", "2024-02-29")])
        .await;
    check(&client, text, "time", &[("23:59:59.9999999", "23:59:59.999999"), ("08:30", "08:30:00")]).await;
    check(
        &client,
        text,
        "timestamp",
        &[("2024-01-10T12:00:00.5", "2024-01-10 12:00:00.5"), ("2024-01-10", "2024-01-10 00:00:00")],
    )
    .await;
    check(
        &client,
        text,
        "timestamptz",
        &[
            ("2024-01-10 12:00:00 -0800", "2024-01-10 20:00:00+00"),
            ("2024-01-10 12:00:00", "2024-01-10 12:00:00+00"),
        ],
    )
    .await;
}

#[tokio::test]
async fn days_and_clocks_are_floored_and_never_shifted() {
    let (_database, client) = connected().await;
    check(
        &client,
        S::Date,
        "date",
        &[
            ("0", "1970-01-01"),
            ("19732", "2024-01-10"),
            ("-719163", "0001-12-31 BC"),
            ("2932896", "9999-12-31"),
            ("-2440588", "4714-11-24 BC"),
        ],
    )
    .await;
    check(&client, S::Date, "timestamp", &[("19732", "2024-01-10 00:00:00")]).await;
    check(&client, S::Date, "text", &[("19732", "2024-01-10"), ("-719163", "0001-12-31 BC")]).await;
    let time = S::Time { scale: 9 };
    check(
        &client,
        time,
        "time",
        &[
            ("82919.123456789", "23:01:59.123456"),
            ("86399.999999999", "23:59:59.999999"),
            ("0.000000000", "00:00:00"),
        ],
    )
    .await;
    check(&client, time, "time(3)", &[("86399.999999999", "23:59:59.999")]).await;
    check(&client, time, "text", &[("82919.123456789", "23:01:59.123456789")]).await;
}

#[tokio::test]
async fn timestamps_are_floored_and_never_shifted() {
    let (_database, client) = connected().await;
    let ntz = S::TimestampNtz { scale: 9 };
    let stamps = [
        ("1611871777.123456789", "2021-01-28 22:09:37.123456"),
        ("-0.876543300", "1969-12-31 23:59:59.123456"),
        ("-0.000000001", "1969-12-31 23:59:59.999999"),
        ("253402300799.999999999", "9999-12-31 23:59:59.999999"),
        ("-62135596800.000000000", "0001-01-01 00:00:00"),
        ("-62135596800.000000001", "0001-12-31 23:59:59.999999 BC"),
    ];
    check(&client, ntz, "timestamp", &stamps).await;
    check(
        &client,
        ntz,
        "timestamp(3)",
        &[("1611871777.999999999", "2021-01-28 22:09:37.999"), ("-0.000000001", "1969-12-31 23:59:59.999")],
    )
    .await;
    check(&client, ntz, "timestamptz", &[("1611871777.123456789", "2021-01-28 22:09:37.123456+00")]).await;
    check(&client, ntz, "date", &[("1704844800.000000000", "2024-01-10")]).await;
    check_with(
        &client,
        ntz,
        "date",
        &[("1704884400.000000000", "2024-01-10"), ("-0.000000001", "1969-12-31")],
        true,
    )
    .await;
    check(&client, ntz, "text", &[("-0.876543300", "1969-12-31 23:59:59.123456700")]).await;
    check(&client, S::TimestampNtz { scale: 3 }, "text", &[("1611871777.123", "2021-01-28 22:09:37.123")])
        .await;
    check(
        &client,
        S::TimestampLtz { scale: 9 },
        "timestamptz",
        &[("1611871777.123456789", "2021-01-28 22:09:37.123456+00")],
    )
    .await;
    check(&client, S::TimestampLtz { scale: 0 }, "text", &[("1611871777", "2021-01-28 22:09:37+00:00")])
        .await;
    let tz = S::TimestampTz { scale: 9 };
    check(&client, tz, "timestamptz", &[("1616173619.000000000 960", "2021-03-19 17:06:59+00")]).await;
    check(&client, tz, "text", &[("1616173619.000000000 960", "2021-03-19 09:06:59.000000000-08:00")]).await;
    // The text is one that PostgreSQL reads as the same instant.
    let row = client.query_one("select '2021-03-19 09:06:59.000000000-08:00'::timestamptz = 'epoch'::timestamptz + interval '1616173619 s'", &[]).await;
    assert!(row.expect("casts").get::<_, bool>(0));
}

#[tokio::test]
async fn booleans_bytes_documents_and_uuids_arrive() {
    let (_database, client) = connected().await;
    check(&client, S::Boolean, "boolean", &[("true", "true"), ("false", "false")]).await;
    check(&client, S::Boolean, "integer", &[("true", "1"), ("false", "0")]).await;
    check(&client, S::Boolean, "text", &[("true", "true")]).await;
    check(&client, S::Binary, "bytea", &[("00FFabcd", "\\x00ffabcd"), ("", "\\x")]).await;
    check(&client, S::Binary, "text", &[("00ffAB", "00FFAB")]).await;
    let document = "{\n  \"b\": [1, undefined, \"x y\"],\n  \"a\": null\n}";
    check(
        &client,
        S::Variant,
        "jsonb",
        &[(document, r#"{"a": null, "b": [1, null, "x y"]}"#), ("null", "null"), ("\"text\"", "\"text\"")],
    )
    .await;
    check(&client, S::Object, "json", &[(document, r#"{"b":[1,null,"x y"],"a":null}"#)]).await;
    check(&client, S::Array, "text", &[("[\n  1,\n  2\n]", "[1,2]")]).await;
    check(&client, S::Vector, "jsonb", &[("[1.5,2]", "[1.5, 2]")]).await;
    check(
        &client,
        S::Uuid,
        "uuid",
        &[("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
    )
    .await;
    check(
        &client,
        S::Uuid,
        "text",
        &[("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
    )
    .await;
}

/// Draws from a strategy without shrinking: a batch is one COPY, and the message names the wire text.
fn draw<T: std::fmt::Debug>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::default();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("draws").current()).collect()
}

#[tokio::test]
async fn any_number_of_38_digits_and_any_scale_reads_back() {
    let (_database, client) = connected().await;
    let limit = 10_i128.pow(38);
    for scale in 0_u8..=37 {
        // Short numbers and long ones alike: the magnitude is drawn first.
        let strategy = (0_u32..=38).prop_flat_map(move |digits| {
            let top = 10_i128.pow(digits.min(37)).max(1).min(limit - 1);
            -top..=top
        });
        let wires: Vec<String> = draw(&strategy, 60)
            .into_iter()
            .map(|unscaled| {
                let width = usize::from(scale) + 1;
                let digits = format!("{:0>width$}", unscaled.unsigned_abs());
                let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
                let sign = if unscaled < 0 { "-" } else { "" };
                if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
            })
            .collect();
        let cases: Vec<(&str, &str)> = wires.iter().map(|wire| (wire.as_str(), wire.as_str())).collect();
        check(&client, S::Number { precision: 38, scale }, "numeric", &cases).await;
    }
}

#[tokio::test]
async fn any_timestamp_of_both_databases_reads_back_floored() {
    let (_database, client) = connected().await;
    // 4713 BC to 9999 AD, in seconds and nanoseconds of the wall clock.
    let strategy = (-210_000_000_000_i64..253_402_300_800, 0_i64..1_000_000_000);
    let drawn = draw(&strategy, 2_000);
    let mut wires = Vec::new();
    let mut oracle = String::from(
        "select (timestamp 'epoch' + make_interval(days => d) + us * interval '1 microsecond')::text from (values ",
    );
    for (position, (seconds, nanos)) in drawn.iter().enumerate() {
        let total = i128::from(*seconds) * 1_000_000_000 + i128::from(*nanos);
        let (sign, magnitude) = (if total < 0 { "-" } else { "" }, total.unsigned_abs());
        wires.push(format!("{sign}{}.{:09}", magnitude / 1_000_000_000, magnitude % 1_000_000_000));
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let micros = of_day * 1_000_000 + nanos / 1_000;
        let comma = if position == 0 { "" } else { "," };
        write!(oracle, "{comma}({position},{days},{micros}::bigint)").expect("writes");
    }
    oracle.push_str(") v(n, d, us) order by n");
    let expected: Vec<String> =
        client.query(&oracle, &[]).await.expect("computes").iter().map(|row| row.get(0)).collect();
    let cases: Vec<(&str, &str)> =
        wires.iter().map(String::as_str).zip(expected.iter().map(String::as_str)).collect();
    check(&client, S::TimestampNtz { scale: 9 }, "timestamp", &cases).await;
}
