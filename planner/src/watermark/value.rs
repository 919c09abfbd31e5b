//! A watermark as a value that both sides agree on: exact, comparable, and printed so that nothing is lost.

use thaw_model::target_type::TextKind;
use thaw_model::{SourceType, TargetType};
use thaw_snowflake::decode::temporal;
use time::{Date, OffsetDateTime};

use crate::columns::Watermark;

const NS_PER_SECOND: i128 = 1_000_000_000;
const NS_PER_DAY: i128 = 86_400 * NS_PER_SECOND;
/// Julian day of 1970-01-01.
const UNIX_EPOCH_DAY: i64 = 2_440_588;

/// How the values of a watermark column compare. Only where both sides compare alike can there be a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Date,
    /// A timestamp without zone.
    WallClock,
    /// A timestamp of one moment.
    Instant,
    Number,
    /// Compared by its bytes.
    Text,
}

impl Kind {
    /// `None`: the column cannot be a bound. A bound of values with zone on one side and without on the other is
    /// compared in `timezone`. Where clocks are moved an hour is there twice, which is no matter for rows that are known
    /// by their keys; without keys the rows of both sides must be the same ones.
    #[must_use]
    pub fn of(watermark: &Watermark, timezone: &str, has_keys: bool) -> Option<Self> {
        use SourceType as S;
        use TargetType as T;
        if watermark.is_collated || (watermark.may_change && !has_keys) {
            return None;
        }
        let converts = has_keys || timezone == "UTC";
        match (watermark.source_type, &watermark.target_type) {
            (S::Date, T::Date) => Some(Self::Date),
            (S::TimestampNtz { .. }, T::Timestamp { .. }) => Some(Self::WallClock),
            (S::TimestampNtz { .. }, T::Timestamptz { .. }) => converts.then_some(Self::WallClock),
            (S::TimestampLtz { .. } | S::TimestampTz { .. }, T::Timestamptz { .. }) => Some(Self::Instant),
            (S::TimestampLtz { .. } | S::TimestampTz { .. }, T::Timestamp { .. }) => {
                converts.then_some(Self::Instant)
            }
            (source, T::Int2 | T::Int4 | T::Int8 | T::Numeric { .. }) if source.is_integer() => {
                Some(Self::Number)
            }
            (S::Text { .. }, T::Text { kind: TextKind::Text | TextKind::Varchar, .. }) => Some(Self::Text),
            _ => None,
        }
    }

    /// The form `--since` takes, for a message.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Date => "a date such as 2024-01-10",
            Self::WallClock => "a date or timestamp without offset such as '2024-01-10 12:00:00.123456789'",
            Self::Instant => {
                "a date or timestamp such as '2024-01-10 12:00:00 +0000' (without an offset: UTC)"
            }
            Self::Number => "a whole number such as 42",
            Self::Text => "a text, compared byte by byte",
        }
    }
}

/// One value of a watermark column. Values of one column are of one kind, and only those are compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum WatermarkValue {
    /// Days since 1970-01-01.
    Date(i64),
    /// Nanoseconds since 1970-01-01 00:00:00 of the wall clock.
    WallClock(i128),
    /// Nanoseconds since 1970-01-01 00:00:00 UTC.
    Instant(i128),
    Number(i128),
    Text(String),
}

impl WatermarkValue {
    /// Reads a value as the wire spells it (days, decimal seconds since the epoch and, of a TIMESTAMP_TZ, its offset),
    /// or as the statement about the target returns it, which has the same forms. A fraction of a number is cut.
    ///
    /// Returns `None` for what is no finite value of the kind.
    #[must_use]
    pub fn from_wire(kind: Kind, text: &str) -> Option<Self> {
        Some(match kind {
            Kind::Date => Self::Date(temporal::date(text).ok()?),
            Kind::WallClock => Self::WallClock(temporal::timestamp(text).ok()?),
            Kind::Instant if text.contains(' ') => Self::Instant(temporal::timestamp_tz(text).ok()?.0),
            Kind::Instant => Self::Instant(temporal::timestamp(text).ok()?),
            Kind::Number => Self::Number(floored_number(text)?),
            Kind::Text => Self::Text(text.to_owned()),
        })
    }

