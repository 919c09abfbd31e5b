//! Decoding against golden samples, each with its source, and against properties.

use proptest::prelude::*;
use thaw_model::SourceType as T;
use thaw_snowflake::decode::semi_structured::{has_nul_escape, minify};
use thaw_snowflake::decode::{number, temporal};
use thaw_snowflake::{DecodeErrorKind as K, Decoder, Value};

const NUMBER: T = T::Number { precision: 38, scale: 9 };
const TIME: T = T::Time { scale: 9 };
const NTZ: T = T::TimestampNtz { scale: 9 };
const LTZ: T = T::TimestampLtz { scale: 9 };
const TZ: T = T::TimestampTz { scale: 9 };
const TEXT: T = T::Text { length: None };

/// `true` where the cell decodes to the value; `Value`'s own Debug shows none.
fn decodes(source_type: T, cell: &str, expected: &Value<'_>) -> bool {
    Decoder::new(source_type).decode(Some(cell)).as_ref() == Ok(expected)
}

fn fault(source_type: T, cell: &str) -> K {
    match Decoder::new(source_type).decode(Some(cell)) {
        Ok(_) => panic!("{cell:?} is taken for a {source_type}"),
        Err(error) => error.kind,
    }
}

fn number(unscaled: i128, scale: u8) -> Value<'static> {
    Value::Number { unscaled, scale }
}

const S: i128 = 1_000_000_000;

#[test]
fn golden_samples_of_scalar_types_decode() {
    let nines = 10_i128.pow(38) - 1;
    // The source of a line without one: docs.snowflake.com/en/developer-guide/sql-api/handling-responses.
    for (source_type, cell, expected) in [
        (NUMBER, "1.0", number(10, 1)),
        (NUMBER, "-12.340", number(-12_340, 3)),
        (NUMBER, "0", number(0, 0)),
        (NUMBER, "-0.000000001", number(-1, 9)),
        (NUMBER, "99999999999999999999999999999999999999", number(nines, 0)),
        (NUMBER, "-9.9999999999999999999999999999999999999", number(-nines, 37)),
        (NUMBER, "0.0000000000000000000000000000000000001", number(1, 37)),
        (NUMBER, "000000000000000000000000000000000000000000012", number(12, 0)),
        (NUMBER, "9999999999999999999", number(9_999_999_999_999_999_999, 0)),
        (T::Float, "1.234", Value::Float(1.234)),
        (T::Float, "1.7976931348623157e+308", Value::Float(f64::MAX)),
        (T::Float, "5e-324", Value::Float(5e-324)),
        (T::Float, "-0", Value::Float(-0.0)),
        // Spellings of the drivers (JDBC's NumberConverter), in any case.
        (T::Float, "inf", Value::Float(f64::INFINITY)),
        (T::Float, "-Infinity", Value::Float(f64::NEG_INFINITY)),
        (T::DecFloat, "123.456", Value::Decimal("123.456")),
        (T::DecFloat, "-1.5E+16384", Value::Decimal("-1.5E+16384")),
        (T::DecFloat, "1e-16383", Value::Decimal("1e-16383")),
        (T::Boolean, "true", Value::Bool(true)),
        (T::Boolean, "false", Value::Bool(false)),
        (T::Boolean, "1", Value::Bool(true)),
        (T::Boolean, "0", Value::Bool(false)),
        (T::Boolean, "TRUE", Value::Bool(true)),
        (TEXT, "", Value::Text("")),
        (TEXT, "null", Value::Text("null")),
        (TEXT, "a\0b", Value::Text("a\0b")),
        (
            T::Uuid,
            "c2f6f2a4-0000-4000-8000-000000000000",
            Value::Text("c2f6f2a4-0000-4000-8000-000000000000"),
        ),
        (T::Binary, "", Value::Bytes(vec![])),
        (T::Binary, "00FFa0", Value::Bytes(vec![0, 255, 160])),
    ] {
        assert!(decodes(source_type, cell, &expected), "{source_type} {cell}");
        assert_eq!(Decoder::new(source_type).decode(None), Ok(Value::Null));
    }
    assert!(matches!(Decoder::new(T::Float).decode(Some("NaN")), Ok(Value::Float(nan)) if nan.is_nan()));
}

