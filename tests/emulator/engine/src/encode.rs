//! From PostgreSQL's binary format to the text of the SQL API's jsonv2, straight into a byte buffer.
//!
//! Source of the forms: docs.snowflake.com/en/developer-guide/sql-api/handling-responses. Text columns hold NUL
//! in an escaped form (see [`escape_nul`]) because PostgreSQL cannot.

use std::io::Write;

use crate::json_text;
use crate::sql_type::SqlType;

/// How one column's bytes are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    Numeric,
    Float,
    Boolean,
    Text,
    Hex,
    Days,
    /// Text that PostgreSQL has rendered in the final form already.
    Ready,
    SemiStructured,
}

impl Cell {
    pub(crate) fn of(sql_type: SqlType) -> Self {
        match sql_type {
            SqlType::Null | SqlType::Text { .. } => Self::Text,
            SqlType::Number { .. }
            | SqlType::Time { .. }
            | SqlType::TimestampNtz { .. }
            | SqlType::TimestampLtz { .. } => Self::Numeric,
            SqlType::Float => Self::Float,
            SqlType::Boolean => Self::Boolean,
            SqlType::Binary { .. } => Self::Hex,
            SqlType::Date => Self::Days,
            SqlType::TimestampTz { .. } => Self::Ready,
            SqlType::Variant | SqlType::Object | SqlType::Array => Self::SemiStructured,
        }
    }
}

/// Appends the cell as a JSON string.
pub(crate) fn write_json(cell: Cell, raw: &[u8], out: &mut Vec<u8>) {
    match cell {
        Cell::Text => write_stored_text(raw, out),
        Cell::SemiStructured => {
            let mut pretty = Vec::with_capacity(raw.len() * 2);
            json_text::pretty(&unescape_nul(raw), &mut pretty);
            write_json_string(&pretty, out);
        }
        plain => {
            out.push(b'"');
            write_text(plain, raw, out);
            out.push(b'"');
        }
    }
}

/// Appends the cell's bare text.
pub(crate) fn write_text(cell: Cell, raw: &[u8], out: &mut Vec<u8>) {
    match cell {
        Cell::Numeric => write_numeric(raw, out),
        Cell::Float => write_float(f64::from_be_bytes(fixed(raw)), out),
        Cell::Boolean => out.extend_from_slice(if raw == [1] { b"true" } else { b"false" }),
        Cell::Text => out.extend_from_slice(&unescape_nul(raw)),
        Cell::Hex => write_hex(raw, out),
        Cell::Days => append(out, format_args!("{}", i32::from_be_bytes(fixed(raw)))),
        Cell::Ready => out.extend_from_slice(raw),
        Cell::SemiStructured => json_text::pretty(&unescape_nul(raw), out),
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn write_json_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut start = 0;
    for (index, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(text.get(start..index).unwrap_or_default());
        write_escape(byte, out);
        start = index + 1;
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default());
    out.push(b'"');
}

/// The stored form of a text: U+0000 is `01 01` and U+0001 is `01 02`, which keeps the order of the bytes.
pub(crate) fn escape_nul(text: &str) -> String {
    if !text.bytes().any(|byte| byte <= 1) {
        return text.to_owned();
    }
    text.replace('\u{1}', "\u{1}\u{2}").replace('\0', "\u{1}\u{1}")
}

fn unescape_nul(raw: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    if !raw.contains(&1) {
        return raw.into();
    }
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(if byte == 1 { bytes.next().map_or(1, |next| next.saturating_sub(1)) } else { byte });
    }
    plain.into()
}

/// Stored text as a JSON string, without a detour over a second buffer.
fn write_stored_text(raw: &[u8], out: &mut Vec<u8>) {
    if raw.contains(&1) {
        write_json_string(&unescape_nul(raw), out);
    } else {
        write_json_string(raw, out);
    }
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        other => append(out, format_args!("\\u{other:04x}")),
    }
}

