//! The scanner against serde_json, which is the oracle.

use proptest::prelude::*;
use serde_json::Value;
use thaw_snowflake::scanner::Scanner;
use thaw_snowflake::{MalformedResponse, SnowflakeError};

use crate::sink::{Collect, Row};

/// Scans `pieces` as one body.
fn scan<'a>(
    columns: usize,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Row>, MalformedResponse> {
    let mut scanner = Scanner::new(columns);
    let mut sink = Collect::default();
    for piece in pieces {
        scanner.feed(piece, &mut sink).map_err(|error| match error {
            SnowflakeError::Malformed(malformed) => malformed,
            other => panic!("{other}"),
        })?;
    }
    assert_eq!(scanner.finish()?, sink.rows.len() as u64);
    Ok(sink.rows)
}

fn oracle(body: &str) -> Vec<Row> {
    let value: Value = serde_json::from_str(body).unwrap();
    let cell = |cell: &Value| match cell {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let rows = value["data"].as_array().unwrap().iter();
    rows.map(|row| row.as_array().unwrap().iter().map(cell).collect()).collect()
}

/// Texts that are rich in what escapes, quotes and boundaries can spoil.
fn cell() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "[\\PC]{0,12}".prop_map(Some),
        "[\"\\\\/\u{0}-\u{1f}\u{7f}aé€😀𐍈\u{ffff}]{0,12}".prop_map(Some),
        Just(Some("null".to_owned())),
        Just(Some(String::new())),
    ]
}

fn rows() -> impl Strategy<Value = (usize, Vec<Row>)> {
    (1_usize..6).prop_flat_map(|columns| {
        let row = proptest::collection::vec(cell(), columns);
        (Just(columns), proptest::collection::vec(row, 0..6))
    })
}

/// Writes every character outside of ASCII, and some within, as `\u` escapes: the form that serde never writes.
fn escape_all(json: &str) -> String {
    let mut out = String::new();
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn rows_are_those_of_the_oracle_wherever_the_body_is_cut((columns, rows) in rows(), pretty: bool, escaped: bool) {
        let document = serde_json::json!({
            "before": {"data": [["no"]], "text": "]}\\\""}, "number": -1.5e3, "word": true,
            "data": rows, "after": [null, {"a": []}], "last": "x",
        });
        let mut body = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        if escaped {
            body = escape_all(&body);
        }
        let expected = oracle(&body);
        let bytes = body.as_bytes();
        prop_assert_eq!(scan(columns, [bytes]).unwrap(), expected.clone());
        for at in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(at);
            prop_assert_eq!(&scan(columns, [head, tail]).unwrap(), &expected, "cut at {}", at);
        }
        prop_assert_eq!(scan(columns, bytes.chunks(1)).unwrap(), expected);
    }

    #[test]
    fn a_body_without_its_end_is_never_taken_for_whole((columns, rows) in rows()) {
        let body = serde_json::json!({"data": rows, "x": 1}).to_string();
        for length in 0..body.len() {
            let result = scan(columns, [&body.as_bytes()[..length]]);
            prop_assert!(result.is_err(), "{} of {}", length, body.len());
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), columns in 0_usize..4) {
        drop(scan(columns, [bytes.as_slice()]));
    }

    #[test]
    fn damaged_bodies_never_panic((columns, rows) in rows(), at: usize, byte: u8) {
        let mut body = serde_json::json!({"data": rows}).to_string().into_bytes();
        let at = at % body.len();
        body[at] = byte;
        drop(scan(columns, body.chunks(3)));
    }
}

#[test]
fn a_bare_number_or_boolean_means_its_text() {
    let body = br#"{"data":[[1, -2.5 ,true],[false,1e3,null]]}"#;
    let rows = scan(3, [body.as_slice()]).unwrap();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [[text("1"), text("-2.5"), text("true")], [text("false"), text("1e3"), None]]);
    assert_eq!(scan(3, body.chunks(1)).unwrap(), rows);
}

#[test]
fn the_order_of_members_does_not_matter() {
    for body in [
        r#"{"data":[["a"]],"resultSetMetaData":{"numRows":1}}"#,
        r#"{"resultSetMetaData":{"numRows":1},"data":[["a"]]}"#,
        " {\n\"code\" : \"090001\" , \"data\" : [ [ \"a\" ] ] } \r\n",
    ] {
        assert_eq!(scan(1, [body.as_bytes()]).unwrap(), [[Some("a".to_owned())]], "{body}");
    }
    assert!(scan(1, [br#"{"data":[]}"#.as_slice()]).unwrap().is_empty());
    assert!(scan(1, [br#"{"data":null}"#.as_slice()]).unwrap().is_empty());
}

#[test]
fn faults_are_named() {
    use MalformedResponse as M;
    for (body, expected) in [
        (r#"{"data":[["a"]]} x"#, M::TrailingBytes),
        (r#"{"data":[["a"]]}{}"#, M::TrailingBytes),
        (r#"{"data":[["a"]]"#, M::Truncated),
        ("", M::Truncated),
        (r#"{"code":"1"}"#, M::NoData),
        (r#"{"data":[],"data":[]}"#, M::TwoData),
        (r#"{"data":[["a","b"]]}"#, M::CellCount),
        (r#"{"data":[[]]}"#, M::CellCount),
        (r#"{"data":[[["a"]]]}"#, M::NestedCell),
        (r#"{"data":[[{}]]}"#, M::NestedCell),
        (r#"{"data":[["\ud83d"]]}"#, M::BadText),
        (r#"{"data":[["\ud83dx"]]}"#, M::BadText),
        (r#"{"data":[["\ud83d\n"]]}"#, M::BadText),
        (r#"{"data":[["\ud83d\u0041"]]}"#, M::BadText),
        (r#"{"data":[["\ude00"]]}"#, M::BadText),
        (r#"{"data":[["\x"]]}"#, M::BadText),
        (r#"{"data":[["\u00g0"]]}"#, M::BadText),
        ("{\"data\":[[\"a\nb\"]]}", M::BadText),
        (r#"{"data":[["a"],]}"#, M::NotJson),
        (r#"{"data":[["a",]]}"#, M::NotJson),
        (r#"{"data":[["a""b"]]}"#, M::NotJson),
        (r#"{"data":[[nul]]}"#, M::NotJson),
        (r#"{"data":[[nulll]]}"#, M::NotJson),
        (r#"{"data":[[01]]}"#, M::NotJson),
        (r#"{"data":"x"}"#, M::NotJson),
        ("<html>", M::NotJson),
        ("[]", M::NotJson),
    ] {
        assert_eq!(scan(1, [body.as_bytes()]).unwrap_err(), expected, "{body}");
        assert_eq!(scan(1, body.as_bytes().chunks(1)).unwrap_err(), expected, "{body} byte by byte");
    }
    assert_eq!(scan(1, [b"{\"data\":[[\"\xff\"]]}".as_slice()]).unwrap_err(), M::BadText);
}

#[test]
fn surrogate_pairs_and_nul_escapes_are_decoded() {
    let body = br#"{"data":[["\ud83d\ude00\u0000\u00e9\/\b\f\n\r\t\"\\"]]}"#;
    let expected = "\u{1f600}\0é/\u{8}\u{c}\n\r\t\"\\".to_owned();
    assert_eq!(scan(1, [body.as_slice()]).unwrap(), [[Some(expected)]]);
}
