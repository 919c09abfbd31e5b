//! Values that a column cannot hold: found before PostgreSQL sees them, one policy at a time, and never quoted.

use thaw_harness::TestDatabase;
use thaw_model::plan::{Arbiter, LoadMode, NulInText, OnBadRow, TablePlan};
use thaw_model::{Classify as _, Disposition, PgIdent, SourceType as S};
use thaw_worker::encode::{BadValue, EncodeError, Encoded, RowEncoder};
use tokio_postgres::Client;

use crate::support::{cell, copy_all, feed, plan_for};

const CANARY: &str = "canary-4711";

/// Encodes two good rows around a bad value and loads what is left.
async fn load(
    client: &Client,
    (source, pg_type): (S, &str),
    cells: &[&str],
    on_bad_row: OnBadRow,
) -> Result<(Encoded, Vec<Option<String>>), EncodeError> {
    client
        .batch_execute(&format!(
            "drop table if exists t; drop type if exists mood; create type mood as enum ('sad', 'it''s ok'); \
             drop domain if exists code; create domain code as varchar(3) check (value <> 'no'); \
             create table t (v {pg_type})"
        ))
        .await
        .expect("creates");
    let mut plan = plan_for(client, "t", &[("v", source)]).await;
    plan.bad_rows.on_bad_row = on_bad_row;
    let (encoder, rows) = RowEncoder::new(&plan, false)?;
    let cells = cells.iter().map(|text| vec![cell(text)]).collect();
    let (encoded, copied) = tokio::join!(feed(encoder, cells), copy_all(client, "t", "v", rows));
    let encoded = encoded?;
    copied.expect("copies");
    let read = client.query("select v::text from t order by ctid", &[]).await.expect("reads");
    Ok((encoded, read.iter().map(|row| row.get(0)).collect()))
}

/// Source type, target type, a good cell, a bad cell, and what is wrong with it.
const CASES: &[(S, &str, &str, &str, BadValue)] = &[
    (S::Number { precision: 38, scale: 0 }, "smallint", "1", "32768", BadValue::NumberOutOfRange),
    (S::Number { precision: 38, scale: 0 }, "integer", "1", "-2147483649", BadValue::NumberOutOfRange),
    (S::Number { precision: 38, scale: 0 }, "bigint", "1", "9223372036854775808", BadValue::NumberOutOfRange),
    (S::Number { precision: 38, scale: 0 }, "numeric(3,0)", "999", "1000", BadValue::NumberOutOfRange),
    (S::Number { precision: 38, scale: 2 }, "numeric(5,1)", "1.50", "1.55", BadValue::NumberWouldChange),
    (S::Number { precision: 38, scale: 2 }, "integer", "1.00", "1.01", BadValue::NumberWouldChange),
    (
        S::Number { precision: 38, scale: 0 },
        "double precision",
        "1",
        "123456789012345678",
        BadValue::NumberWouldChange,
    ),
    (S::Number { precision: 38, scale: 0 }, "boolean", "1", "2", BadValue::NotZeroOrOne),
    (S::Float, "integer", "1", "NaN", BadValue::NotFinite),
    (S::Float, "numeric(5,2)", "1", "inf", BadValue::NotFinite),
    (S::Float, "real", "1", "1e300", BadValue::NumberOutOfRange),
    (S::Text { length: None }, "varchar(3)", "abc", "abcd", BadValue::TextTooLong),
    (S::Text { length: None }, "char(3)", "abc", "abcd", BadValue::TextTooLong),
    (S::Text { length: None }, "text", "a", "a\0b", BadValue::NulInText),
    (S::Text { length: None }, "integer", "1", "NaT", BadValue::NotANumber),
    (S::Text { length: None }, "date", "2024-01-10", "10.01.2024", BadValue::NotADate),
    (S::Text { length: None }, "timestamp", "2024-01-10", "NaT", BadValue::NotATimestamp),
    (S::Text { length: None }, "time", "10:00:00", "25:00:00", BadValue::NotATime),
    (S::Text { length: None }, "boolean", "true", "maybe", BadValue::NotABoolean),
    (S::Text { length: None }, "jsonb", "{}", "{'a': 1}", BadValue::NotJson),
    (S::Text { length: None }, "jsonb", "{}", "\"\\u0000\"", BadValue::CharacterNotInJsonb),
    (S::Text { length: None }, "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "x", BadValue::NotAUuid),
    (S::TimestampNtz { scale: 0 }, "date", "0", "1", BadValue::TimestampWouldChange),
    (S::Text { length: None }, "mood", "it's ok", "canary", BadValue::NotALabel),
    (
        S::Text { length: None },
        "numeric",
        "1",
        "999999999999999999999999999999999999999",
        BadValue::TooManyDigits,
    ),
    (S::Text { length: None }, "jsonb", "{}", "[1e999999]", BadValue::NumberOutOfRange),
    (S::Text { length: None }, "code", "abc", "abcd", BadValue::TextTooLong),
    (S::Number { precision: 38, scale: 0 }, "numeric(3,-2)", "1200", "1234", BadValue::NumberWouldChange),
    (S::Number { precision: 38, scale: 0 }, "numeric(3,-2)", "99900", "100000", BadValue::NumberOutOfRange),
    (S::Variant, "jsonb", "{}", "{\"a\": \"x\\u0000y\"}", BadValue::CharacterNotInJsonb),
    (S::Array, "integer[]", "[1,null]", "[1,2147483648]", BadValue::NumberOutOfRange),
    (S::Array, "integer[]", "[]", "[[1]]", BadValue::ElementMismatch),
    (S::Array, "integer[]", "[]", "[true]", BadValue::ElementMismatch),
    (S::Array, "text[]", "[\"a\"]", "[\"a\\u0000\"]", BadValue::NulInText),
    (S::Variant, "text[]", "[]", "{}", BadValue::NotAnArray),
];

#[tokio::test]
async fn every_kind_of_bad_value_fails_the_chunk_without_being_quoted() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    for (source, pg_type, good, bad, expected) in CASES {
        let pair = (*source, *pg_type);
        let error = load(&client, pair, &[good, bad, good], OnBadRow::Fail).await.expect_err("a bad row");
        let EncodeError::BadRow { column, ordinal, reason } = &error else { panic!("{pg_type}: {error}") };
        assert_eq!((column.as_str(), *ordinal, reason), ("v", 2, expected), "{source} into {pg_type}");
        assert_eq!(error.disposition(), Disposition::Fatal);
        assert_eq!(error.to_string(), format!("row 2 of the chunk, column \"v\": {expected}"));
    }
}

