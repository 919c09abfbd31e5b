//! JSON for json and jsonb. `json` keeps any valid text; `jsonb` refuses `\u0000` and surrogates without their half.

use std::borrow::Cow;

use thaw_model::plan::NulInText;

use super::bad_value::BadValue;

/// Whether a text of the user is JSON at all. Text from VARIANT columns has been checked by the decoder.
pub(super) fn check(text: &str) -> Result<(), BadValue> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|_| BadValue::NotJson)
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
        assert_eq!(check(r#" {"a": [1, null]} "#), Ok(()));
    }
}
