//! CSV files into wire texts: RFC 4180 with a header line; an empty unquoted field is NULL.
//!
//! Dates and times are written as people write them (`2024-01-10`, `2024-01-10 12:00:00.5 +02:00`) or as wire text
//! already; everything else is passed as it is and judged by PostgreSQL.

use std::io::{self, BufRead, Read};

use emulator_engine::SqlType;

/// Reads records one at a time.
#[derive(Debug)]
pub(crate) struct CsvReader<R> {
    input: R,
    line: u64,
}

impl<R: BufRead> CsvReader<R> {
    /// A reader at the start of the file.
    pub(crate) fn new(input: R) -> Self {
        Self { input, line: 1 }
    }

    /// The line the next record begins on.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// What reading gives, and text that is not UTF-8 or a quote that never ends.
    pub(crate) fn record(&mut self) -> io::Result<Option<Vec<Option<String>>>> {
        let mut fields = Vec::new();
        loop {
            let mut field = Vec::new();
            let (quoted, end) = self.field(&mut field)?;
            if end == EndOf::File && fields.is_empty() && field.is_empty() && !quoted {
                return Ok(None);
            }
            let text = String::from_utf8(field).map_err(|_| self.broken("is not UTF-8"))?;
            fields.push((quoted || !text.is_empty()).then_some(text));
            if end != EndOf::Field {
                self.line += 1;
                return Ok(Some(fields));
            }
        }
    }

