//! Numbers to PostgreSQL's numbers. A number that would change is a bad value unless the column is lossy; what is
//! then rounded, is rounded as PostgreSQL's own casts round: numeric half away from zero, floats half to even.

use thaw_model::TargetType;
use thaw_model::target_type::NumericModifier;
use thaw_postgres::copy::{BinaryWriter, NumericSpecial};

use super::bad_value::BadValue;
use super::decimal::Decimal;

/// Up to so many significant digits a decimal survives the way through the float and back.
const FLOAT8_DIGITS: i32 = 15;
const FLOAT4_DIGITS: i32 = 6;

/// A float as PostgreSQL's `float8out` prints it: the shortest digits that read back, plain between 1e-4 and 1e15.
pub(super) fn write_float_text(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        let scientific = format!("{value:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        if (-4..15).contains(&exponent) {
            out.push_str(&format!("{value}"));
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            out.push_str(&format!("{mantissa}e{sign}{:02}", exponent.abs()));
        }
    }
}

/// An exact decimal into any numeric target.
pub(super) fn decimal(
    writer: &mut BinaryWriter,
    target: &TargetType,
    value: Decimal,
    lossy: bool,
) -> Result<(), BadValue> {
    match target {
        TargetType::Int2 | TargetType::Int4 | TargetType::Int8 => {
            integer(writer, target, value.to_integer(lossy)?)
        }
        TargetType::Numeric { modifier } => numeric(writer, *modifier, value, lossy),
        TargetType::Float8 => float8_of(value, lossy).map(|float| writer.float8(float)),
        TargetType::Float4 => float4_of(value, lossy).map(|float| writer.float4(float)),
        TargetType::Bool => {
            writer.bool(match value.to_integer(false) {
                Ok(0) => false,
                Ok(1) => true,
                _ => return Err(BadValue::NotZeroOrOne),
            });
            Ok(())
        }
        _ => Err(BadValue::Mismatch),
    }
}

pub(super) fn integer(writer: &mut BinaryWriter, target: &TargetType, value: i128) -> Result<(), BadValue> {
    let out_of_range = |_| BadValue::NumberOutOfRange;
    match target {
        TargetType::Int2 => writer.int2(value.try_into().map_err(out_of_range)?),
        TargetType::Int4 => writer.int4(value.try_into().map_err(out_of_range)?),
        TargetType::Int8 => writer.int8(value.try_into().map_err(out_of_range)?),
        _ => return Err(BadValue::Mismatch),
    }
    Ok(())
}

fn numeric(
    writer: &mut BinaryWriter,
    modifier: Option<NumericModifier>,
    value: Decimal,
    lossy: bool,
) -> Result<(), BadValue> {
    let Some(NumericModifier { precision, scale }) = modifier else {
        return Ok(writer.numeric_exponent(value.significand, value.exponent)?);
    };
    let fitted = value.to_scale(i32::from(scale), lossy)?;
    // With zeros up to the column's scale it must have no more digits than the column.
    let digits = fitted.digits() + fitted.exponent + i32::from(scale);
    if fitted.significand != 0 && digits > i32::from(precision) {
        return Err(BadValue::NumberOutOfRange);
    }
    Ok(writer.numeric_exponent(fitted.significand, fitted.exponent)?)
}

fn float8_of(value: Decimal, lossy: bool) -> Result<f64, BadValue> {
    let float: f64 = value.scientific().parse().map_err(|_| BadValue::NotANumber)?;
    if !float.is_finite() {
        return Err(BadValue::NumberOutOfRange);
    }
    let kept = value.digits() <= FLOAT8_DIGITS && (float != 0.0 || value.significand == 0);
    if lossy || kept || Decimal::shortest(float).is_some_and(|shortest| shortest.equals(value)) {
        Ok(float)
    } else {
        Err(BadValue::NumberWouldChange)
    }
}

fn float4_of(value: Decimal, lossy: bool) -> Result<f32, BadValue> {
    let float: f32 = value.scientific().parse().map_err(|_| BadValue::NotANumber)?;
    if !float.is_finite() {
        return Err(BadValue::NumberOutOfRange);
    }
    let kept = value.digits() <= FLOAT4_DIGITS && (float != 0.0 || value.significand == 0);
    if lossy || kept || Decimal::parse(&format!("{float:e}")).is_ok_and(|shortest| shortest.equals(value)) {
        Ok(float)
    } else {
        Err(BadValue::NumberWouldChange)
    }
}

