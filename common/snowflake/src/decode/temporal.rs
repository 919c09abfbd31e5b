//! DATE, TIME and the three TIMESTAMPs.
//!
//! A timestamp is ONE signed decimal number of seconds: `-0.876543300` is 1969-12-31 23:59:59.1234567. Reading
//! seconds and fraction apart loses the sign of `-0.x`, a fault known from several drivers.

use super::{DecodeError, DecodeErrorKind};

const NS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i128 = 86_400;
/// 10^13 seconds are 316 000 years: an integer with more digits can only be nanoseconds.
const SECOND_DIGITS_MAX: usize = 13;
/// Far beyond every year that either database knows, and far from overflow.
const DIGITS_MAX: usize = 24;

/// Reads signed days since 1970-01-01.
///
/// # Errors
/// Text that is no integer of 64 bits.
pub fn date(text: &str) -> Result<i64, DecodeError> {
    if text.starts_with('+') {
        return Err(DecodeErrorKind::NotADate.into());
    }
    text.parse().map_err(|_| DecodeErrorKind::NotADate.into())
}

/// Reads decimal seconds since midnight as nanoseconds.
///
/// # Errors
/// Other text; a time at or beyond 24:00.
pub fn time(text: &str) -> Result<i64, DecodeError> {
    let seconds = decimal_seconds(text).ok_or(DecodeErrorKind::NotATime)?;
    let day = SECONDS_PER_DAY * NS_PER_SECOND;
    // Without a dot, what is no second of a day can only be nanoseconds.
    let ns = match seconds {
        Seconds { ns, dotted: false, .. } if ns >= day => ns / NS_PER_SECOND,
        Seconds { ns, .. } => ns,
    };
    if seconds.negative || ns >= day {
        return Err(DecodeErrorKind::TimeOutOfRange.into());
    }
    i64::try_from(ns).map_err(|_| DecodeErrorKind::TimeOutOfRange.into())
}

/// Reads signed decimal seconds since 1970-01-01 as nanoseconds; 0 to 9 decimals, or none and no dot. An integer
/// of more than 13 digits is nanoseconds already.
///
/// # Errors
/// Other text.
pub fn timestamp(text: &str) -> Result<i128, DecodeError> {
    let seconds = decimal_seconds(text).ok_or(DecodeErrorKind::NotATimestamp)?;
    let ns = if is_nanoseconds(&seconds) { seconds.ns / NS_PER_SECOND } else { seconds.ns };
    Ok(if seconds.negative { -ns } else { ns })
}

/// Reads `<seconds> <offset>`: the instant, and the offset in minutes east of UTC (1440 more on the wire).
///
/// # Errors
/// Other text; an offset beyond a day.
pub fn timestamp_tz(text: &str) -> Result<(i128, i16), DecodeError> {
    let (seconds, offset) = text.split_once(' ').ok_or(DecodeErrorKind::BadOffset)?;
    let ns = timestamp(seconds)?;
    if offset.is_empty() || !offset.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecodeErrorKind::BadOffset.into());
    }
    match offset.parse::<i16>() {
        Ok(minutes @ 0..=2880) => Ok((ns, minutes - 1440)),
        Ok(_) | Err(_) => Err(DecodeErrorKind::BadOffset.into()),
    }
}

/// Floor division of nanoseconds to microseconds, PostgreSQL's resolution: the way every value is brought there,
/// so that data and verification agree and nothing carries into the next second.
#[must_use]
pub fn floor_to_microseconds(ns: i128) -> i128 {
    ns.div_euclid(1000)
}

/// The magnitude in nanoseconds, taking the text as seconds.
struct Seconds {
    negative: bool,
    ns: i128,
    whole_digits: usize,
    dotted: bool,
}

fn is_nanoseconds(seconds: &Seconds) -> bool {
    !seconds.dotted && seconds.whole_digits > SECOND_DIGITS_MAX
}

fn decimal_seconds(text: &str) -> Option<Seconds> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let dot = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = match dot {
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, [].as_slice()),
    };
    if whole.is_empty()
        || whole.len() > DIGITS_MAX
        || fraction.len() > 9
        || (dot.is_some() && fraction.is_empty())
    {
        return None;
    }
    let mut ns = integer(whole)? * NS_PER_SECOND;
    if !fraction.is_empty() {
        let missing = u32::try_from(9 - fraction.len()).ok()?;
        ns += integer(fraction)? * 10_i128.pow(missing);
    }
    Some(Seconds { negative, ns, whole_digits: whole.len(), dotted: dot.is_some() })
}

fn integer(digits: &[u8]) -> Option<i128> {
    if digits.len() <= 18 {
        let mut value: u64 = 0;
        for byte in digits {
            value = value * 10 + u64::from(digit(*byte)?);
        }
        return Some(i128::from(value));
    }
    let mut value: i128 = 0;
    for byte in digits {
        value = value * 10 + i128::from(digit(*byte)?);
    }
    Some(value)
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}
