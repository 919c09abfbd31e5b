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
    let mut parser = Parser::new(Dialect::Snowflake);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let rest = bytes.get(at..).unwrap_or_default();
        let (taken, replacement) = parser.token(byte, rest)?;
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
    parser.end()?;
    Ok(parser.out.map_or(Cow::Borrowed(text), Cow::Owned))
}

/// What a text of valid JSON holds that matters to `jsonb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validated {
    /// A number of so many digits, or with such an exponent, that PostgreSQL's numeric may not hold it.
    pub has_long_number: bool,
}

/// Whether a VARCHAR holds JSON (RFC 8259), as `json` takes it: without `undefined`, and without a limit to the
/// escapes of surrogates.
///
/// # Errors
/// It does not; it nests deeper than PostgreSQL's parser goes.
pub fn validate(text: &str) -> Result<Validated, DecodeError> {
    let mut parser = Parser::new(Dialect::Json);
    let mut rest = text.as_bytes();
    while let Some(&byte) = rest.first() {
        let (taken, _) = parser.token(byte, rest)?;
        rest = rest.get(taken..).unwrap_or_default();
    }
    parser.end()?;
    Ok(Validated { has_long_number: parser.has_long_number })
}

/// The elements of a valid, minified JSON array, each as its JSON text; `None` where it is no array.
#[must_use]
pub fn elements(json: &str) -> Option<Elements<'_>> {
    let rest = json.strip_prefix('[')?.strip_suffix(']')?;
    Some(Elements { rest })
}

/// See [`elements`].
#[derive(Clone)]
pub struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        let end = self.rest.bytes().position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'[' | b'{' if !in_text => depth += 1,
                b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
                b',' => return !in_text && depth == 0,
                _ => {}
            }
            false
        });
        let end = end.unwrap_or(self.rest.len());
        let element = self.rest.get(..end)?;
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(element)
    }
}

impl std::fmt::Debug for Elements<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Elements(..)")
    }
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
    dialect: Dialect,
    has_long_number: bool,
}

/// Who wrote the text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Snowflake's printer.
    Snowflake,
    /// A user, who owes RFC 8259.
    Json,
}

/// Digits, or an exponent, from which a number may be beyond PostgreSQL's numeric (16,383 decimals).
const LONG_NUMBER: usize = 16_000;

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
    fn new(dialect: Dialect) -> Self {
        Self { open: Vec::new(), expect: Expect::Value, out: None, dialect, has_long_number: false }
    }

    /// Takes one token: its length, and what to write instead of it.
    fn token(&mut self, byte: u8, rest: &[u8]) -> Result<(usize, Option<&'static str>), DecodeError> {
        Ok(match byte {
            b' ' | b'\t' | b'\n' | b'\r' => (1, Some("")),
            b'"' => (self.text(rest)?, None),
            b'{' | b'[' | b'}' | b']' | b',' | b':' => (self.structure(byte)?, None),
            _ => self.word(rest)?,
        })
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.expect == Expect::Nothing { Ok(()) } else { Err(DecodeErrorKind::NotJson.into()) }
    }

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
                Some(b'\\') => at += escape_length(rest.get(at..).unwrap_or_default(), self.dialect)?,
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
            b"undefined" if self.dialect == Dialect::Snowflake => Ok((length, Some("null"))),
            _ if is_json_number(word) => {
                self.has_long_number |= is_long(word);
                Ok((length, None))
            }
            _ if is_not_finite(word) => Err(DecodeErrorKind::JsonNotFinite.into()),
            _ => Err(DecodeErrorKind::NotJson.into()),
        }
    }
}

fn is_long(number: &[u8]) -> bool {
    if number.len() > LONG_NUMBER {
        return true;
    }
    let Some(at) = number.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) else { return false };
    let exponent = number.get(at + 1..).unwrap_or_default();
    let digits = exponent.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0_usize, |value, byte| (value * 10 + usize::from(byte - b'0')).min(LONG_NUMBER))
        == LONG_NUMBER
}

fn is_not_finite(word: &[u8]) -> bool {
    let unsigned = word.strip_prefix(b"-").unwrap_or(word);
    unsigned.eq_ignore_ascii_case(b"nan")
        || unsigned.eq_ignore_ascii_case(b"inf")
        || unsigned.eq_ignore_ascii_case(b"infinity")
}

/// The length of an escape; what Snowflake prints as a surrogate counts with its other half, without which `jsonb`
/// refuses it.
fn escape_length(rest: &[u8], dialect: Dialect) -> Result<usize, DecodeError> {
    match rest.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') if dialect == Dialect::Json => code_unit(rest).map(|_| 6),
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