    /// Reads what [`Self::to_text`] has written.
    #[must_use]
    pub fn from_text(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Instant if !text.ends_with(" +0000") => None,
            _ => Self::from_literal(kind, text),
        }
    }

    /// Reads a value as a person types it; an instant without an offset is in UTC.
    #[must_use]
    pub fn from_literal(kind: Kind, text: &str) -> Option<Self> {
        Some(match kind {
            Kind::Date => Self::Date(days(text)?),
            Kind::WallClock => match date_time(text)? {
                (ns, None) => Self::WallClock(ns),
                (_, Some(_)) => return None,
            },
            Kind::Instant => {
                let (ns, offset) = date_time(text)?;
                Self::Instant(ns - offset.unwrap_or(0))
            }
            Kind::Number => Self::Number(whole_number(text)?),
            Kind::Text => Self::Text(text.to_owned()),
        })
    }

    /// The value as both databases read it in a literal, with every digit: `2024-01-10 12:00:00.123456789`, an instant
    /// with ` +0000`.
    ///
    /// Returns `None` outside the years 1 to 9999, which a literal cannot spell on both sides, and for text that
    /// PostgreSQL cannot store: no bound then.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Date(days) => date_text(*days),
            Self::WallClock(ns) => date_time_text(*ns),
            Self::Instant(ns) => Some(format!("{} +0000", date_time_text(*ns)?)),
            Self::Number(number) => Some(number.to_string()),
            Self::Text(text) => (!text.contains('\0')).then(|| text.clone()),
        }
    }

    /// The value brought down to the digits that the target's column keeps, as the encoder brings the rows down, so
    /// that both sides mean the same rows by one bound.
    #[must_use]
    pub fn floored_to(self, target: &TargetType) -> Self {
        let (TargetType::Timestamp { precision } | TargetType::Timestamptz { precision }) = target else {
            return self;
        };
        let step = 10_i128.pow(9_u32.saturating_sub(u32::from(*precision).min(6)));
        match self {
            Self::WallClock(ns) => Self::WallClock(ns.div_euclid(step) * step),
            Self::Instant(ns) => Self::Instant(ns.div_euclid(step) * step),
            other => other,
        }
    }
}

fn days(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let year = i32::try_from(digits(year, 4..=4)?).ok()?;
    let month = time::Month::try_from(u8::try_from(digits(month, 2..=2)?).ok()?).ok()?;
    let day = u8::try_from(digits(day, 2..=2)?).ok()?;
    let date = Date::from_calendar_date(year, month, day).ok()?;
    (year >= 1).then(|| i64::from(date.to_julian_day()) - UNIX_EPOCH_DAY)
}

/// Nanoseconds of the wall clock, and those of the offset where there is one.
fn date_time(text: &str) -> Option<(i128, Option<i128>)> {
    let text = text.trim();
    let Some(at) = text.find([' ', 'T']) else {
        return Some((i128::from(days(text)?) * NS_PER_DAY, None));
    };
    let date = i128::from(days(text.get(..at)?)?) * NS_PER_DAY;
    let rest = text.get(at + 1..)?;
    let (clock, offset) = match rest.find(['+', '-', 'Z']) {
        Some(at) => (rest.get(..at)?.trim_end(), Some(offset(rest.get(at..)?)?)),
        None => (rest, None),
    };
    Some((date + clock_ns(clock)?, offset))
}

fn clock_ns(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let hours = digits(parts.next()?, 2..=2).filter(|hours| *hours < 24)?;
    let minutes = digits(parts.next()?, 2..=2).filter(|minutes| *minutes < 60)?;
    let seconds = parts.next().map_or(Some(0), |text| digits(text, 2..=2)).filter(|seconds| *seconds < 60)?;
    if parts.next().is_some() || (whole.len() < 8 && text.contains('.')) {
        return None;
    }
    let scale = 10_i128.pow(9_u32.checked_sub(u32::try_from(fraction.len()).ok()?)?);
    let fraction = i128::from(digits(fraction, 1..=9)?) * scale;
    Some(i128::from(hours * 3600 + minutes * 60 + seconds) * NS_PER_SECOND + fraction)
}

