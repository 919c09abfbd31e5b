//! Constants of a filter: what they say exactly, or why that is not known. Only forms whose meaning no session
//! parameter changes are read: dates and times as ISO 8601 writes them, texts without escapes.

use sqlparser::ast::{DataType, DollarQuotedString, TimezoneInfo, Value};
use thaw_model::ident::pg_literal;
use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

/// The digits that every reader of a literal keeps (NUMBER(38)).
const NUMBER_DIGITS_MAX: usize = 38;

/// A constant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    Null,
    Boolean(bool),
    /// `[-]digits[.digits]`
    Number(String),
    /// Becomes whatever it is compared with.
    Text(String),
    Moment(Moment),
}

/// A date, or a point of time with what is said of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: PrimitiveDateTime,
    pub(super) offset: Option<UtcOffset>,
    /// The type of a cast; `None`: a bare text.
    pub(super) declared: Option<Declared>,
}

/// The type a literal was cast to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Date,
    Ntz,
    /// TIMESTAMP is what the account's TIMESTAMP_TYPE_MAPPING says.
    Mapped,
    Ltz,
    Tz,
}

/// Reads a literal as the tree holds it.
pub(super) fn read(value: &Value) -> Result<Literal, &'static str> {
    Ok(match value {
        Value::Null => Literal::Null,
        Value::Boolean(value) => Literal::Boolean(*value),
        Value::Number(digits, false) => Literal::Number(number(digits)?),
        Value::SingleQuotedString(text) if text.contains('\\') => {
            return Err("a text with a backslash, which is an escape in one database and none in the other");
        }
        // The parser leaves escapes alone, so a quote is still doubled here.
        Value::SingleQuotedString(text) => Literal::Text(text.replace("''", "'")),
        Value::DollarQuotedString(DollarQuotedString { value, tag: None }) => Literal::Text(value.clone()),
        _ => return Err("a literal of another kind than number, text or boolean"),
    })
}

fn number(digits: &str) -> Result<String, &'static str> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || whole.len() + fraction.len() == 0 {
        return Err("a number with an exponent, which is a float");
    }
    if whole.len() + fraction.len() > NUMBER_DIGITS_MAX {
        return Err("a number of more than 38 digits");
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") })
}

/// The other sign of a number.
pub(super) fn negated(number: &str) -> String {
    number.strip_prefix('-').map_or_else(|| format!("-{number}"), str::to_owned)
}

/// The declared type a cast gives a literal.
pub(super) fn declared(data_type: &DataType) -> Result<Declared, &'static str> {
    const OTHER: &str = "a cast of a literal to another type than a date or timestamp";
    match data_type {
        DataType::Date => Ok(Declared::Date),
        DataType::Datetime(None | Some(9)) | DataType::TimestampNtz(None | Some(9)) => Ok(Declared::Ntz),
        DataType::Timestamp(None | Some(9), TimezoneInfo::None) => Ok(Declared::Mapped),
        DataType::Custom(name, modifiers) if modifiers.is_empty() || modifiers == &["9"] => {
            match name.to_string().to_ascii_uppercase().as_str() {
                "TIMESTAMP_NTZ" | "TIMESTAMPNTZ" => Ok(Declared::Ntz),
                "TIMESTAMP_LTZ" | "TIMESTAMPLTZ" => Ok(Declared::Ltz),
                "TIMESTAMP_TZ" | "TIMESTAMPTZ" => Ok(Declared::Tz),
                _ => Err(OTHER),
            }
        }
        _ => Err(OTHER),
    }
}

/// A text as a date or time: `2024-01-10`, `2024-01-10 12:00[:00[.123456789]]` with ` ` or `T` between, and an
/// offset (`Z`, `+0130`, `+01:30`) behind the time.
pub(super) fn moment(text: &str, declared: Option<Declared>) -> Result<Moment, &'static str> {
    const NOT_ISO: &str = "a date or time that is not written as ISO 8601 writes it";
    let (day, rest) = text.split_at_checked(10).ok_or(NOT_ISO)?;
    let date = date(day).ok_or(NOT_ISO)?;
    let (time, offset) = match rest.strip_prefix([' ', 'T']) {
        Some(rest) => time_and_offset(rest).ok_or(NOT_ISO)?,
        None if rest.is_empty() => (Time::MIDNIGHT, None),
        None => return Err(NOT_ISO),
    };
    if declared == Some(Declared::Date) && (!rest.is_empty()) {
        return Err("a date with a time of day");
    }
    Ok(Moment { at: PrimitiveDateTime::new(date, time), offset, declared })
}

fn date(text: &str) -> Option<Date> {
    let mut parts = text.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let year = i32::try_from(year).ok().filter(|year| *year >= 1)?;
    if parts.next().is_some() {
        return None;
    }
    Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()
}

fn time_and_offset(text: &str) -> Option<(Time, Option<UtcOffset>)> {
    let end = text.find([' ', '+', '-', 'Z']).unwrap_or(text.len());
    let (clock, rest) = text.split_at_checked(end)?;
    let offset = match rest.strip_prefix(' ').unwrap_or(rest) {
        "" if rest.is_empty() => None,
        zone => Some(self::offset(zone)?),
    };
    Some((self::clock(clock)?, offset))
}

fn clock(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let mut parts = whole.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = match parts.next() {
        Some(second) => digits(second, 2)?,
        None if fraction.is_none() => 0,
        None => return None,
    };
    let nanosecond = match fraction {
        Some(part) if (1..=9).contains(&part.len()) => digits(&format!("{part:0<9}"), 9)?,
        Some(_) => return None,
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    let small = |number: u32| u8::try_from(number).ok();
    Time::from_hms_nano(small(hour)?, small(minute)?, small(second)?, nanosecond).ok()
}

fn offset(text: &str) -> Option<UtcOffset> {
    if text == "Z" {
        return Some(UtcOffset::UTC);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let rest = text.get(1..)?.replacen(':', "", 1);
    let (hours, minutes) = rest.split_at_checked(2)?;
    let small = |part| digits(part, 2).and_then(|number| i8::try_from(number).ok());
    UtcOffset::from_hms(sign * small(hours)?, sign * small(minutes)?, 0).ok()
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let fits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// `'2024-01-10'::date`.
pub(super) fn pg_date(date: Date) -> String {
    format!("{}::date", pg_literal(&iso_date(date)))
}

/// `'2024-01-10 12:00:00.000000'::timestamp`. The value has no digits below a microsecond.
pub(super) fn pg_timestamp(at: PrimitiveDateTime) -> String {
    format!("{}::timestamp", pg_literal(&iso(at)))
}

/// As [`pg_timestamp`], an instant in UTC.
pub(super) fn pg_timestamptz(at: PrimitiveDateTime) -> String {
    format!("{}::timestamptz", pg_literal(&format!("{}+00", iso(at))))
}

fn iso(at: PrimitiveDateTime) -> String {
    let (hour, minute, second) = at.as_hms();
    format!("{} {hour:02}:{minute:02}:{second:02}.{:06}", iso_date(at.date()), at.microsecond())
}

fn iso_date(date: Date) -> String {
    let (year, month, day) = date.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}", u8::from(month))
}