#[tokio::test]
async fn every_kind_of_bad_value_can_be_set_aside_or_become_null() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    for (source, pg_type, good, bad, expected) in CASES {
        let pair = (*source, *pg_type);
        let cells = [*good, *bad, *good];
        let (encoded, read) = load(&client, pair, &cells, OnBadRow::Quarantine).await.expect("sets it aside");
        assert_eq!((encoded.rows, encoded.bad_rows.len(), read.len()), (3, 1, 2), "{source} into {pg_type}");
        assert_eq!((encoded.bad_rows[0].ordinal, &encoded.bad_rows[0].reason), (2, expected));
        assert_eq!(read[0], read[1]);
        let (encoded, read) = load(&client, pair, &cells, OnBadRow::Null).await.expect("makes it null");
        assert_eq!((encoded.rows, encoded.nulled, read.len()), (3, 1, 3), "{source} into {pg_type}");
        assert_eq!(read[1], None);
        assert!(read[0].is_some() && read[0] == read[2]);
    }
}

#[tokio::test]
async fn dates_and_timestamps_beyond_postgresql_are_bad_rows() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    for (source, pg_type, bad) in [
        (S::Date, "date", "-2440589"),
        (S::Date, "date", "2145042906"),
        (S::Date, "timestamp", "106762940"),
        (S::TimestampNtz { scale: 0 }, "timestamp", "-210866803201"),
        (S::TimestampNtz { scale: 0 }, "timestamp", "9224318016000"),
    ] {
        let error =
            load(&client, (source, pg_type), &["0", bad], OnBadRow::Fail).await.expect_err("out of range");
        assert!(
            matches!(error, EncodeError::BadRow { reason: BadValue::Field(_), ordinal: 2, .. }),
            "{bad}: {error}"
        );
    }
    // The last and the first day that are in range are really taken by the server.
    for (source, pg_type, good) in [
        (S::Date, "date", "-2440588"),
        (S::Date, "date", "2145042905"),
        (S::TimestampNtz { scale: 0 }, "timestamp", "-210866803200"),
        (S::TimestampNtz { scale: 0 }, "timestamp", "9224318015999"),
    ] {
        load(&client, (source, pg_type), &[good], OnBadRow::Fail).await.expect("in range");
    }
}

