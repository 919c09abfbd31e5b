//! Exact decimals: one form for NUMBER, DECFLOAT, numbers in text and the shortest text of a float.

use super::bad_value::BadValue;

/// `significand * 10^exponent`. Exact; at most 38 digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) significand: i128,
    pub(super) exponent: i32,
}

/// Exponents beyond this are out of range for every target, and keep the arithmetic below far from its limits.
const EXPONENT_LIMIT: i32 = 200_000;

impl Decimal {
    pub(super) const fn new(significand: i128, scale: u8) -> Self {
        // A scale is at most 255: its negation always fits.
        Self { significand, exponent: -(scale as i32) }
    }

    /// `[+-]digits[.digits][(e|E)[+-]digits]`, nothing else. More than 38 significant digits are refused.
    pub(super) fn parse(text: &str) -> Result<Self, BadValue> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => {
                let (mantissa, rest) = text.split_at(at);
                (mantissa, rest.get(1..).unwrap_or_default().parse().map_err(|_| BadValue::NotANumber)?)
            }
            None => (text, 0_i32),
        };
        let (negative, digits) = match mantissa.as_bytes().first() {
            Some(b'-') => (true, mantissa.get(1..).unwrap_or_default()),
            Some(b'+') => (false, mantissa.get(1..).unwrap_or_default()),
            _ => (false, mantissa),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(BadValue::NotANumber);
        }
        let mut significand = 0_i128;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return Err(BadValue::NotANumber);
            }
            significand = significand
                .checked_mul(10)
                .and_then(|value| value.checked_add(i128::from(byte - b'0')))
                .ok_or(BadValue::TooManyDigits)?;
        }
        let decimals = i32::try_from(fraction.len()).map_err(|_| BadValue::NumberOutOfRange)?;
        let exponent = exponent.checked_sub(decimals).ok_or(BadValue::NumberOutOfRange)?;
        if significand != 0 && exponent.abs() > EXPONENT_LIMIT {
            return Err(BadValue::NumberOutOfRange);
        }
        Ok(Self { significand: if negative { -significand } else { significand }, exponent })
    }

    /// The shortest decimal that reads back as this float; `None` for NaN and the infinities.
    pub(super) fn shortest(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        Self::parse(&format!("{value:e}")).ok()
    }

    /// How many digits the significand has; 0 for zero.
    pub(super) fn digits(self) -> i32 {
        let magnitude = self.significand.unsigned_abs();
        if magnitude == 0 { 0 } else { i32::try_from(magnitude.ilog10()).unwrap_or(0) + 1 }
    }

    /// The same number with `scale` decimals (negative: zeros before the point). A decimal that would be dropped is
    /// an error, or under `lossy` rounded half away from zero, as PostgreSQL's numeric rounds.
    ///
    /// The significand may keep fewer decimals than `scale`, never more.
    pub(super) fn to_scale(self, scale: i32, lossy: bool) -> Result<Self, BadValue> {
        let excess = -self.exponent - scale;
        if excess <= 0 {
            return Ok(self);
        }
        if self.significand == 0 {
            return Ok(Self { significand: 0, exponent: -scale });
        }
        let power = u32::try_from(excess).ok().and_then(|excess| 10_i128.checked_pow(excess));
        let Some(power) = power else {
            // All 38 digits are dropped, and less than half is left.
            return if lossy {
                Ok(Self { significand: 0, exponent: -scale })
            } else {
                Err(BadValue::NumberWouldChange)
            };
        };
        let (quotient, remainder) = (self.significand / power, self.significand % power);
        if remainder == 0 {
            return Ok(Self { significand: quotient, exponent: -scale });
        }
        if !lossy {
            return Err(BadValue::NumberWouldChange);
        }
        let up = remainder.unsigned_abs() >= power.unsigned_abs().div_ceil(2);
        let step = if !up { 0 } else { self.significand.signum() };
        Ok(Self { significand: quotient + step, exponent: -scale })
    }

    /// The number as an integer; decimals as [`Decimal::to_scale`] has them.
    pub(super) fn to_integer(self, lossy: bool) -> Result<i128, BadValue> {
        let whole = self.to_scale(0, lossy)?;
        if whole.significand == 0 {
            return Ok(0);
        }
        let power = u32::try_from(whole.exponent).ok().and_then(|exponent| 10_i128.checked_pow(exponent));
        power.and_then(|power| whole.significand.checked_mul(power)).ok_or(BadValue::NumberOutOfRange)
    }

    /// Equal as numbers, whatever their trailing zeros.
    pub(super) fn equals(self, other: Self) -> bool {
        let (a, b) = (self.normalised(), other.normalised());
        a.significand == b.significand && a.exponent == b.exponent
    }

    fn normalised(self) -> Self {
        let mut out = self;
        if out.significand == 0 {
            return Self { significand: 0, exponent: 0 };
        }
        while out.significand % 10 == 0 {
            out.significand /= 10;
            out.exponent += 1;
        }
        out
    }

    /// Decimal text for the standard library's float parser.
    pub(super) fn scientific(self) -> String {
        format!("{}e{}", self.significand, self.exponent)
    }

    /// Plain decimal text with the decimals it has.
    pub(super) fn write_plain(self, out: &mut String) {
        use std::fmt::Write as _;
        if self.significand < 0 {
            out.push('-');
        }
        let magnitude = self.significand.unsigned_abs();
        let Ok(decimals) = usize::try_from(-self.exponent) else {
            // Writing into a String cannot fail.
            write!(out, "{magnitude}").ok();
            if magnitude != 0 {
                out.extend(std::iter::repeat_n('0', usize::try_from(self.exponent).unwrap_or(0)));
            }
            return;
        };
        let digits = format!("{magnitude:0width$}", width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        out.push_str(whole);
        if decimals > 0 {
            out.push('.');
            out.push_str(fraction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn rounded(text: &str, scale: i32) -> String {
        let mut out = String::new();
        parsed(text).to_scale(scale, true).expect("rounds").write_plain(&mut out);
        out
    }

    #[test]
    fn halves_round_away_from_zero_as_numeric_does() {
        for (text, scale, expected) in [
            ("0.5", 0, "1"),
            ("-0.5", 0, "-1"),
            ("2.5", 0, "3"),
            ("2.45", 1, "2.5"),
            ("2.449", 1, "2.4"),
            ("-2.45", 1, "-2.5"),
            ("0.004", 2, "0.00"),
            ("1e-50", 2, "0.00"),
            ("1250", -2, "1300"),
        ] {
            assert_eq!(rounded(text, scale), expected, "{text} to {scale}");
        }
    }

    #[test]
    fn a_number_that_would_change_is_refused_unless_lossy() {
        assert!(parsed("1.50").to_scale(1, false).is_ok());
        assert_eq!(parsed("1.55").to_scale(1, false).err(), Some(BadValue::NumberWouldChange));
        assert_eq!(parsed("1.0").to_integer(false), Ok(1));
        assert_eq!(parsed("12e3").to_integer(false), Ok(12_000));
        assert_eq!(parsed("1e60").to_integer(false), Err(BadValue::NumberOutOfRange));
    }

    #[test]
    fn only_numbers_are_numbers() {
        for text in ["", "-", ".", "1.2.3", "1e", "1e+", "0x10", "1_000", " 1", "NaN", "--1", "١"] {
            assert!(Decimal::parse(text).is_err(), "{text}");
        }
        assert!(parsed("+.5").equals(parsed("0.50")));
        assert!(parsed("5.").equals(parsed("5")));
    }

    proptest::proptest! {
        #[test]
        fn plain_text_reads_back(significand in -10_i128.pow(38) + 1..10_i128.pow(38), scale in 0_u8..=38) {
            let mut out = String::new();
            let decimal = Decimal::new(significand, scale);
            decimal.write_plain(&mut out);
            let back = parsed(&out);
            proptest::prop_assert!(back.significand == significand && back.exponent == -i32::from(scale));
        }
    }
}