/// PostgreSQL's numeric: groups of four digits, a weight, a sign and the number of decimals to show.
fn write_numeric(raw: &[u8], out: &mut Vec<u8>) {
    let word = |index: usize| -> i16 {
        raw.get(index * 2..index * 2 + 2).map_or(0, |bytes| i16::from_be_bytes(fixed(bytes)))
    };
    let (count, weight, sign, decimals) = (word(0), word(1), word(2), word(3));
    if sign.to_be_bytes() == [0xC0, 0] {
        out.extend_from_slice(b"NaN");
        return;
    }
    let group = |position: i16| -> i16 {
        let index = weight - position;
        if (0..count).contains(&index) { word(4 + usize::from(index.unsigned_abs())) } else { 0 }
    };
    if sign.to_be_bytes() == [0x40, 0] {
        out.push(b'-');
    }
    if weight < 0 {
        out.push(b'0');
    } else {
        append(out, format_args!("{}", group(weight)));
        for position in (0..weight).rev() {
            append_group(out, group(position), 4);
        }
    }
    if decimals > 0 {
        out.push(b'.');
        let mut left = usize::from(decimals.unsigned_abs());
        let mut position = -1;
        while left > 0 {
            append_group(out, group(position), left.min(4));
            left = left.saturating_sub(4);
            position -= 1;
        }
    }
}

/// The first `digits` of a four-digit group.
fn append_group(out: &mut Vec<u8>, value: i16, digits: usize) {
    let value = value.unsigned_abs();
    let text = [value / 1000, value / 100 % 10, value / 10 % 10, value % 10];
    for digit in text.iter().take(digits) {
        out.push(b'0' + u8::try_from(*digit).unwrap_or(0));
    }
}

fn write_float(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"inf" } else { b"-inf" });
    } else if size != 0.0 && !(1e-5..1e15).contains(&size) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, power)) if !power.starts_with('-') => {
                append(out, format_args!("{digits}e+{power}"));
            }
            _ => out.extend_from_slice(text.as_bytes()),
        }
    } else {
        append(out, format_args!("{value}"));
    }
}

fn write_hex(raw: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in raw {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// The first `N` bytes; zeros where the server sent fewer, which its types rule out.
fn fixed<const N: usize>(raw: &[u8]) -> [u8; N] {
    raw.get(..N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing into a Vec cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, negative: bool, decimals: i16, groups: &[i16]) -> String {
        let count = i16::try_from(groups.len()).unwrap();
        let sign = if negative { 0x4000 } else { 0 };
        let words = [count, weight, sign, decimals].into_iter().chain(groups.iter().copied());
        let raw: Vec<u8> = words.flat_map(i16::to_be_bytes).collect();
        let mut out = Vec::new();
        write_numeric(&raw, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numerics_keep_their_decimals_and_their_sign() {
        assert_eq!(numeric(0, false, 0, &[]), "0");
        assert_eq!(numeric(0, false, 9, &[]), "0.000000000");
        assert_eq!(numeric(-1, true, 9, &[8765, 4330]), "-0.876543300");
        assert_eq!(numeric(2, false, 2, &[1, 0, 5, 1200]), "100000005.12");
        assert_eq!(numeric(1, false, 0, &[7]), "70000");
        assert_eq!(numeric(-2, false, 6, &[1200]), "0.000012");
    }

    #[test]
    fn floats_are_short_and_the_special_ones_are_named() {
        let text = |value| {
            let mut out = Vec::new();
            write_float(value, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(1.5), "1.5");
        assert_eq!(text(-3.0), "-3");
        assert_eq!(text(1e300), "1e+300");
        assert_eq!(text(2.5e-9), "2.5e-9");
        assert_eq!(text(f64::NAN), "NaN");
        assert_eq!(text(f64::NEG_INFINITY), "-inf");
    }

    #[test]
    fn nul_survives_the_way_through_postgresql_and_keeps_its_order() {
        for text in ["", "a", "a\0b", "\u{1}", "\0\u{1}\0", "\u{2}"] {
            assert_eq!(&*unescape_nul(escape_nul(text).as_bytes()), text.as_bytes());
        }
        let mut sorted = ["\u{2}", "\u{1}", "\0x", "\0", ""].map(escape_nul);
        sorted.sort();
        assert_eq!(sorted, ["", "\0", "\0x", "\u{1}", "\u{2}"].map(escape_nul));
        let mut out = Vec::new();
        write_json(Cell::Text, escape_nul("a\0\"\u{1}").as_bytes(), &mut out);
        assert_eq!(out, br#""a\u0000\"\u0001""#);
    }
}