#[test]
fn golden_samples_of_temporal_and_semi_structured_types_decode() {
    for (source_type, cell, expected) in [
        (T::Date, "18262", Value::Date(18_262)),
        (T::Date, "-141427", Value::Date(-141_427)),
        (T::Date, "0", Value::Date(0)),
        (TIME, "82919.000000000", Value::Time(82_919_000_000_000)),
        (TIME, "86399.999999999", Value::Time(86_399_999_999_999)),
        (TIME, "0.5", Value::Time(500_000_000)),
        (TIME, "0", Value::Time(0)),
        (TIME, "82919000000000", Value::Time(82_919_000_000_000)),
        (NTZ, "1611871777.123456789", Value::TimestampNtz(1_611_871_777_123_456_789)),
        (NTZ, "1611871777", Value::TimestampNtz(1_611_871_777 * S)),
        (NTZ, "1611871777.1", Value::TimestampNtz(1_611_871_777_100_000_000)),
        // One sentence of the documents: nanoseconds since the epoch, without a dot.
        (NTZ, "1611871777123456789", Value::TimestampNtz(1_611_871_777_123_456_789)),
        (NTZ, "-1611871777123456789", Value::TimestampNtz(-1_611_871_777_123_456_789)),
        // snowflake-connector-net PR 1371: one signed number; 1969-12-31 23:59:59.1234567.
        (NTZ, "-0.876543300", Value::TimestampNtz(-876_543_300)),
        (NTZ, "-1.500000000", Value::TimestampNtz(-1_500_000_000)),
        // 9999-12-31 23:59:59.999999999 and 0001-01-01: beyond 64 bits of nanoseconds.
        (NTZ, "253402300799.999999999", Value::TimestampNtz(253_402_300_799 * S + 999_999_999)),
        (NTZ, "-62135596800.000000000", Value::TimestampNtz(-62_135_596_800 * S)),
        (LTZ, "1611871777.000000000", Value::TimestampLtz(1_611_871_777 * S)),
        (TZ, "1616173619.000000000 960", Value::TimestampTz { ns: 1_616_173_619 * S, offset_minutes: -480 }),
        (TZ, "-0.5 1440", Value::TimestampTz { ns: -500_000_000, offset_minutes: 0 }),
        (TZ, "0 2160", Value::TimestampTz { ns: 0, offset_minutes: 720 }),
        (T::Variant, "null", Value::Json("null".into())),
        (T::Variant, "1.230000000000000e+00", Value::Json("1.230000000000000e+00".into())),
        (T::Variant, "\"a b\"", Value::Json("\"a b\"".into())),
        (T::Array, "[\n  1,\n  undefined,\n  \"undefined\"\n]", Value::Json("[1,null,\"undefined\"]".into())),
        (T::Object, "{\n  \"a b\": {\n    \"c\": [ ]\n  }\n}", Value::Json("{\"a b\":{\"c\":[]}}".into())),
        (T::Vector, "[1.000000,2.500000]", Value::Json("[1.000000,2.500000]".into())),
        (
            T::Geography,
            "{ \"coordinates\": [ -122.35, 37.55 ], \"type\": \"Point\" }",
            Value::Json("{\"coordinates\":[-122.35,37.55],\"type\":\"Point\"}".into()),
        ),
    ] {
        assert!(decodes(source_type, cell, &expected), "{source_type} {cell}");
        assert_eq!(Decoder::new(source_type).decode(None), Ok(Value::Null));
    }
}

#[test]
fn what_is_not_of_the_type_is_named_without_the_value() {
    let digits_39 = "1".repeat(39);
    for (source_type, cell, expected) in [
        (NUMBER, "", K::NotANumber),
        (NUMBER, "-", K::NotANumber),
        (NUMBER, ".", K::NotANumber),
        (NUMBER, "1.", K::NotANumber),
        (NUMBER, "1e5", K::NotANumber),
        (NUMBER, "+1", K::NotANumber),
        (NUMBER, "1.2.3", K::NotANumber),
        (NUMBER, " 1", K::NotANumber),
        (NUMBER, "NaN", K::NotANumber),
        (NUMBER, &digits_39, K::TooManyDigits),
        (T::Float, "", K::NotAFloat),
        (T::Float, "one", K::NotAFloat),
        (T::Float, "1e999", K::FloatOutOfRange),
        (T::DecFloat, "NaN", K::NotANumber),
        (T::DecFloat, "1e", K::NotANumber),
        (T::DecFloat, "e5", K::NotANumber),
        (T::DecFloat, &digits_39, K::TooManyDigits),
        (T::Boolean, "yes", K::NotABoolean),
        (T::Binary, "abc", K::NotHex),
        (T::Binary, "0g", K::NotHex),
        (T::Binary, "\\x00", K::NotHex),
        (T::Date, "2024-01-10", K::NotADate),
        (T::Date, "1.5", K::NotADate),
        (T::Date, "", K::NotADate),
        (TIME, "86400.000000000", K::TimeOutOfRange),
        (TIME, "-1", K::TimeOutOfRange),
        (TIME, "12:00", K::NotATime),
        (NTZ, "2024-01-10 00:00:00", K::NotATimestamp),
        (NTZ, "1.", K::NotATimestamp),
        (NTZ, "1.0000000001", K::NotATimestamp),
        (NTZ, "NaT", K::NotATimestamp),
        (NTZ, "", K::NotATimestamp),
        (NTZ, "1000000000000000000000000000000", K::NotATimestamp),
        (TZ, "1616173619.000000000", K::BadOffset),
        (TZ, "1616173619 -480", K::BadOffset),
        (TZ, "1616173619 2881", K::BadOffset),
        (TZ, "x 960", K::NotATimestamp),
        (T::Variant, "", K::NotJson),
        (T::Variant, "hello", K::NotJson),
        (T::Variant, "NaN", K::JsonNotFinite),
        (T::Array, "[1, -Infinity]", K::JsonNotFinite),
        (T::Array, "[inf]", K::JsonNotFinite),
        (T::Array, "[1", K::NotJson),
        (T::Array, "[1]]", K::NotJson),
        (T::Array, "[1 2]", K::NotJson),
        (T::Array, "[1,]", K::NotJson),
        (T::Object, "{\"a\" 1}", K::NotJson),
        (T::Object, "{\"a\":1]", K::NotJson),
        (T::Object, "{1:1}", K::NotJson),
        (T::Object, "{undefined:1}", K::NotJson),
        (T::Object, "{\"a\":\"\\ud800\"}", K::NotJson),
    ] {
        assert_eq!(fault(source_type, cell), expected, "{source_type} {cell}");
    }
}

