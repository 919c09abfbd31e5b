//! Days, wall clocks and their ISO text, in the proleptic Gregorian calendar both databases use.
//!
//! Reading is strict: `YYYY-MM-DD`, `HH:MM[:SS[.fraction]]`, joined by a space or `T`, with `Z` or `+HH[:MM]` behind
//! it where an offset is allowed. Anything else (month names, `1/2/2024`, `now`) would be a guess.

use std::fmt::Write as _;

pub(super) const NANOS_PER_DAY: i128 = 86_400_000_000_000;

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date
/// algorithms"). Year 0 is 1 BC.
pub(super) fn days_from_civil(year: i64, month: u8, day: u8) -> i64 {
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let month_from_march = i64::from((u16::from(month) + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day; `None` beyond any year a source can send.
pub(super) fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let shifted = days.checked_add(719_468)?;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some((year, month, day))
}

/// `2024-01-10`, or `0044-03-15 BC` with the mark last, as PostgreSQL reads and writes it.
pub(super) fn write_date(out: &mut String, days: i64) -> Option<()> {
    let (year, month, day) = civil_from_days(days)?;
    write!(out, "{:04}-{month:02}-{day:02}", displayed_year(year)).ok()?;
    if year <= 0 {
        out.push_str(" BC");
    }
    Some(())
}

/// `HH:MM:SS` and `digits` decimals of a nanosecond count since midnight.
pub(super) fn write_time(out: &mut String, nanos: i64, digits: u8) -> Option<()> {
    let seconds = nanos / 1_000_000_000;
    write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60).ok()?;
    if digits > 0 {
        let fraction = format!("{:09}", nanos % 1_000_000_000);
        out.push('.');
        out.push_str(fraction.get(..usize::from(digits.min(9)))?);
    }
    Some(())
}

/// `2024-01-10 12:00:00.123`, then the offset where one is given (`+05:30`), then ` BC` where that is due.
pub(super) fn write_timestamp(
    out: &mut String,
    wall_nanos: i128,
    digits: u8,
    offset_minutes: Option<i16>,
) -> Option<()> {
    let days = i64::try_from(wall_nanos.div_euclid(NANOS_PER_DAY)).ok()?;
    let (year, month, day) = civil_from_days(days)?;
    write!(out, "{:04}-{month:02}-{day:02} ", displayed_year(year)).ok()?;
    write_time(out, i64::try_from(wall_nanos.rem_euclid(NANOS_PER_DAY)).ok()?, digits)?;
    if let Some(offset) = offset_minutes {
        let sign = if offset < 0 { '-' } else { '+' };
        write!(out, "{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60).ok()?;
    }
    if year <= 0 {
        out.push_str(" BC");
    }
    Some(())
}

fn displayed_year(year: i64) -> i64 {
    if year <= 0 { 1 - year } else { year }
}

/// Days since 1970-01-01 of `YYYY-MM-DD` (4 to 6 digits of a year).
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if !(4..=6).contains(&year.len()) || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let year = i64::from(number(year)?);
    let (month, day) = (u8::try_from(number(month)?).ok()?, u8::try_from(number(day)?).ok()?);
    if year == 0 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    Some(days_from_civil(year, month, day))
}

/// The end of a day: a time of its own for PostgreSQL's `time`, but in a timestamp another name of the next midnight.
pub(super) const END_OF_DAY: i64 = 86_400_000_000_000;

/// Nanoseconds since midnight of `HH:MM[:SS[.fraction]]` up to 24:00:00; no leap second.
pub(super) fn parse_time_of_day(text: &str) -> Option<i64> {
    if matches!(text, "24:00" | "24:00:00") { Some(END_OF_DAY) } else { parse_time(text) }
}

/// As [`parse_time_of_day`], without 24:00.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    if hour.len() != 2 || minute.len() != 2 || second.len() != 2 || fraction.len() > 9 {
        return None;
    }
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<9}"))? };
    Some(i64::from(hour * 3600 + minute * 60 + second) * 1_000_000_000 + i64::from(nanos))
}

/// A wall clock in nanoseconds since 1970-01-01 00:00, and the offset in minutes where the text has one. A date alone
/// is its midnight.
pub(super) fn parse_timestamp(text: &str) -> Option<(i128, Option<i16>)> {
    let Some(at) = text.find([' ', 'T']) else {
        return Some((i128::from(parse_date(text)?) * NANOS_PER_DAY, None));
    };
    let (date, rest) = text.split_at(at);
    let rest = rest.get(1..)?;
    let (time, offset) = match rest.find(['Z', '+', '-']) {
        Some(at) => {
            let (time, zone) = rest.split_at(at);
            (time.trim_end_matches(' '), Some(parse_offset(zone)?))
        }
        None => (rest, None),
    };
    let wall = i128::from(parse_date(date)?) * NANOS_PER_DAY + i128::from(parse_time(time)?);
    Some((wall, offset))
}

/// `Z`, `+HH`, `+HHMM` or `+HH:MM`, in minutes east of UTC.
fn parse_offset(zone: &str) -> Option<i16> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.len() {
        2 => (digits, "00"),
        4 => digits.split_at_checked(2)?,
        5 => digits.split_once(':').filter(|(hours, _)| hours.len() == 2)?,
        _ => return None,
    };
    let (hours, minutes) = (i16::try_from(number(hours)?).ok()?, i16::try_from(number(minutes)?).ok()?);
    (hours <= 15 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

fn days_in_month(year: i64, month: u8) -> u8 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Digits and nothing else; `parse` would take a sign.
fn number(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut out = String::new();
        write_date(&mut out, days).expect("in range");
        out
    }

    #[test]
    fn known_days_have_their_names() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_732, "2024-01-10"),
            (-719_162, "0001-01-01"),
            (-719_163, "0001-12-31 BC"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "10000-01-01"),
        ] {
            assert_eq!(date(days), text);
        }
    }

    #[test]
    fn only_iso_text_is_read() {
        assert_eq!(parse_date("2024-02-29"), Some(19_782));
        for text in [
            "2023-02-29",
            "2024-13-01",
            "2024-00-10",
            "24-01-01",
            "2024-1-1",
            "0000-01-01",
            "2024-01-01 ",
            "+2024-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
        assert_eq!(parse_time("23:59:59.5"), Some(86_399_500_000_000));
        assert_eq!(parse_time("08:30"), Some(30_600_000_000_000));
        for text in ["24:00:00", "8:30", "08:60", "08:30:60", "08:30:00.0123456789", "08"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        let noon = 19_732 * NANOS_PER_DAY + NANOS_PER_DAY / 2;
        assert_eq!(parse_timestamp("2024-01-10 12:00:00"), Some((noon, None)));
        assert_eq!(parse_timestamp("2024-01-10T12:00:00Z"), Some((noon, Some(0))));
        assert_eq!(parse_timestamp("2024-01-10 12:00:00 -08:00"), Some((noon, Some(-480))));
        assert_eq!(parse_timestamp("2024-01-10 12:00+0530"), Some((noon, Some(330))));
        assert_eq!(parse_timestamp("2024-01-10"), Some((19_732 * NANOS_PER_DAY, None)));
        for text in ["2024-01-10 ", "2024-01-10 12:00:00 PST", "2024-01-10 12:00:00+25:00", "infinity", "now"]
        {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_day_of_a_long_calendar_reads_back(days in -719_162_i64..2_932_897) {
            proptest::prop_assert_eq!(parse_date(&date(days)), Some(days));
        }
    }
}
