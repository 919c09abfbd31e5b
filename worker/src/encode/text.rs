//! Text to text, and text to everything that has a strict text form.

use std::borrow::Cow;

use thaw_model::TargetType;
use thaw_model::plan::NulInText;
use thaw_model::target_type::TextKind;
use thaw_postgres::copy::BinaryWriter;

use super::bad_value::BadValue;
use super::calendar;
use super::column::{Column, Key};
use super::decimal::Decimal;
use super::{json, number, temporal};

/// A text of the source into the column.
pub(super) fn encode(writer: &mut BinaryWriter, column: &Column, text: &str) -> Result<(), BadValue> {
    match &column.target {
        TargetType::Text { kind, max_chars } => {
            let text = without_nul(text, column.nul_in_text)?;
            if column.key != Key::No && loses_blanks(*kind, *max_chars, &text) {
                return Err(BadValue::KeyWouldChange);
            }
            write(writer, *kind, *max_chars, &text)
        }
        TargetType::Json => {
            json::check(text)?;
            Ok(writer.bytes(text.as_bytes())?)
        }
        TargetType::Jsonb => {
            if json::check(text)?.has_long_number {
                return Err(BadValue::NumberOutOfRange);
            }
            Ok(writer.jsonb(&json::for_jsonb(text, column.nul_in_text)?)?)
        }
        TargetType::Enum { .. } => {
            let text = without_nul(text, column.nul_in_text)?;
            if !column.labels.contains(&*text) {
                return Err(BadValue::NotALabel);
            }
            Ok(writer.bytes(text.as_bytes())?)
        }
        TargetType::Uuid => {
            let uuid = uuid::Uuid::try_parse(text.trim()).map_err(|_| BadValue::NotAUuid)?;
            writer.uuid(*uuid.as_bytes());
            Ok(())
        }
        TargetType::Bool => boolean(text.trim()).map(|value| writer.bool(value)),
        TargetType::Bytea | TargetType::Array { .. } => Err(BadValue::Mismatch),
        TargetType::Date
        | TargetType::Time { .. }
        | TargetType::Timestamp { .. }
        | TargetType::Timestamptz { .. } => from_iso(writer, column, text.trim()),
        TargetType::Int2
        | TargetType::Int4
        | TargetType::Int8
        | TargetType::Numeric { .. }
        | TargetType::Float4
        | TargetType::Float8 => from_digits(writer, column, text.trim()),
    }
}

/// Text this program made (of a number, a date) or has checked for NUL.
pub(super) fn write(
    writer: &mut BinaryWriter,
    kind: TextKind,
    max_chars: Option<u32>,
    text: &str,
) -> Result<(), BadValue> {
    match (kind, max_chars) {
        (TextKind::Varchar | TextKind::Char, Some(max)) if is_longer(text, max) => Err(BadValue::TextTooLong),
        _ => Ok(writer.bytes(text.as_bytes())?),
    }
}

/// More characters than the column has, apart from spaces at the end, which the server cuts off (SQL's rule).
fn is_longer(text: &str, max: u32) -> bool {
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    // A character has at least one byte: short texts need no counting.
    if text.len() <= max {
        return false;
    }
    text.char_indices()
        .nth(max)
        .is_some_and(|(at, _)| text.get(at..).unwrap_or_default().bytes().any(|byte| byte != b' '))
}

/// Whether blanks at the end count at the source and not in the column: char(n) ignores them all, varchar(n) cuts
/// those behind its length.
fn loses_blanks(kind: TextKind, max_chars: Option<u32>, text: &str) -> bool {
    let max = max_chars.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    match kind {
        TextKind::Char => text.ends_with(' '),
        TextKind::Varchar => text.len() > max && text.ends_with(' ') && text.chars().nth(max).is_some(),
        TextKind::Text | TextKind::Citext | TextKind::Xml => false,
    }
}

fn without_nul(text: &str, policy: NulInText) -> Result<Cow<'_, str>, BadValue> {
    if !text.contains('\0') {
        return Ok(Cow::Borrowed(text));
    }
    match policy {
        NulInText::Fail => Err(BadValue::NulInText),
        NulInText::Strip => Ok(Cow::Owned(text.replace('\0', ""))),
        NulInText::Replace => Ok(Cow::Owned(text.replace('\0', "\u{fffd}"))),
    }
}

/// What PostgreSQL's boolean takes, without its abbreviations.
fn boolean(text: &str) -> Result<bool, BadValue> {
    const TRUE: [&str; 5] = ["true", "t", "yes", "on", "1"];
    const FALSE: [&str; 5] = ["false", "f", "no", "off", "0"];
    let is = |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match (is(TRUE), is(FALSE)) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(BadValue::NotABoolean),
    }
}

fn from_digits(writer: &mut BinaryWriter, column: &Column, text: &str) -> Result<(), BadValue> {
    if matches!(column.target, TargetType::Float4 | TargetType::Float8 | TargetType::Numeric { .. }) {
        let special = match text.to_ascii_lowercase().as_str() {
            "nan" => Some(f64::NAN),
            "inf" | "infinity" => Some(f64::INFINITY),
            "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        };
        if let Some(special) = special {
            return number::float(writer, &column.target, special, false);
        }
    }
    number::decimal(writer, &column.target, Decimal::parse(text)?, column.lossy)
}

fn from_iso(writer: &mut BinaryWriter, column: &Column, text: &str) -> Result<(), BadValue> {
    match column.target {
        TargetType::Time { precision } => {
            let nanos = calendar::parse_time_of_day(text).ok_or(BadValue::NotATime)?;
            column.keeps_digits(i128::from(nanos), precision)?;
            temporal::time(writer, nanos, precision)
        }
        TargetType::Date => {
            let (wall, _) = calendar::parse_timestamp(text).ok_or(BadValue::NotADate)?;
            temporal::date_of(writer, wall, column.lossy)
        }
        TargetType::Timestamp { .. } => {
            let (wall, _) = calendar::parse_timestamp(text)
                .filter(|(_, offset)| offset.is_none())
                .ok_or(BadValue::NotATimestamp)?;
            temporal::wall_clock(writer, column, wall)
        }
        TargetType::Timestamptz { .. } => match calendar::parse_timestamp(text) {
            Some((wall, Some(offset))) => {
                temporal::instant(writer, column, wall - i128::from(offset) * 60_000_000_000)
            }
            // Without an offset it is a wall clock of the plan's zone.
            Some((wall, None)) => temporal::wall_clock(writer, column, wall),
            None => Err(BadValue::NotATimestamp),
        },
        _ => Err(BadValue::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters_and_spaces_at_the_end_do_not_count() {
        assert!(!is_longer("äöü", 3));
        assert!(is_longer("äöüx", 3));
        assert!(!is_longer("abc   ", 3));
        assert!(is_longer("abc  x", 3));
        assert!(is_longer("abc\u{a0}", 3));
        assert!(!is_longer("", 0));
    }

    #[test]
    fn booleans_are_words_not_beginnings() {
        assert_eq!(boolean("TRUE"), Ok(true));
        assert_eq!(boolean("off"), Ok(false));
        for text in ["", "tr", "2", "null"] {
            assert_eq!(boolean(text), Err(BadValue::NotABoolean), "{text}");
        }
    }
}
