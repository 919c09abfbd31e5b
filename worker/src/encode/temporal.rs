//! Dates, times and timestamps. Values are floored, in two steps that are one: to microseconds and to the column's
//! precision. Rounding could carry into the next day or year, and PostgreSQL, which would round, finds nothing left
//! to do.

use thaw_model::{SourceType, TargetType};
use thaw_postgres::copy::{BinaryWriter, FieldError};

use super::bad_value::BadValue;
use super::calendar::{self, NANOS_PER_DAY};
use super::column::Column;

/// Nanoseconds of the last digit a column keeps.
pub(super) fn unit(precision: u8) -> i64 {
    10_i64.pow(9 - u32::from(precision.min(6)))
}

/// Nanoseconds since midnight.
pub(super) fn time(writer: &mut BinaryWriter, nanos: i64, precision: u8) -> Result<(), BadValue> {
    let unit = unit(precision);
    Ok(writer.time(nanos.div_euclid(unit) * unit / 1_000)?)
}

/// Nanoseconds since 1970-01-01 00:00, of the wall clock or of UTC, whichever the column holds.
pub(super) fn timestamp(writer: &mut BinaryWriter, nanos: i128, precision: u8) -> Result<(), BadValue> {
    let unit = unit(precision);
    // 64-bit division is several times faster, and reaches from 1677 to 2262.
    let micros = match i64::try_from(nanos) {
        Ok(nanos) => i128::from(nanos.div_euclid(unit)) * i128::from(unit / 1_000),
        Err(_) => nanos.div_euclid(i128::from(unit)) * i128::from(unit / 1_000),
    };
    Ok(writer.timestamp(micros)?)
}

/// The date of a wall clock; its time of day must be midnight unless the column is lossy.
pub(super) fn date_of(writer: &mut BinaryWriter, wall_nanos: i128, lossy: bool) -> Result<(), BadValue> {
    if wall_nanos.rem_euclid(NANOS_PER_DAY) != 0 && !lossy {
        return Err(BadValue::TimestampWouldChange);
    }
    let days = i64::try_from(wall_nanos.div_euclid(NANOS_PER_DAY)).map_err(|_| FieldError::DateOutOfRange)?;
    Ok(writer.date(days)?)
}

/// A DATE of the source: a day, or its midnight by the wall clock.
pub(super) fn date(writer: &mut BinaryWriter, column: &Column, days: i64) -> Result<(), BadValue> {
    match column.target {
        TargetType::Date => Ok(writer.date(days)?),
        _ => wall_clock(writer, column, i128::from(days) * NANOS_PER_DAY),
    }
}

/// A wall clock of the source.
pub(super) fn wall_clock(writer: &mut BinaryWriter, column: &Column, wall: i128) -> Result<(), BadValue> {
    match column.target {
        TargetType::Timestamp { precision } => floored(writer, column, wall, precision),
        TargetType::Timestamptz { precision } => {
            let instant = column.zone.as_ref().map_or(Some(wall), |zone| zone.instant(wall));
            floored(writer, column, instant.ok_or(FieldError::TimestampOutOfRange)?, precision)
        }
        TargetType::Date => date_of(writer, wall, column.lossy),
        _ => Err(BadValue::Mismatch),
    }
}

/// An instant of the source.
pub(super) fn instant(writer: &mut BinaryWriter, column: &Column, instant: i128) -> Result<(), BadValue> {
    let wall = || {
        let wall = column.zone.as_ref().map_or(Some(instant), |zone| zone.wall(instant));
        wall.ok_or(FieldError::TimestampOutOfRange)
    };
    match column.target {
        TargetType::Timestamptz { precision } => floored(writer, column, instant, precision),
        TargetType::Timestamp { precision } => floored(writer, column, wall()?, precision),
        TargetType::Date => date_of(writer, wall()?, column.lossy),
        _ => Err(BadValue::Mismatch),
    }
}

fn floored(writer: &mut BinaryWriter, column: &Column, nanos: i128, precision: u8) -> Result<(), BadValue> {
    column.keeps_digits(nanos, precision)?;
    timestamp(writer, nanos, precision)
}

/// The text of a source timestamp, with as many decimals as its column declares: nothing is floored, and a zone's
/// offset is kept.
pub(super) fn write_text(
    out: &mut String,
    source: SourceType,
    nanos: i128,
    offset_minutes: Option<i16>,
) -> Result<(), BadValue> {
    let digits = match source {
        SourceType::TimestampNtz { scale }
        | SourceType::TimestampLtz { scale }
        | SourceType::TimestampTz { scale } => scale,
        _ => 9,
    };
    let wall = nanos + i128::from(offset_minutes.unwrap_or(0)) * 60_000_000_000;
    calendar::write_timestamp(out, wall, digits, offset_minutes)
        .ok_or(BadValue::Field(FieldError::TimestampOutOfRange))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(encode: impl FnOnce(&mut BinaryWriter) -> Result<(), BadValue>) -> i64 {
        let mut writer = BinaryWriter::default();
        encode(&mut writer).expect("in range");
        let bytes = writer.split();
        i64::from_be_bytes(bytes[4..].try_into().expect("eight bytes"))
    }

    const EPOCH: i64 = 946_684_800_000_000;

    #[test]
    fn nanoseconds_are_floored_before_and_after_1970() {
        assert_eq!(field(|w| timestamp(w, 1_999, 6)), 1 - EPOCH);
        assert_eq!(field(|w| timestamp(w, -1, 6)), -1 - EPOCH);
        assert_eq!(field(|w| timestamp(w, -1, 0)), -1_000_000 - EPOCH);
        assert_eq!(field(|w| timestamp(w, 999_999_999, 3)), 999_000 - EPOCH);
        assert_eq!(field(|w| time(w, 86_399_999_999_999, 6)), 86_399_999_999);
        assert_eq!(field(|w| time(w, 86_399_999_999_999, 0)), 86_399_000_000);
    }

    proptest::proptest! {
        #[test]
        fn both_widths_of_division_agree(nanos in i64::MIN..i64::MAX, precision in 0_u8..=6) {
            let unit = i128::from(unit(precision));
            let wide = i128::from(nanos).div_euclid(unit) * unit / 1_000 - i128::from(EPOCH);
            proptest::prop_assert_eq!(i128::from(field(|w| timestamp(w, i128::from(nanos), precision))), wide);
        }
    }
}
