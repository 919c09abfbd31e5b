//! JSON for json and jsonb. `json` keeps any valid text; `jsonb` refuses `\u0000` and surrogates without their half.

use std::borrow::Cow;

use thaw_model::plan::NulInText;
use thaw_snowflake::decode::DecodeErrorKind;
use thaw_snowflake::decode::semi_structured::{self, Validated};

use super::bad_value::BadValue;

/// Whether a text of the user is JSON at all. Text from VARIANT columns has been checked by the decoder.
pub(super) fn check(text: &str) -> Result<Validated, BadValue> {
    semi_structured::validate(text).map_err(|error| match error.kind {
        DecodeErrorKind::NotJson | DecodeErrorKind::JsonNotFinite => BadValue::NotJson,
        _ => error.into(),
    })
}

/// Makes valid JSON fit for jsonb, under the policy for NUL.
pub(super) fn for_jsonb(text: &str, policy: NulInText) -> Result<Cow<'_, str>, BadValue> {
    // Most documents hold no escape of that kind at all.
    if !text.contains("\\u") {
        return Ok(Cow::Borrowed(text));
    }
    let mut out: Option<String> = None;
    let mut copied = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if *byte != b'\\' {
            at += 1;
            continue;
        }
        let Some(code) = code_unit(bytes, at) else {
            // Another escape: its second character may be a backslash.
            at += 2;
            continue;
        };
        let len = match code {
            0 => {
                let replacement = match policy {
                    NulInText::Fail => return Err(BadValue::CharacterNotInJsonb),
                    NulInText::Strip => "",
                    NulInText::Replace => "\u{fffd}",
                };
                let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
                out.push_str(text.get(copied..at).unwrap_or_default());
                out.push_str(replacement);
                copied = at + 6;
                6
            }
            0xd800..=0xdbff => match code_unit(bytes, at + 6) {
                Some(0xdc00..=0xdfff) => 12,
                _ => return Err(BadValue::CharacterNotInJsonb),
            },
            0xdc00..=0xdfff => return Err(BadValue::CharacterNotInJsonb),
            _ => 6,
        };
        at += len;
    }
    Ok(match out {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    })
}

/// The code unit of a `\uXXXX` that begins here.
fn code_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    let digits = escape.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jsonb(text: &str, policy: NulInText) -> Result<String, BadValue> {
        for_jsonb(text, policy).map(Cow::into_owned)
    }

    #[test]
    fn nul_escapes_follow_the_policy() {
        let text = r#"{"a":"x\u0000y"}"#;
        assert_eq!(jsonb(text, NulInText::Fail), Err(BadValue::CharacterNotInJsonb));
        assert_eq!(jsonb(text, NulInText::Strip), Ok(r#"{"a":"xy"}"#.to_owned()));
        assert_eq!(jsonb(text, NulInText::Replace), Ok("{\"a\":\"x\u{fffd}y\"}".to_owned()));
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        let text = r#"["\\u0000"]"#;
        assert_eq!(jsonb(text, NulInText::Fail), Ok(text.to_owned()));
        assert_eq!(jsonb(r#"["\\\u0000"]"#, NulInText::Fail), Err(BadValue::CharacterNotInJsonb));
    }

    #[test]
    fn surrogates_come_in_pairs() {
        assert!(jsonb(r#""\ud83d\ude00""#, NulInText::Fail).is_ok());
        for text in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dA""#] {
            assert_eq!(jsonb(text, NulInText::Fail), Err(BadValue::CharacterNotInJsonb), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_json_is_refused() {
        for text in ["", "{", "{'a':1}", "undefined", "NaN", "[1,]", "01"] {
            assert_eq!(check(text), Err(BadValue::NotJson), "{text}");
        }
        assert!(check(r#" {"a": [1, null]} "#).is_ok());
    }

    #[test]
    fn text_may_nest_as_deep_as_postgresql_reads() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(&nested(1_000)).is_ok());
        assert!(check(&nested(100_000)).is_err());
    }

    #[test]
    fn numbers_beyond_numeric_are_noticed() {
        let has_long_number = |text: &str| check(text).expect("json").has_long_number;
        for text in ["1e16000", "[1E-99999999999999999999999]", "[0, 1e+0016000]"] {
            assert!(has_long_number(text), "{text}");
        }
        assert!(has_long_number(&"9".repeat(17_000)));
        for text in ["1e308", "-1.7976931348623157e+308", "[\"1e99999\"]"] {
            assert!(!has_long_number(text), "{text}");
        }
    }
}