/// `Z`, `+05`, `+0530` or `+05:30`.
fn offset(text: &str) -> Option<i128> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let plain: String = rest.chars().filter(|c| *c != ':').collect();
    let (hours, minutes) = match plain.len() {
        2 => (plain.as_str(), "00"),
        4 => plain.split_at_checked(2)?,
        _ => return None,
    };
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    (hours <= 14 && minutes < 60).then(|| i128::from(sign * (hours * 3600 + minutes * 60)) * NS_PER_SECOND)
}

fn digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_plain = lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

fn whole_number(text: &str) -> Option<i128> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

fn floored_number(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = whole_number(whole)?;
    let is_below = whole.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    number.checked_sub(i128::from(is_below))
}

fn date_text(days: i64) -> Option<String> {
    let date = Date::from_julian_day(i32::try_from(days.checked_add(UNIX_EPOCH_DAY)?).ok()?).ok()?;
    let year = date.year();
    (1..=9999).contains(&year).then(|| format!("{year:04}-{:02}-{:02}", u8::from(date.month()), date.day()))
}

fn date_time_text(ns: i128) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(ns).ok()?;
    let date = date_text(i64::try_from(ns.div_euclid(NS_PER_DAY)).ok()?)?;
    let (hour, minute, second, nanosecond) = moment.time().as_hms_nano();
    Some(format!("{date} {hour:02}:{minute:02}:{second:02}.{nanosecond:09}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(kind: Kind, wire: &str) -> String {
        let value = WatermarkValue::from_wire(kind, wire).expect("a value");
        let text = value.to_text().expect("can be spelled");
        assert_eq!(WatermarkValue::from_text(kind, &text), Some(value));
        text
    }

    #[test]
    fn every_digit_of_the_wire_is_kept() {
        assert_eq!(round_trip(Kind::WallClock, "1704888000.123456789"), "2024-01-10 12:00:00.123456789");
        assert_eq!(
            round_trip(Kind::Instant, "1704888000.000000001 1440"),
            "2024-01-10 12:00:00.000000001 +0000"
        );
        assert_eq!(round_trip(Kind::Instant, "1704888000.5"), "2024-01-10 12:00:00.500000000 +0000");
        assert_eq!(round_trip(Kind::WallClock, "-0.876543300"), "1969-12-31 23:59:59.123456700");
        assert_eq!(round_trip(Kind::Date, "19732"), "2024-01-10");
        assert_eq!(round_trip(Kind::Number, "-42.000"), "-42");
        assert_eq!(round_trip(Kind::Number, "99999999999999999999999999999999999999").len(), 38);
        assert_eq!(round_trip(Kind::Text, "é'x"), "é'x");
    }

    #[test]
    fn the_ends_of_the_calendar_have_no_text() {
        for text in ["9999-12-31", "0001-01-01"] {
            let value = WatermarkValue::from_text(Kind::Date, text).expect("a date");
            assert_eq!(value.to_text().as_deref(), Some(text));
            let WatermarkValue::Date(days) = value else { panic!("no date") };
            let beyond = if text.starts_with('9') { days + 1 } else { days - 1 };
            assert_eq!(WatermarkValue::Date(beyond).to_text(), None, "{text}");
        }
        assert_eq!(WatermarkValue::WallClock(i128::MAX).to_text(), None);
        assert_eq!(WatermarkValue::Date(i64::MIN).to_text(), None);
        for infinite in ["Infinity", "-Infinity", "NaN", "infinity", ""] {
            for kind in [Kind::Date, Kind::WallClock, Kind::Instant, Kind::Number] {
                assert_eq!(WatermarkValue::from_wire(kind, infinite), None, "{infinite}");
            }
        }
    }

    #[test]
    fn a_person_may_leave_out_what_is_zero() {
        let noon = WatermarkValue::from_wire(Kind::WallClock, "1704888000.0").expect("a value");
        for text in ["2024-01-10 12:00", "2024-01-10T12:00:00", "2024-01-10 12:00:00.000"] {
            assert_eq!(WatermarkValue::from_literal(Kind::WallClock, text), Some(noon.clone()), "{text}");
        }
        let WatermarkValue::WallClock(ns) = noon else { panic!("no timestamp") };
        for text in
            ["2024-01-10T12:00:00Z", "2024-01-10 14:00 +02:00", "2024-01-10 06:30-0530", "2024-01-10 12:00"]
        {
            assert_eq!(
                WatermarkValue::from_literal(Kind::Instant, text),
                Some(WatermarkValue::Instant(ns)),
                "{text}"
            );
        }
        assert!(WatermarkValue::from_literal(Kind::WallClock, "2024-01-10").is_some());
    }

    #[test]
    fn what_is_no_value_of_the_kind_is_refused() {
        for (kind, texts) in [
            (
                Kind::Date,
                vec!["2024-13-01", "2024-02-30", "10.01.2024", "2024-1-1", "0000-01-01", "+2024-01-01", ""],
            ),
            (
                Kind::WallClock,
                vec![
                    "2024-01-10 12:00:00 +0000",
                    "2024-01-10 24:00",
                    "2024-01-10 12:60",
                    "2024-01-10 12:00.5",
                    "now",
                ],
            ),
            (
                Kind::Instant,
                vec!["2024-01-10 12:00 +1500", "2024-01-10 12:00:00.0123456789", "2024-01-10 12"],
            ),
            (Kind::Number, vec!["1.5", "1e3", "+1", "-", "", "999999999999999999999999999999999999999999"]),
        ] {
            for text in texts {
                assert_eq!(WatermarkValue::from_literal(kind, text), None, "{text}");
            }
        }
    }

    #[test]
    fn a_column_is_a_bound_only_where_both_sides_compare_alike() {
        let ntz = SourceType::TimestampNtz { scale: 9 };
        let text = SourceType::Text { length: None };
        let plain = Watermark {
            source: thaw_model::SfIdent::exact("WM"),
            source_type: ntz,
            target: thaw_model::PgIdent::exact("wm"),
            target_type: TargetType::Timestamptz { precision: 6 },
            is_collated: false,
            may_change: false,
        };
        assert_eq!(Kind::of(&plain, "UTC", false), Some(Kind::WallClock));
        assert_eq!(Kind::of(&plain, "Asia/Tokyo", true), Some(Kind::WallClock));
        assert_eq!(Kind::of(&plain, "Asia/Tokyo", false), None);
        let changing = Watermark { may_change: true, ..plain.clone() };
        assert_eq!(Kind::of(&changing, "UTC", true), Some(Kind::WallClock));
        assert_eq!(Kind::of(&changing, "UTC", false), None);
        let target_type = TargetType::Text { kind: TextKind::Varchar, max_chars: Some(9) };
        let word = Watermark { source_type: text, target_type, ..plain };
        assert_eq!(Kind::of(&word, "UTC", true), Some(Kind::Text));
        assert_eq!(Kind::of(&Watermark { is_collated: true, ..word }, "UTC", true), None);
    }

    #[test]
    fn text_compares_by_its_bytes() {
        let text = |text: &str| WatermarkValue::Text(text.to_owned());
        assert!(text("Z") < text("a") && text("z") < text("é") && text("a") < text("aa"));
    }

    #[test]
    fn a_bound_is_brought_down_to_the_digits_of_the_target() {
        let exact = WatermarkValue::from_wire(Kind::WallClock, "-0.000000001").expect("a value");
        let floored = exact.floored_to(&TargetType::Timestamp { precision: 6 });
        assert_eq!(floored, WatermarkValue::WallClock(-1000));
        assert_eq!(
            WatermarkValue::Instant(1_999_999_999).floored_to(&TargetType::Timestamptz { precision: 0 }),
            WatermarkValue::Instant(1_000_000_000)
        );
    }
}
