//! The binary COPY format: header, rows, fields, trailer (PostgreSQL manual, "COPY", section "Binary Format"; the
//! fields are what the types' `recv` functions read).
//!
//! It writes values that are already of the target's type; deciding that is the encoder's business. It never
//! prints a value: an error says which limit was passed.

use bytes::{BufMut, BytesMut};

/// `PGCOPY\n\377\r\n\0`, no flags, no header extension.
const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i128 = 946_684_800_000_000;

/// Days since 2000-01-01 of 4714-11-24 BC (proleptic Gregorian; Julian day 0), the first date of both types.
const MIN_DAYS: i64 = -2_451_545;
/// Days since 2000-01-01 of 5874898-01-01, the first date that is too late.
const END_DAYS: i64 = 2_145_031_949;
/// Microseconds since 2000-01-01 of 4714-11-24 BC.
const MIN_MICROS: i64 = -211_813_488_000_000_000;
/// Microseconds since 2000-01-01 of 294277-01-01, the first instant that is too late.
const END_MICROS: i64 = 9_223_371_331_200_000_000;

/// 24:00:00, which `time` accepts.
const DAY_MICROS: i64 = 86_400_000_000;

/// The digits a numeric may have before and after the point (manual, table 8.2).
const NUMERIC_MAX_SCALE: u16 = 16_383;

/// A value outside what the type can hold. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("date outside 4713 BC to 5874897 AD")]
    DateOutOfRange,
    #[error("timestamp outside 4713 BC to 294276 AD")]
    TimestampOutOfRange,
    #[error("time outside 00:00:00 to 24:00:00")]
    TimeOutOfRange,
    #[error("number with more digits than numeric can hold")]
    NumericOutOfRange,
    #[error("value longer than 1 GB")]
    TooLong,
}

/// What numeric knows beside numbers. The infinities exist from PostgreSQL 14 on and only in a numeric without
/// precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumericSpecial {
    NaN,
    Infinity,
    NegativeInfinity,
}

/// Where an array began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArrayInProgress {
    start: usize,
}

/// Writes the format into a buffer of its own. The caller takes finished bytes with [`BinaryWriter::split`] and
/// takes an unfinished row back with [`BinaryWriter::truncate`].
#[derive(Debug, Default)]
pub struct BinaryWriter {
    buffer: BytesMut,
}

