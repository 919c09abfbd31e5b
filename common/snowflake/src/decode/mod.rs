//! From the wire's text to values, by column type. Pure: no I/O, no async.
//!
//! Source: docs.snowflake.com/en/developer-guide/sql-api/handling-responses ("How data types are encoded").

pub mod binary;
pub mod number;
pub mod semi_structured;
pub mod temporal;
pub mod text;

use std::borrow::Cow;

use thaw_model::{Classify, Disposition, SourceType};

/// A decoded cell.
#[derive(Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    /// `unscaled * 10^-scale`, exact. `scale` is the number of digits after the dot of the text, which is the
    /// column's scale or less; at most 38 significant digits.
    Number {
        unscaled: i128,
        scale: u8,
    },
    /// DECFLOAT: decimal text `[-]digits[.digits][(e|E)[+-]digits]`, checked.
    Decimal(&'a str),
    /// With NaN and the infinities.
    Float(f64),
    Bool(bool),
    /// May hold U+0000, which PostgreSQL's text cannot.
    Text(&'a str),
    Bytes(Vec<u8>),
    /// Days since 1970-01-01, proleptic Gregorian.
    Date(i64),
    /// Nanoseconds since midnight, below 86 400 s.
    Time(i64),
    /// Nanoseconds of the wall clock since 1970-01-01 00:00.
    TimestampNtz(i128),
    /// Nanoseconds of the instant since 1970-01-01 00:00 UTC.
    TimestampLtz(i128),
    /// The instant, and the minutes east of UTC it was written with.
    TimestampTz {
        ns: i128,
        offset_minutes: i16,
    },
    /// Valid, minified JSON. May hold `\u0000` inside strings, which `jsonb` cannot.
    Json(Cow<'a, str>),
}

impl std::fmt::Debug for Value<'_> {
    /// The kind alone: a value of the user's data must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Number { .. } => "Number(..)",
            Self::Decimal(_) => "Decimal(..)",
            Self::Float(_) => "Float(..)",
            Self::Bool(_) => "Bool(..)",
            Self::Text(_) => "Text(..)",
            Self::Bytes(_) => "Bytes(..)",
            Self::Date(_) => "Date(..)",
            Self::Time(_) => "Time(..)",
            Self::TimestampNtz(_) => "TimestampNtz(..)",
            Self::TimestampLtz(_) => "TimestampLtz(..)",
            Self::TimestampTz { .. } => "TimestampTz(..)",
            Self::Json(_) => "Json(..)",
        })
    }
}

/// A cell that is not what its column's type says. Names the kind of fault, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct DecodeError {
    pub kind: DecodeErrorKind,
}

/// The kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum DecodeErrorKind {
    #[error("text is no decimal number")]
    NotANumber,
    #[error("number has more than 38 digits")]
    TooManyDigits,
    #[error("text is no floating point number")]
    NotAFloat,
    #[error("floating point number is out of range")]
    FloatOutOfRange,
    #[error("text is no boolean")]
    NotABoolean,
    #[error("text is no hexadecimal data")]
    NotHex,
    #[error("text is no day count")]
    NotADate,
    #[error("text is no time of day")]
    NotATime,
    #[error("time of day is out of range")]
    TimeOutOfRange,
    #[error("text is no timestamp")]
    NotATimestamp,
    #[error("timestamp has no valid offset")]
    BadOffset,
    #[error("text is no json")]
    NotJson,
    #[error("json holds NaN or an infinity")]
    JsonNotFinite,
    #[error("json nests too deeply")]
    JsonTooDeep,
}

impl From<DecodeErrorKind> for DecodeError {
    fn from(kind: DecodeErrorKind) -> Self {
        Self { kind }
    }
}

impl Classify for DecodeError {
    fn disposition(&self) -> Disposition {
        Disposition::Fatal
    }

    fn class(&self) -> String {
        "decode".to_owned()
    }
}

/// Decodes the cells of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    source_type: SourceType,
}

impl Decoder {
    #[must_use]
    pub const fn new(source_type: SourceType) -> Self {
        Self { source_type }
    }

    #[must_use]
    pub const fn source_type(&self) -> SourceType {
        self.source_type
    }

    /// Decodes one cell; `None` is SQL NULL.
    ///
    /// # Errors
    /// Text that is not of the column's type.
    pub fn decode<'a>(&self, cell: Option<&'a str>) -> Result<Value<'a>, DecodeError> {
        let Some(text) = cell else { return Ok(Value::Null) };
        Ok(match self.source_type {
            SourceType::Number { .. } => {
                let (unscaled, scale) = number::fixed(text)?;
                Value::Number { unscaled, scale }
            }
            SourceType::Float => Value::Float(number::real(text)?),
            SourceType::DecFloat => Value::Decimal(number::decfloat(text)?),
            SourceType::Boolean => Value::Bool(text::boolean(text)?),
            SourceType::Text { .. } | SourceType::Uuid => Value::Text(text),
            SourceType::Binary => Value::Bytes(binary::hex(text)?),
            SourceType::Date => Value::Date(temporal::date(text)?),
            SourceType::Time { .. } => Value::Time(temporal::time(text)?),
            SourceType::TimestampNtz { .. } => Value::TimestampNtz(temporal::timestamp(text)?),
            SourceType::TimestampLtz { .. } => Value::TimestampLtz(temporal::timestamp(text)?),
            SourceType::TimestampTz { .. } => {
                let (ns, offset_minutes) = temporal::timestamp_tz(text)?;
                Value::TimestampTz { ns, offset_minutes }
            }
            SourceType::Variant
            | SourceType::Object
            | SourceType::Array
            | SourceType::Geography
            | SourceType::Geometry
            | SourceType::Vector => Value::Json(semi_structured::minify(text)?),
        })
    }
}