/// A float into any numeric target.
pub(super) fn float(
    writer: &mut BinaryWriter,
    target: &TargetType,
    value: f64,
    lossy: bool,
) -> Result<(), BadValue> {
    match target {
        TargetType::Float8 => writer.float8(value),
        TargetType::Float4 => writer.float4(narrow(value, lossy)?),
        TargetType::Numeric { modifier } => return float_to_numeric(writer, *modifier, value, lossy),
        TargetType::Int2 | TargetType::Int4 | TargetType::Int8 => {
            return integer(writer, target, whole(value, lossy)?);
        }
        _ => return Err(BadValue::Mismatch),
    }
    Ok(())
}

fn narrow(value: f64, lossy: bool) -> Result<f32, BadValue> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounds to the nearest; what that changes is checked below"
    )]
    let narrowed = value as f32;
    if !value.is_finite() || lossy && narrowed.is_finite() {
        return Ok(narrowed);
    }
    if !narrowed.is_finite() {
        return Err(BadValue::NumberOutOfRange);
    }
    // Unchanged is what reads the same: 0.1 stays 0.1, although its bits differ.
    if f64::from(narrowed).to_bits() == value.to_bits() || format!("{narrowed:e}") == format!("{value:e}") {
        Ok(narrowed)
    } else {
        Err(BadValue::NumberWouldChange)
    }
}

fn float_to_numeric(
    writer: &mut BinaryWriter,
    modifier: Option<NumericModifier>,
    value: f64,
    lossy: bool,
) -> Result<(), BadValue> {
    if let Some(decimal) = Decimal::shortest(value) {
        return numeric(writer, modifier, decimal, lossy);
    }
    let special = match (value.is_nan(), value > 0.0) {
        (true, _) => NumericSpecial::NaN,
        (false, true) => NumericSpecial::Infinity,
        (false, false) => NumericSpecial::NegativeInfinity,
    };
    // A numeric with a precision holds NaN, but no infinity.
    if modifier.is_some() && special != NumericSpecial::NaN {
        return Err(BadValue::NotFinite);
    }
    writer.numeric_special(special);
    Ok(())
}

fn whole(value: f64, lossy: bool) -> Result<i128, BadValue> {
    if !value.is_finite() {
        return Err(BadValue::NotFinite);
    }
    let rounded = value.round_ties_even();
    if rounded != value && !lossy {
        return Err(BadValue::NumberWouldChange);
    }
    // Every integer column ends far below 1e30, where the cast is exact.
    if rounded.abs() > 1e30 {
        return Err(BadValue::NumberOutOfRange);
    }
    #[expect(clippy::cast_possible_truncation, reason = "an integer of at most 30 digits")]
    let whole = rounded as i128;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = String::new();
        write_float_text(&mut out, value);
        out
    }

    #[test]
    fn floats_print_as_the_server_prints_them() {
        // As `select value::float8` shows them in PostgreSQL 15.
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123_456_789_012_345.67, "123456789012345.67"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e300, "1.5e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn floats_keep_what_they_can_and_say_what_they_cannot() {
        assert_eq!(
            float8_of(Decimal::new(123_456_789_012_345_678, 0), false),
            Err(BadValue::NumberWouldChange)
        );
        assert_eq!(float8_of(Decimal::new(9_007_199_254_740_992, 0), false), Ok(9_007_199_254_740_992.0));
        assert_eq!(float8_of(Decimal::new(1, 1), false), Ok(0.1));
        assert_eq!(float4_of(Decimal::new(123_456_789, 2), false), Err(BadValue::NumberWouldChange));
        assert_eq!(narrow(0.1, false), Ok(0.1));
        assert_eq!(narrow(0.123_456_789, false), Err(BadValue::NumberWouldChange));
        assert_eq!(narrow(1e300, true), Err(BadValue::NumberOutOfRange));
        assert_eq!(whole(2.5, true), Ok(2));
        assert_eq!(whole(2.5, false), Err(BadValue::NumberWouldChange));
        assert_eq!(whole(f64::NAN, true), Err(BadValue::NotFinite));
    }
}