impl BinaryWriter {
    /// An empty buffer; nothing is written yet.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity) }
    }

    /// Bytes not yet taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// What was written after the buffer had this length.
    #[must_use]
    pub fn written_since(&self, len: usize) -> &[u8] {
        self.buffer.get(len..).unwrap_or_default()
    }

    /// Takes everything written so far.
    pub fn split(&mut self) -> BytesMut {
        self.buffer.split()
    }

    /// Takes the first `len` bytes; what is behind them (a row in progress) stays.
    ///
    /// # Panics
    /// When there are fewer bytes.
    pub fn split_to(&mut self, len: usize) -> BytesMut {
        self.buffer.split_to(len)
    }

    /// Makes room, so that a run of rows does not grow the buffer step by step.
    pub fn reserve(&mut self, additional: usize) {
        self.buffer.reserve(additional);
    }

    /// Throws away what was written after the buffer had this length.
    pub fn truncate(&mut self, len: usize) {
        self.buffer.truncate(len);
    }

    /// Once, before the first row.
    pub fn header(&mut self) {
        self.buffer.put_slice(&HEADER);
    }

    /// Once, after the last row.
    pub fn trailer(&mut self) {
        self.buffer.put_i16(-1);
    }

    /// Starts a row of so many fields.
    pub fn begin_row(&mut self, fields: u16) {
        self.buffer.put_u16(fields);
    }

    pub fn null(&mut self) {
        self.buffer.put_i32(-1);
    }

    pub fn bool(&mut self, value: bool) {
        self.buffer.put_i32(1);
        self.buffer.put_u8(u8::from(value));
    }

    pub fn int2(&mut self, value: i16) {
        self.buffer.put_i32(2);
        self.buffer.put_i16(value);
    }

    pub fn int4(&mut self, value: i32) {
        self.buffer.put_i32(4);
        self.buffer.put_i32(value);
    }

    pub fn int8(&mut self, value: i64) {
        self.buffer.put_i32(8);
        self.buffer.put_i64(value);
    }

    pub fn float4(&mut self, value: f32) {
        self.buffer.put_i32(4);
        self.buffer.put_f32(value);
    }

    pub fn float8(&mut self, value: f64) {
        self.buffer.put_i32(8);
        self.buffer.put_f64(value);
    }

    /// text, varchar, char, citext, xml, json and enum labels, and bytea.
    ///
    /// # Errors
    /// [`FieldError::TooLong`].
    pub fn bytes(&mut self, value: &[u8]) -> Result<(), FieldError> {
        self.length(value.len())?;
        self.buffer.put_slice(value);
        Ok(())
    }

    /// jsonb: its version, 1, then the JSON text.
    ///
    /// # Errors
    /// [`FieldError::TooLong`].
    pub fn jsonb(&mut self, json: &str) -> Result<(), FieldError> {
        self.length(json.len() + 1)?;
        self.buffer.put_u8(1);
        self.buffer.put_slice(json.as_bytes());
        Ok(())
    }

    /// Begins an array of one dimension; its elements follow as fields. End it with [`BinaryWriter::end_array`].
    pub fn begin_array(&mut self, element_oid: u32) -> ArrayInProgress {
        let start = self.buffer.len();
        // The field's length, the number of dimensions and the one dimension's length are known at the end.
        self.buffer.put_i32(0);
        self.buffer.put_i32(1);
        // Whether there are NULLs; the server looks for itself.
        self.buffer.put_i32(1);
        self.buffer.put_u32(element_oid);
        self.buffer.put_i32(0);
        // The lower bound.
        self.buffer.put_i32(1);
        ArrayInProgress { start }
    }

    /// Ends the array that began there, after so many elements.
    ///
    /// # Errors
    /// [`FieldError::TooLong`].
    pub fn end_array(&mut self, array: &ArrayInProgress, elements: usize) -> Result<(), FieldError> {
        // An empty array has no dimension.
        if elements == 0 {
            self.buffer.truncate(array.start + 16);
            self.patch(array.start + 4, 0);
        } else {
            self.patch(array.start + 16, i32::try_from(elements).map_err(|_| FieldError::TooLong)?);
        }
        let length = self.buffer.len().saturating_sub(array.start + 4);
        self.patch(array.start, i32::try_from(length).map_err(|_| FieldError::TooLong)?);
        Ok(())
    }

    fn patch(&mut self, at: usize, value: i32) {
        if let Some(slot) = self.buffer.get_mut(at..at + 4) {
            slot.copy_from_slice(&value.to_be_bytes());
        }
    }

    pub fn uuid(&mut self, value: [u8; 16]) {
        self.buffer.put_i32(16);
        self.buffer.put_slice(&value);
    }

    /// Days since 1970-01-01.
    ///
    /// # Errors
    /// [`FieldError::DateOutOfRange`].
    pub fn date(&mut self, unix_days: i64) -> Result<(), FieldError> {
        let days = unix_days
            .checked_sub(EPOCH_DAYS)
            .filter(|days| (MIN_DAYS..END_DAYS).contains(days))
            .and_then(|days| i32::try_from(days).ok())
            .ok_or(FieldError::DateOutOfRange)?;
        self.int4(days);
        Ok(())
    }

    /// Microseconds since midnight.
    ///
    /// # Errors
    /// [`FieldError::TimeOutOfRange`].
    pub fn time(&mut self, micros: i64) -> Result<(), FieldError> {
        if !(0..=DAY_MICROS).contains(&micros) {
            return Err(FieldError::TimeOutOfRange);
        }
        self.int8(micros);
        Ok(())
    }

    /// timestamp and timestamptz: microseconds since 1970-01-01 00:00, of the wall clock or of UTC.
    ///
    /// # Errors
    /// [`FieldError::TimestampOutOfRange`].
    pub fn timestamp(&mut self, unix_micros: i128) -> Result<(), FieldError> {
        let micros = unix_micros
            .checked_sub(EPOCH_MICROS)
            .and_then(|micros| i64::try_from(micros).ok())
            .filter(|micros| (MIN_MICROS..END_MICROS).contains(micros))
            .ok_or(FieldError::TimestampOutOfRange)?;
        self.int8(micros);
        Ok(())
    }

    /// `unscaled / 10^scale`, shown with `scale` digits after the point.
    ///
    /// # Errors
    /// [`FieldError::NumericOutOfRange`].
    pub fn numeric(&mut self, unscaled: i128, scale: u16) -> Result<(), FieldError> {
        if scale > NUMERIC_MAX_SCALE {
            return Err(FieldError::NumericOutOfRange);
        }
        // Digits in groups of four, aligned to the point: pad the fraction to whole groups first.
        let pad = (4 - scale % 4) % 4;
        let mut groups = [0_u16; 12];
        let count = digit_groups(unscaled.unsigned_abs(), pad, &mut groups);
        let significant = groups.get(..count).unwrap_or_default();
        // The last group's weight is minus the number of fraction groups.
        let fraction_groups = i32::from(scale.div_ceil(4));
        self.put_numeric(significant, fraction_groups, unscaled < 0, scale)
    }

    /// `significand * 10^exponent`: DECFLOAT. A positive exponent is written out in zero groups by the weight.
    ///
    /// # Errors
    /// [`FieldError::NumericOutOfRange`].
    pub fn numeric_exponent(&mut self, significand: i128, exponent: i32) -> Result<(), FieldError> {
        if exponent <= 0 {
            let scale = u16::try_from(-exponent).map_err(|_| FieldError::NumericOutOfRange)?;
            return self.numeric(significand, scale);
        }
        if exponent > 131_072 {
            return Err(FieldError::NumericOutOfRange);
        }
        let pad = u16::try_from(exponent % 4).map_err(|_| FieldError::NumericOutOfRange)?;
        let mut groups = [0_u16; 12];
        let count = digit_groups(significand.unsigned_abs(), pad, &mut groups);
        let significant = groups.get(..count).unwrap_or_default();
        self.put_numeric(significant, -(exponent / 4), significand < 0, 0)
    }

    /// NaN and the infinities.
    pub fn numeric_special(&mut self, special: NumericSpecial) {
        let sign: u16 = match special {
            NumericSpecial::NaN => 0xc000,
            NumericSpecial::Infinity => 0xd000,
            NumericSpecial::NegativeInfinity => 0xf000,
        };
        self.buffer.put_i32(8);
        self.buffer.put_u16(0);
        self.buffer.put_i16(0);
        self.buffer.put_u16(sign);
        self.buffer.put_u16(0);
    }

    /// `groups` are base 10000, most significant first, without leading zero groups.
    fn put_numeric(
        &mut self,
        groups: &[u16],
        fraction_groups: i32,
        negative: bool,
        scale: u16,
    ) -> Result<(), FieldError> {
        let out_of_range = |_| FieldError::NumericOutOfRange;
        let count = i32::try_from(groups.len()).map_err(out_of_range)?;
        let weight = if groups.is_empty() { 0 } else { count - 1 - fraction_groups };
        let weight = i16::try_from(weight).map_err(out_of_range)?;
        // Trailing zero groups carry nothing; the display scale says how many digits are shown.
        let kept = groups.iter().rposition(|group| *group != 0).map_or(0, |last| last + 1);
        let groups = groups.get(..kept).unwrap_or_default();
        let digits = u16::try_from(groups.len()).map_err(out_of_range)?;
        self.buffer.put_i32(8 + 2 * i32::from(digits));
        self.buffer.put_u16(digits);
        self.buffer.put_i16(weight);
        self.buffer.put_u16(if negative { 0x4000 } else { 0 });
        self.buffer.put_u16(scale);
        for group in groups {
            self.buffer.put_u16(*group);
        }
        Ok(())
    }

    fn length(&mut self, len: usize) -> Result<(), FieldError> {
        // The server's own limit of a field is 1 GB less its header.
        let len = i32::try_from(len).ok().filter(|len| *len < 0x3fff_ffff).ok_or(FieldError::TooLong)?;
        self.buffer.put_i32(len);
        Ok(())
    }
}