#[tokio::test]
async fn nul_is_stripped_or_replaced_where_the_plan_says_so() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    for (policy, text, json) in
        [(NulInText::Strip, "ab", "\"xy\""), (NulInText::Replace, "a\u{fffd}b", "\"x\u{fffd}y\"")]
    {
        client
            .batch_execute("drop table if exists t; create table t (v text, j jsonb)")
            .await
            .expect("creates");
        let mut plan = plan_for(&client, "t", &[("v", S::Text { length: None }), ("j", S::Variant)]).await;
        plan.bad_rows.nul_in_text = policy;
        let (encoder, rows) = RowEncoder::new(&plan, false).expect("a plan");
        let row = vec![cell("a\0b"), cell("\"x\\u0000y\"")];
        let (encoded, copied) = tokio::join!(feed(encoder, vec![row]), copy_all(&client, "t", "v, j", rows));
        encoded.expect("encodes");
        copied.expect("copies");
        let read = client.query_one("select v, j::text from t", &[]).await.expect("reads");
        assert_eq!((read.get::<_, &str>(0), read.get::<_, &str>(1)), (text, json));
    }
}

#[tokio::test]
async fn null_in_a_not_null_column_is_a_bad_row_and_cannot_become_null() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client.batch_execute("create table t (v int not null)").await.expect("creates");
    let mut plan = plan_for(&client, "t", &[("v", S::Number { precision: 38, scale: 0 })]).await;
    for (policy, ending) in
        [(OnBadRow::Fail, "not null"), (OnBadRow::Null, "the column cannot be null instead")]
    {
        plan.bad_rows.on_bad_row = policy;
        let (encoder, _rows) = RowEncoder::new(&plan, false).expect("a plan");
        let error = feed(encoder, vec![vec![None]]).await.expect_err("null");
        assert!(
            matches!(
                error,
                EncodeError::BadRow { reason: BadValue::Null, ordinal: 1, .. }
                    | EncodeError::CannotBeNull { reason: BadValue::Null, ordinal: 1, .. }
            ),
            "{error}"
        );
        assert!(error.to_string().ends_with(ending), "{error}");
        assert_eq!((error.disposition(), error.class()), (Disposition::Fatal, "bad_row".to_owned()));
    }
}

#[tokio::test]
async fn too_many_bad_rows_fail_the_table() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client.batch_execute("create table t (v int)").await.expect("creates");
    let mut plan = plan_for(&client, "t", &[("v", S::Text { length: None })]).await;
    plan.bad_rows.on_bad_row = OnBadRow::Quarantine;
    plan.bad_rows.max_bad_rows = 2;
    let (encoder, _rows) = RowEncoder::new(&plan, false).expect("a plan");
    let error = feed(encoder, vec![vec![cell(CANARY)]; 3]).await.expect_err("three are too many");
    assert!(matches!(error, EncodeError::TooManyBadRows { limit: 2, ordinal: 3, .. }), "{error}");
    assert_eq!(error.disposition(), Disposition::HaltTable);
    assert!(!format!("{error} {error:?}").contains(CANARY));
}

#[tokio::test]
async fn a_result_of_another_shape_is_refused() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    client.batch_execute("create table t (v int, w int)").await.expect("creates");
    let int = S::Number { precision: 38, scale: 0 };
    let plan = plan_for(&client, "t", &[("v", int), ("w", int)]).await;
    for row in [vec![cell("1")], vec![cell("1"), cell("2"), cell("3")]] {
        let (encoder, _rows) = RowEncoder::new(&plan, false).expect("a plan");
        let error = feed(encoder, vec![row]).await.expect_err("another shape");
        assert!(matches!(error, EncodeError::Shape), "{error}");
    }
}