    fn field(&mut self, field: &mut Vec<u8>) -> io::Result<(bool, EndOf)> {
        let mut quoted = false;
        let mut inside = false;
        loop {
            let Some(byte) = self.byte()? else {
                return if inside {
                    Err(self.broken("has a quote that never ends"))
                } else {
                    Ok((quoted, EndOf::File))
                };
            };
            match byte {
                b'"' if inside => {
                    if self.peek()? == Some(b'"') {
                        self.byte()?;
                        field.push(b'"');
                    } else {
                        inside = false;
                    }
                }
                b'"' if field.is_empty() && !quoted => {
                    quoted = true;
                    inside = true;
                }
                b',' if !inside => return Ok((quoted, EndOf::Field)),
                b'\n' if !inside => return Ok((quoted, EndOf::Record)),
                b'\r' if !inside && self.peek()? == Some(b'\n') => {}
                other => {
                    if other == b'\n' {
                        self.line += 1;
                    }
                    field.push(other);
                }
            }
        }
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut one = [0];
        Ok((self.input.by_ref().take(1).read(&mut one)? == 1).then_some(one[0]))
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn broken(&self, what: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("the record on line {} {what}", self.line))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndOf {
    Field,
    Record,
    File,
}

/// A field as the wire text of its column's type; `None` when it is no date or time.
pub(crate) fn wire_text(sql_type: SqlType, text: String) -> Option<String> {
    let is_written_out = text.trim_start_matches('-').contains(['-', ':']);
    match sql_type {
        SqlType::Date if is_written_out => Some(days(&text)?.to_string()),
        SqlType::Time { .. } if is_written_out => {
            let (seconds, fraction) = time_of_day(&text)?;
            Some(format!("{seconds}.{fraction}"))
        }
        SqlType::TimestampNtz { .. } | SqlType::TimestampLtz { .. } if is_written_out => {
            let (seconds, fraction, offset) = moment(&text)?;
            Some(decimal_seconds(seconds - i64::from(offset) * 60, &fraction))
        }
        SqlType::TimestampTz { .. } if is_written_out => {
            let (seconds, fraction, offset) = moment(&text)?;
            let utc = decimal_seconds(seconds - i64::from(offset) * 60, &fraction);
            Some(format!("{utc} {}", offset + 1440))
        }
        _ => Some(text),
    }
}

/// `seconds` is floored, the text is one signed decimal number: -0.5 is half a second before 1970.
fn decimal_seconds(seconds: i64, fraction: &str) -> String {
    let nanos: i64 = fraction.parse().unwrap_or(0);
    if seconds >= 0 || nanos == 0 {
        return format!("{seconds}.{fraction}");
    }
    let (whole, rest) = (seconds + 1, 1_000_000_000 - nanos);
    format!("-{}.{rest:09}", whole.unsigned_abs())
}

/// Days since 1970-01-01 of `[-]YYYY-MM-DD`, proleptic Gregorian (Howard Hinnant's days_from_civil).
fn days(text: &str) -> Option<i64> {
    let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut parts = rest.split('-').map(str::parse::<i64>);
    let (year, month, day) = (sign * parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Seconds since midnight and nine digits of fraction of `HH:MM[:SS[.fraction]]`.
fn time_of_day(text: &str) -> Option<(i64, String)> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':').map(str::parse::<i64>);
    let (hour, minute) = (parts.next()?.ok()?, parts.next()?.ok()?);
    let second = parts.next().transpose().ok()?.unwrap_or(0);
    let fits = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    if !fits
        || parts.next().is_some()
        || fraction.len() > 9
        || !fraction.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    Some((hour * 3600 + minute * 60 + second, format!("{fraction:0<9}")))
}

/// Seconds of the wall clock, fraction and offset in minutes of `DATE[ T]TIME[ offset]`; without a time: midnight.
fn moment(text: &str) -> Option<(i64, String, i32)> {
    let (date, rest) = text.split_once(['T', ' ']).unwrap_or((text, "00:00:00"));
    let (clock, offset) = match rest.find(['+', '-', 'Z', ' ']) {
        Some(at) => (rest.get(..at)?, offset_minutes(rest.get(at..)?.trim())?),
        None => (rest, 0),
    };
    let (seconds, fraction) = time_of_day(clock)?;
    Some((days(date)? * 86_400 + seconds, fraction, offset))
}

fn offset_minutes(text: &str) -> Option<i32> {
    if text.is_empty() || text == "Z" {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number: i32 = digits.parse().ok()?;
    Some(sign * if digits.len() <= 2 { number * 60 } else { number / 100 * 60 + number % 100 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_quotes_nulls_and_line_breaks() {
        let text = "a,b,c\r\n1,\"x \"\"y\"\", z\nw\",\n,\"\",3";
        let mut reader = CsvReader::new(text.as_bytes());
        let mut records = Vec::new();
        while let Some(record) = reader.record().unwrap() {
            records.push(record);
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(records[0], [some("a"), some("b"), some("c")]);
        assert_eq!(records[1], [some("1"), some("x \"y\", z\nw"), None]);
        assert_eq!(records[2], [None, some(""), some("3")]);
        assert_eq!(records.len(), 3);
    }

    #[test]
    fn dates_and_times_become_wire_text() {
        let ntz = SqlType::TimestampNtz { scale: 9 };
        let tz = SqlType::TimestampTz { scale: 9 };
        for (sql_type, text, expected) in [
            (SqlType::Date, "2020-01-01", "18262"),
            (SqlType::Date, "18262", "18262"),
            (SqlType::Date, "-0001-12-31", "-719529"),
            (SqlType::Time { scale: 9 }, "23:01:59", "82919.000000000"),
            (ntz, "2021-01-28 22:09:37.123456789", "1611871777.123456789"),
            (ntz, "1969-12-31T23:59:59.1234567", "-0.876543300"),
            (ntz, "-0.876543300", "-0.876543300"),
            (tz, "2021-03-19 20:06:59 +01:00", "1616180819.000000000 1500"),
            (tz, "2021-03-19T20:06:59-0800", "1616213219.000000000 960"),
            (SqlType::Boolean, "true", "true"),
        ] {
            assert_eq!(wire_text(sql_type, text.to_owned()).as_deref(), Some(expected), "{text}");
        }
        assert_eq!(wire_text(SqlType::Date, "2020-13-01".to_owned()), None);
    }
}
