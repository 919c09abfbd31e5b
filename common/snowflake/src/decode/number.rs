//! NUMBER, FLOAT and DECFLOAT. Never through `f64`, except FLOAT itself.

use super::{DecodeError, DecodeErrorKind};

/// The digits of NUMBER's greatest precision.
const DIGITS_MAX: u32 = 38;

/// Reads `[-]digits[.digits]` as an unscaled integer and the number of digits after the dot.
///
/// # Errors
/// Other text, exponents included; more than 38 significant digits.
pub fn fixed(text: &str) -> Result<(i128, u8), DecodeError> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // Up to 18 digits and a dot, which is nearly every number, fit 64 bits.
    let (magnitude, scale) = if digits.len() <= 19 { fixed_short(digits)? } else { fixed_long(digits)? };
    Ok((if negative { -magnitude } else { magnitude }, scale))
}

fn fixed_short(digits: &[u8]) -> Result<(i128, u8), DecodeError> {
    let mut value: u64 = 0;
    let mut seen: u8 = 0;
    let mut scale: Option<u8> = None;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                // 19 digits at most: below 10^19, which u64 holds.
                value = value * 10 + u64::from(byte - b'0');
                seen += 1;
                scale = scale.map(|digits| digits + 1);
            }
            b'.' if scale.is_none() => scale = Some(0),
            _ => return Err(DecodeErrorKind::NotANumber.into()),
        }
    }
    finish(i128::from(value), seen > 0, scale)
}

fn fixed_long(digits: &[u8]) -> Result<(i128, u8), DecodeError> {
    let mut value: i128 = 0;
    let mut significant: u32 = 0;
    let mut scale: Option<u8> = None;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                significant += u32::from(significant > 0 || byte != b'0');
                if significant > DIGITS_MAX {
                    return Err(DecodeErrorKind::TooManyDigits.into());
                }
                value = value * 10 + i128::from(byte - b'0');
                scale = match scale {
                    Some(digits) => Some(digits.checked_add(1).ok_or(DecodeErrorKind::TooManyDigits)?),
                    None => None,
                };
            }
            b'.' if scale.is_none() => scale = Some(0),
            _ => return Err(DecodeErrorKind::NotANumber.into()),
        }
    }
    finish(value, true, scale)
}

/// A dot needs a digit after it.
fn finish(value: i128, any_digit: bool, scale: Option<u8>) -> Result<(i128, u8), DecodeError> {
    if !any_digit || scale == Some(0) {
        return Err(DecodeErrorKind::NotANumber.into());
    }
    Ok((value, scale.unwrap_or(0)))
}

/// Reads a FLOAT: decimal text with or without exponent, `NaN`, `inf`, `infinity` in any case.
///
/// # Errors
/// Other text; a finite number beyond the range of 64 bits.
pub fn real(text: &str) -> Result<f64, DecodeError> {
    let value: f64 = text.parse().map_err(|_| DecodeErrorKind::NotAFloat)?;
    if value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err(DecodeErrorKind::FloatOutOfRange.into());
    }
    Ok(value)
}

/// Checks a DECFLOAT: `[-]digits[.digits][(e|E)[+-]digits]`, at most 38 significant digits. PostgreSQL's numeric
/// reads the text as it is.
///
/// # Errors
/// Other text; DECFLOAT has neither NaN nor infinities.
pub fn decfloat(text: &str) -> Result<&str, DecodeError> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        all_digits(digits) && digits.len() <= 6
    });
    if !all_digits(whole) || !fraction.is_none_or(all_digits) || !exponent_fits {
        return Err(DecodeErrorKind::NotANumber.into());
    }
    if significant_digits(whole, fraction.unwrap_or("")) > 38 {
        return Err(DecodeErrorKind::TooManyDigits.into());
    }
    Ok(text)
}

/// Digits between the first and the last that is not zero.
fn significant_digits(whole: &str, fraction: &str) -> usize {
    let digits = || whole.bytes().chain(fraction.bytes());
    let total = whole.len() + fraction.len();
    let leading = digits().take_while(|byte| *byte == b'0').count();
    if leading == total {
        return 0;
    }
    let trailing = fraction.bytes().rev().chain(whole.bytes().rev()).take_while(|byte| *byte == b'0').count();
    total - leading - trailing
}