#[test]
fn values_never_show_in_debug() {
    assert_eq!(format!("{:?}", Value::Text("Jane Doe")), "Text(..)");
    assert_eq!(format!("{:?}", number(4711, 0)), "Number(..)");
}

#[test]
fn minified_text_is_borrowed_and_undefined_in_a_text_is_kept() {
    assert!(matches!(minify("{\"a\":[1,null]}"), Ok(std::borrow::Cow::Borrowed(_))));
    assert_eq!(
        minify("[undefined, \"undefined \\\" undefined\"]").unwrap(),
        "[null,\"undefined \\\" undefined\"]"
    );
    assert!(has_nul_escape(r#"["a\u0000b"]"#));
    assert!(!has_nul_escape(r#"["a\\u0000b"]"#));
    assert!(has_nul_escape(r#"["a\\\u0000b"]"#));
    assert!(minify(&"[".repeat(100_000)).is_err());
}

#[test]
fn temporal_values_floor_to_microseconds() {
    assert_eq!(temporal::floor_to_microseconds(-1), -1);
    assert_eq!(temporal::floor_to_microseconds(-876_543_301), -876_544);
    assert_eq!(temporal::floor_to_microseconds(1_999), 1);
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        "[\\PC\"\\\\\n\u{0}]{0,8}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-z \\\"]{0,4}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn numbers_come_back_digit_by_digit(unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..38) {
        let digits = unscaled.unsigned_abs().to_string();
        let padded = format!("{digits:0>width$}", width = usize::from(scale) + 1);
        let (whole, fraction) = padded.split_at(padded.len() - usize::from(scale));
        let sign = if unscaled < 0 { "-" } else { "" };
        let text = if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") };
        prop_assert_eq!(number::fixed(&text), Ok((unscaled, scale)));
        prop_assert_eq!(number::decfloat(&text), Ok(text.as_str()));
    }

    #[test]
    fn floats_come_back_bit_by_bit(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan());
        let read = number::real(&format!("{value:e}")).unwrap();
        prop_assert_eq!(read.to_bits(), value.to_bits());
    }

    #[test]
    fn timestamps_are_one_signed_number(ns in -400_000_000_000_i128 * S..400_000_000_000 * S, offset in 0_i16..=2880) {
        let sign = if ns < 0 { "-" } else { "" };
        let (whole, fraction) = (ns.unsigned_abs() / 1_000_000_000, ns.unsigned_abs() % 1_000_000_000);
        let text = format!("{sign}{whole}.{fraction:09}");
        prop_assert_eq!(temporal::timestamp(&text), Ok(ns));
        prop_assert_eq!(temporal::timestamp_tz(&format!("{text} {offset}")), Ok((ns, offset - 1440)));
        let short = text.trim_end_matches('0').trim_end_matches('.');
        let whole_number = !short.contains('.');
        prop_assert!(whole_number || temporal::timestamp(short) == Ok(ns));
    }

    #[test]
    fn minifying_keeps_the_document(document in json()) {
        let pretty = serde_json::to_string_pretty(&document).unwrap();
        let minified = minify(&pretty).unwrap();
        prop_assert_eq!(minified.as_ref(), serde_json::to_string(&document).unwrap());
    }

    #[test]
    fn what_is_taken_for_json_is_json(text in "[\\[\\]{}:,\"\\\\a0-9.eE+\\-nulltruefalse \\n]{0,16}") {
        if let Ok(minified) = minify(&text) {
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(&minified).is_ok();
            prop_assert!(valid, "{}", text);
        }
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in "\\PC{0,40}") {
        for source_type in [NUMBER, T::Float, T::DecFloat, T::Boolean, T::Binary, T::Date, TIME, NTZ, TZ, T::Variant] {
            drop(Decoder::new(source_type).decode(Some(&text)));
        }
    }
}