#[tokio::test]
async fn a_key_that_the_column_would_change_is_a_bad_row() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    for (source, pg_type, good, bad) in [
        (S::TimestampNtz { scale: 9 }, "timestamp", "1.000001000", "1.000001001"),
        (S::TimestampNtz { scale: 9 }, "timestamp(3)", "1.001000000", "1.001001000"),
        (S::Time { scale: 9 }, "time", "1.000001000", "1.000001001"),
        (S::Text { length: None }, "char(3)", "ab", "ab "),
        (S::Text { length: None }, "varchar(3)", "ab ", "abc "),
    ] {
        client
            .batch_execute(&format!("drop table if exists t; create table t (v {pg_type} primary key)"))
            .await
            .expect("creates");
        let mut plan = plan_for(&client, "t", &[("v", source)]).await;
        plan.load.mode = LoadMode::Upsert;
        plan.load.arbiter = Some(Arbiter {
            index: PgIdent::exact("t_pkey"),
            columns: vec![PgIdent::exact("v")],
            nulls_not_distinct: false,
        });
        let encode = async |plan: &TablePlan, text| {
            let (encoder, _rows) = RowEncoder::new(plan, true)?;
            feed(encoder, vec![vec![cell(text)]]).await
        };
        let reason = |encoded: Result<Encoded, EncodeError>| match encoded {
            Err(EncodeError::BadRow { reason, .. }) => Some(reason),
            Err(error) => panic!("{error}"),
            Ok(_) => None,
        };
        assert_eq!(reason(encode(&plan, good).await), None, "{pg_type}");
        assert_eq!(reason(encode(&plan, bad).await), Some(BadValue::KeyWouldChange), "{pg_type}");
        // What is no key is floored and cut as everywhere.
        plan.load.arbiter = None;
        assert_eq!(reason(encode(&plan, bad).await), None, "{pg_type}");
    }
}

/// As a row of more than 1 GB: the value with which it would pass the limit is refused before it is written.
#[tokio::test]
async fn a_row_above_1_gb_is_a_bad_row_before_it_takes_memory() {
    let database = TestDatabase::create().await;
    let client = database.connect().await.expect("connects");
    let text = S::Text { length: None };
    let third = "canary ".repeat(60);
    let rows = || {
        vec![
            vec![cell("a"), cell("b"), cell("c")],
            vec![cell(&third); 3],
            vec![cell("a"), None, cell(&third)],
        ]
    };
    for policy in [OnBadRow::Fail, OnBadRow::Quarantine, OnBadRow::Null] {
        let create = "drop table if exists t; create table t (u text, v text, w text)";
        client.batch_execute(create).await.expect("creates");
        let mut plan = plan_for(&client, "t", &[("u", text), ("v", text), ("w", text)]).await;
        plan.bad_rows.on_bad_row = policy;
        let (encoder, pieces) = RowEncoder::new(&plan, false).expect("a plan");
        let loads = copy_all(&client, "t", "u, v, w", pieces);
        let (encoded, _) = tokio::join!(feed(encoder.with_row_limit(1_000), rows()), loads);
        let read = client.query("select w from t order by ctid", &[]).await.expect("reads");
        let read: Vec<Option<String>> = read.iter().map(|row| row.get(0)).collect();
        let (first, last) = (Some("c".to_owned()), Some(third.clone()));
        match (policy, encoded) {
            (OnBadRow::Fail, Err(error)) => {
                let text = "row 2 of the chunk, column \"w\": the row is longer than 1 GB";
                assert_eq!((error.to_string().as_str(), error.disposition()), (text, Disposition::Fatal));
                assert_eq!(read, Vec::<Option<String>>::new());
            }
            (OnBadRow::Quarantine, Ok(encoded)) => {
                assert_eq!((encoded.rows, encoded.bad_rows.len()), (3, 1));
                assert_eq!(
                    (encoded.bad_rows[0].ordinal, encoded.bad_rows[0].reason),
                    (2, BadValue::RowTooLong)
                );
                assert_eq!(read, [first, last], "nothing else is lost");
            }
            (OnBadRow::Null, Ok(encoded)) => {
                assert_eq!((encoded.rows, encoded.nulled), (3, 1));
                assert_eq!(read, [first, None, last]);
            }
            (_, other) => panic!("{policy:?}: {other:?}"),
        }
    }
}
