//! VARIANT, OBJECT, ARRAY and what is printed like them: GEOGRAPHY, GEOMETRY (GeoJSON) and VECTOR.
//!
//! The server prints JSON-like text, indented by a parameter that the SQL API does not let us set. It is not
//! always JSON: an SQL NULL inside an ARRAY is the bare word `undefined`, and doubles may be NaN or infinite.
//! Source: docs.snowflake.com/en/user-guide/semistructured-considerations.

use std::borrow::Cow;

use super::{DecodeError, DecodeErrorKind};
use crate::scanner::is_json_number;

/// Deeper than any document that PostgreSQL's own parser takes under its default `max_stack_depth`.
const DEPTH_MAX: usize = 6_000;

/// Minifies the server's text into valid JSON: white space outside of texts goes, `undefined` becomes `null`.
/// Borrows where the text is minified JSON already.
///
/// # Errors
/// Text that is no JSON even so; NaN and infinities, which JSON cannot say.
pub fn minify(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    let mut parser = Parser { open: Vec::new(), expect: Expect::Value, out: None };
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (taken, replacement) = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => (1, Some("")),
            b'"' => (parser.text(rest)?, None),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => (parser.structure(byte)?, None),
            _ => parser.word(rest)?,
        };
        let end = at + taken;
        if replacement.is_some() && parser.out.is_none() {
            parser.out = Some(text.get(..at).ok_or(DecodeErrorKind::NotJson)?.to_owned());
        }
        if let Some(out) = parser.out.as_mut() {
            out.push_str(match replacement {
                Some(replacement) => replacement,
                None => text.get(at..end).ok_or(DecodeErrorKind::NotJson)?,
            });
        }
        at = end;
    }
    if parser.expect != Expect::Nothing {
        return Err(DecodeErrorKind::NotJson.into());
    }
    Ok(parser.out.map_or(Cow::Borrowed(text), Cow::Owned))
}

/// Whether a text of valid JSON holds the escape `\u0000`, which `jsonb` refuses.
#[must_use]
pub fn has_nul_escape(json: &str) -> bool {
    let mut rest = json.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = rest.get(at..).unwrap_or_default();
        if escape.starts_with(b"\\u0000") {
            return true;
        }
        // An escaped backslash hides what follows it.
        rest = escape.get(2..).unwrap_or_default();
    }
    false
}

struct Parser {
    /// The brackets that are open: `true` for an object.
    open: Vec<bool>,
    expect: Expect,
    /// The minified text, once it differs from what came.
    out: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

impl Parser {
    fn structure(&mut self, byte: u8) -> Result<usize, DecodeError> {
        let takes_value = matches!(self.expect, Expect::Value | Expect::ValueOrEnd);
        self.expect = match byte {
            b'{' | b'[' if takes_value => {
                if self.open.len() == DEPTH_MAX {
                    return Err(DecodeErrorKind::JsonTooDeep.into());
                }
                self.open.push(byte == b'{');
                if byte == b'{' { Expect::KeyOrEnd } else { Expect::ValueOrEnd }
            }
            b'}' if matches!(self.expect, Expect::KeyOrEnd | Expect::CommaOrEnd) => self.close(true)?,
            b']' if matches!(self.expect, Expect::ValueOrEnd | Expect::CommaOrEnd) => self.close(false)?,
            b',' if self.expect == Expect::CommaOrEnd => match self.open.last() {
                Some(true) => Expect::Key,
                Some(false) => Expect::Value,
                None => return Err(DecodeErrorKind::NotJson.into()),
            },
            b':' if self.expect == Expect::Colon => Expect::Value,
            _ => return Err(DecodeErrorKind::NotJson.into()),
        };
        Ok(1)
    }

    fn close(&mut self, object: bool) -> Result<Expect, DecodeError> {
        if self.open.pop() != Some(object) {
            return Err(DecodeErrorKind::NotJson.into());
        }
        Ok(self.after_value())
    }

    fn after_value(&self) -> Expect {
        if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd }
    }

    /// A whole text, from its first quote.
    fn text(&mut self, rest: &[u8]) -> Result<usize, DecodeError> {
        self.expect = match self.expect {
            Expect::Key | Expect::KeyOrEnd => Expect::Colon,
            Expect::Value | Expect::ValueOrEnd => self.after_value(),
            Expect::Colon | Expect::CommaOrEnd | Expect::Nothing => {
                return Err(DecodeErrorKind::NotJson.into());
            }
        };
        let mut at = 1;
        loop {
            match rest.get(at) {
                Some(b'"') => return Ok(at + 1),
                Some(b'\\') => at += escape_length(rest.get(at..).unwrap_or_default())?,
                Some(0..0x20) | None => return Err(DecodeErrorKind::NotJson.into()),
                Some(_) => at += 1,
            }
        }
    }

    /// A bare word or number, and what to write instead of it.
    fn word(&mut self, rest: &[u8]) -> Result<(usize, Option<&'static str>), DecodeError> {
        let ends = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        if !matches!(self.expect, Expect::Value | Expect::ValueOrEnd) {
            return Err(DecodeErrorKind::NotJson.into());
        }
        self.expect = self.after_value();
        match word {
            b"null" | b"true" | b"false" => Ok((length, None)),
            b"undefined" => Ok((length, Some("null"))),
            _ if is_json_number(word) => Ok((length, None)),
            _ if is_not_finite(word) => Err(DecodeErrorKind::JsonNotFinite.into()),
            _ => Err(DecodeErrorKind::NotJson.into()),
        }
    }
}

fn is_not_finite(word: &[u8]) -> bool {
    let unsigned = word.strip_prefix(b"-").unwrap_or(word);
    unsigned.eq_ignore_ascii_case(b"nan")
        || unsigned.eq_ignore_ascii_case(b"inf")
        || unsigned.eq_ignore_ascii_case(b"infinity")
}

/// The length of an escape; a surrogate counts with its other half, without which `jsonb` refuses it.
fn escape_length(rest: &[u8]) -> Result<usize, DecodeError> {
    match rest.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => match code_unit(rest)? {
            0xd800..=0xdbff => match code_unit(rest.get(6..).unwrap_or_default())? {
                0xdc00..=0xdfff => Ok(12),
                _ => Err(DecodeErrorKind::NotJson.into()),
            },
            0xdc00..=0xdfff => Err(DecodeErrorKind::NotJson.into()),
            _ => Ok(6),
        },
        _ => Err(DecodeErrorKind::NotJson.into()),
    }
}

/// The value of `\uXXXX`.
fn code_unit(rest: &[u8]) -> Result<u32, DecodeError> {
    let digits =
        rest.strip_prefix(b"\\u").and_then(|digits| digits.get(..4)).ok_or(DecodeErrorKind::NotJson)?;
    let mut value = 0;
    for digit in digits {
        value = value << 4 | char::from(*digit).to_digit(16).ok_or(DecodeErrorKind::NotJson)?;
    }
    Ok(value)
}