/// Cuts `magnitude * 10^pad` into base-10000 groups, most significant first; returns how many there are. The
/// product may pass 128 bits, so the first group takes only `4 - pad` digits.
fn digit_groups(magnitude: u128, pad: u16, groups: &mut [u16; 12]) -> usize {
    if magnitude == 0 {
        return 0;
    }
    // Powers of ten below 10000; pad is 0 to 3.
    let (low_base, factor): (u128, u16) = match pad {
        0 => (10_000, 1),
        1 => (1_000, 10),
        2 => (100, 100),
        _ => (10, 1_000),
    };
    let small = |value: u128| u16::try_from(value).unwrap_or_default();
    let mut reversed = [0_u16; 12];
    let mut count = 0;
    let mut push = |group: u16| {
        if let Some(slot) = reversed.get_mut(count) {
            *slot = group;
            count += 1;
        }
    };
    push(small(magnitude % low_base) * factor);
    let mut rest = magnitude / low_base;
    // 64-bit division is several times faster than 128-bit, and most numbers fit.
    while rest > u128::from(u64::MAX) {
        push(small(rest % 10_000));
        rest /= 10_000;
    }
    let mut rest = u64::try_from(rest).unwrap_or_default();
    while rest > 0 {
        push(u16::try_from(rest % 10_000).unwrap_or_default());
        rest /= 10_000;
    }
    for (slot, group) in groups.iter_mut().zip(reversed.iter().take(count).rev()) {
        *slot = *group;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a numeric field back, independently of the writer: digits as text.
    fn read(bytes: &[u8]) -> String {
        let word = |at: usize| i16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (digits, weight, sign, scale) = (word(4), i32::from(word(6)), word(8), word(10));
        let group = |index: i32| {
            let at = weight - index;
            if at < 0 || at >= i32::from(digits) { 0 } else { word(12 + 2 * usize::try_from(at).unwrap()) }
        };
        let mut whole: String =
            (0..=weight.max(0)).rev().map(|index| format!("{:04}", group(index))).collect();
        whole = whole.trim_start_matches('0').to_owned();
        if whole.is_empty() {
            whole.push('0');
        }
        let groups = (i32::from(scale) + 3) / 4;
        let fraction: String = (1..=groups).map(|index| format!("{:04}", group(-index))).collect();
        let fraction: String = fraction.chars().take(usize::try_from(scale).unwrap()).collect();
        let point = if scale > 0 { "." } else { "" };
        format!("{}{whole}{point}{fraction}", if sign == 0x4000 { "-" } else { "" })
    }

    fn numeric(unscaled: i128, scale: u16) -> String {
        let mut writer = BinaryWriter::default();
        writer.numeric(unscaled, scale).expect("in range");
        read(&writer.split())
    }

    #[test]
    fn numbers_are_cut_at_the_point() {
        assert_eq!(numeric(0, 0), "0");
        assert_eq!(numeric(0, 2), "0.00");
        assert_eq!(numeric(12_345, 2), "123.45");
        assert_eq!(numeric(-1, 37), format!("-0.{}1", "0".repeat(36)));
        assert_eq!(numeric(10_000, 0), "10000");
        assert_eq!(numeric(i128::MAX, 0), i128::MAX.to_string());
        assert_eq!(numeric(i128::MIN, 0), i128::MIN.to_string());
        assert_eq!(numeric(5, 1), "0.5");
    }

    proptest::proptest! {
        #[test]
        fn every_number_reads_back(unscaled in proptest::num::i128::ANY, scale in 0_u16..=38) {
            let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
            let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
            let point = if scale > 0 { "." } else { "" };
            let sign = if unscaled < 0 { "-" } else { "" };
            proptest::prop_assert_eq!(numeric(unscaled, scale), format!("{}{}{}{}", sign, whole, point, fraction));
        }

        #[test]
        fn exponents_are_zeros(significand in -99_999_i128..99_999, exponent in 0_i32..40) {
            let mut writer = BinaryWriter::default();
            writer.numeric_exponent(significand, exponent).expect("in range");
            let expected = if significand == 0 { "0".to_owned() } else {
                format!("{significand}{}", "0".repeat(usize::try_from(exponent).unwrap()))
            };
            proptest::prop_assert_eq!(read(&writer.split()), expected);
        }
    }

    #[test]
    fn dates_outside_the_type_are_refused_and_write_nothing() {
        let mut writer = BinaryWriter::default();
        assert_eq!(writer.date(i64::MIN), Err(FieldError::DateOutOfRange));
        assert_eq!(writer.date(EPOCH_DAYS + MIN_DAYS - 1), Err(FieldError::DateOutOfRange));
        assert_eq!(writer.date(EPOCH_DAYS + END_DAYS), Err(FieldError::DateOutOfRange));
        assert_eq!(writer.timestamp(i128::from(i64::MAX)), Ok(()));
        assert_eq!(writer.timestamp(i128::from(i64::MIN)), Err(FieldError::TimestampOutOfRange));
        assert_eq!(writer.time(-1), Err(FieldError::TimeOutOfRange));
        assert_eq!(writer.time(DAY_MICROS + 1), Err(FieldError::TimeOutOfRange));
        writer.truncate(0);
        assert_eq!(writer.time(DAY_MICROS), Ok(()));
        assert_eq!(writer.len(), 12);
    }
}
