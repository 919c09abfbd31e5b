//! Snowflake's types: how they are written, described in a result, and held by PostgreSQL.
//!
//! Sources: docs.snowflake.com/en/sql-reference/intro-summary-data-types; lengths of the 2025_07 bundle's
//! predecessor (VARCHAR 16777216, BINARY 8388608), which most accounts still show.

use std::fmt;

use sqlparser::ast::{CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};

use crate::error::SqlError;

/// The length of a VARCHAR that names none.
pub(crate) const VARCHAR_MAX: u64 = 16_777_216;
/// The length of a BINARY that names none.
pub(crate) const BINARY_MAX: u64 = 8_388_608;

/// A Snowflake type. Scales of times are fraction digits, 0 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlType {
    /// The type of a bare NULL; described as text.
    Null,
    Number {
        precision: u32,
        scale: u32,
    },
    Float,
    Boolean,
    Text {
        length: u64,
    },
    Binary {
        length: u64,
    },
    Date,
    Time {
        scale: u32,
    },
    TimestampNtz {
        scale: u32,
    },
    TimestampLtz {
        scale: u32,
    },
    TimestampTz {
        scale: u32,
    },
    Variant,
    Object,
    Array,
}

impl SqlType {
    pub(crate) const TEXT: Self = Self::Text { length: VARCHAR_MAX };

    pub(crate) fn number(precision: u32, scale: u32) -> Self {
        Self::Number { precision: precision.clamp(1, 38), scale: scale.min(37) }
    }

    pub(crate) fn is_text(self) -> bool {
        matches!(self, Self::Text { .. })
    }

    pub(crate) fn is_timestamp(self) -> bool {
        matches!(self, Self::TimestampNtz { .. } | Self::TimestampLtz { .. } | Self::TimestampTz { .. })
    }

    pub(crate) fn is_semi_structured(self) -> bool {
        matches!(self, Self::Variant | Self::Object | Self::Array)
    }

    /// How PostgreSQL holds a column of this type.
    ///
    /// TIMESTAMP_NTZ and LTZ are epoch seconds, TIMESTAMP_TZ is the pair (UTC seconds, offset in minutes), TIME
    /// is seconds since midnight, DATE is days since 1970-01-01: years below 1 and nanoseconds fit.
    pub(crate) fn storage(self) -> String {
        match self {
            Self::Null | Self::Text { .. } | Self::Variant | Self::Object | Self::Array => {
                "text collate \"C\"".to_owned()
            }
            Self::Number { precision, scale } => format!("numeric({precision},{scale})"),
            Self::Float => "float8".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Binary { .. } => "bytea".to_owned(),
            Self::Date => "int4".to_owned(),
            Self::Time { .. } => "numeric(14,9)".to_owned(),
            Self::TimestampNtz { .. } | Self::TimestampLtz { .. } => "numeric(38,9)".to_owned(),
            Self::TimestampTz { .. } => "numeric(38,9)[]".to_owned(),
        }
    }

    pub(crate) fn row_type_name(self) -> &'static str {
        match self {
            Self::Null | Self::Text { .. } => "text",
            Self::Number { .. } => "fixed",
            Self::Float => "real",
            Self::Boolean => "boolean",
            Self::Binary { .. } => "binary",
            Self::Date => "date",
            Self::Time { .. } => "time",
            Self::TimestampNtz { .. } => "timestamp_ntz",
            Self::TimestampLtz { .. } => "timestamp_ltz",
            Self::TimestampTz { .. } => "timestamp_tz",
            Self::Variant => "variant",
            Self::Object => "object",
            Self::Array => "array",
        }
    }

    pub(crate) fn row_type_precision(self) -> Option<u32> {
        match self {
            Self::Number { precision, .. } => Some(precision),
            Self::Time { .. }
            | Self::TimestampNtz { .. }
            | Self::TimestampLtz { .. }
            | Self::TimestampTz { .. } => Some(0),
            _ => None,
        }
    }

    pub(crate) fn row_type_scale(self) -> Option<u32> {
        match self {
            Self::Number { scale, .. }
            | Self::Time { scale }
            | Self::TimestampNtz { scale }
            | Self::TimestampLtz { scale }
            | Self::TimestampTz { scale } => Some(scale),
            _ => None,
        }
    }

    pub(crate) fn row_type_length(self) -> Option<u64> {
        match self {
            Self::Null => Some(VARCHAR_MAX),
            Self::Text { length } | Self::Binary { length } => Some(length),
            _ => None,
        }
    }

    pub(crate) fn row_type_byte_length(self) -> Option<u64> {
        match self {
            Self::Null => Some(VARCHAR_MAX),
            Self::Text { length } => Some((length * 4).min(VARCHAR_MAX)),
            Self::Binary { length } => Some(length),
            _ => None,
        }
    }

    /// The value of INFORMATION_SCHEMA.COLUMNS.DATA_TYPE.
    pub(crate) fn information_schema_name(self) -> &'static str {
        match self {
            Self::Null | Self::Text { .. } => "TEXT",
            Self::Number { .. } => "NUMBER",
            Self::Float => "FLOAT",
            Self::Boolean => "BOOLEAN",
            Self::Binary { .. } => "BINARY",
            Self::Date => "DATE",
            Self::Time { .. } => "TIME",
            Self::TimestampNtz { .. } => "TIMESTAMP_NTZ",
            Self::TimestampLtz { .. } => "TIMESTAMP_LTZ",
            Self::TimestampTz { .. } => "TIMESTAMP_TZ",
            Self::Variant => "VARIANT",
            Self::Object => "OBJECT",
            Self::Array => "ARRAY",
        }
    }

    /// Reads a type as DDL and casts write it, with every alias Snowflake documents.
    pub(crate) fn from_ast(data_type: &DataType) -> Result<Self, SqlError> {
        Ok(match data_type {
            DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => exact_number(*info)?,
            DataType::TinyInt(None)
            | DataType::SmallInt(None)
            | DataType::Int(None)
            | DataType::Integer(None)
            | DataType::BigInt(None) => Self::number(38, 0),
            DataType::Float(ExactNumberInfo::None)
            | DataType::Float4
            | DataType::Float8
            | DataType::Real
            | DataType::Double(ExactNumberInfo::None)
            | DataType::DoublePrecision => Self::Float,
            DataType::Bool | DataType::Boolean => Self::Boolean,
            DataType::Char(length) | DataType::Character(length) => {
                Self::Text { length: character_length(length.as_ref(), 1)? }
            }
            DataType::Varchar(length)
            | DataType::CharVarying(length)
            | DataType::CharacterVarying(length)
            | DataType::Nvarchar(length) => {
                Self::Text { length: character_length(length.as_ref(), VARCHAR_MAX)? }
            }
            DataType::Text => Self::TEXT,
            DataType::String(length) => Self::Text { length: length.unwrap_or(VARCHAR_MAX) },
            DataType::Binary(length) => Self::Binary { length: length.unwrap_or(BINARY_MAX) },
            DataType::Varbinary(None) => Self::Binary { length: BINARY_MAX },
            DataType::Varbinary(Some(sqlparser::ast::BinaryLength::IntegerLength { length })) => {
                Self::Binary { length: *length }
            }
            DataType::Date => Self::Date,
            DataType::Time(scale, TimezoneInfo::None) => Self::Time { scale: fraction(*scale)? },
            DataType::Datetime(scale)
            | DataType::TimestampNtz(scale)
            | DataType::Timestamp(scale, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
                Self::TimestampNtz { scale: fraction(*scale)? }
            }
            DataType::Timestamp(scale, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
                Self::TimestampTz { scale: fraction(*scale)? }
            }
            DataType::Array(sqlparser::ast::ArrayElemTypeDef::None) => Self::Array,
            DataType::Custom(name, arguments) => custom(&name.to_string(), arguments)?,
            other => return Err(SqlError::unsupported(format!("data type {other}"))),
        })
    }

    /// Reads what [`fmt::Display`] wrote: the form the catalogue keeps.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, arguments) = match text.split_once('(') {
            None => (text, Vec::new()),
            Some((name, rest)) => {
                let list: Result<Vec<u64>, _> =
                    rest.trim_end_matches(')').split(',').map(|part| part.trim().parse()).collect();
                (name, list.ok()?)
            }
        };
        let small = |index: usize| arguments.get(index).and_then(|value| u32::try_from(*value).ok());
        Some(match name {
            "NUMBER" => Self::number(small(0)?, small(1)?),
            "FLOAT" => Self::Float,
            "BOOLEAN" => Self::Boolean,
            "VARCHAR" => Self::Text { length: *arguments.first()? },
            "BINARY" => Self::Binary { length: *arguments.first()? },
            "DATE" => Self::Date,
            "TIME" => Self::Time { scale: small(0)? },
            "TIMESTAMP_NTZ" => Self::TimestampNtz { scale: small(0)? },
            "TIMESTAMP_LTZ" => Self::TimestampLtz { scale: small(0)? },
            "TIMESTAMP_TZ" => Self::TimestampTz { scale: small(0)? },
            "VARIANT" => Self::Variant,
            "OBJECT" => Self::Object,
            "ARRAY" => Self::Array,
            _ => return None,
        })
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => write!(f, "VARCHAR({VARCHAR_MAX})"),
            Self::Number { precision, scale } => write!(f, "NUMBER({precision},{scale})"),
            Self::Text { length } => write!(f, "VARCHAR({length})"),
            Self::Binary { length } => write!(f, "BINARY({length})"),
            Self::Time { scale } => write!(f, "TIME({scale})"),
            Self::TimestampNtz { scale } => write!(f, "TIMESTAMP_NTZ({scale})"),
            Self::TimestampLtz { scale } => write!(f, "TIMESTAMP_LTZ({scale})"),
            Self::TimestampTz { scale } => write!(f, "TIMESTAMP_TZ({scale})"),
            plain => f.write_str(plain.information_schema_name()),
        }
    }
}

fn exact_number(info: ExactNumberInfo) -> Result<SqlType, SqlError> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => (38, 0),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    match (u32::try_from(precision), u32::try_from(scale)) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale <= precision && scale <= 37 => {
            Ok(SqlType::Number { precision, scale })
        }
        _ => Err(SqlError::syntax(&format!("invalid precision or scale: ({precision},{scale})"))),
    }
}

fn fraction(scale: Option<u64>) -> Result<u32, SqlError> {
    match scale.map(u32::try_from) {
        None => Ok(9),
        Some(Ok(scale @ 0..=9)) => Ok(scale),
        Some(_) => Err(SqlError::syntax("the scale of a time or timestamp is between 0 and 9")),
    }
}

fn character_length(length: Option<&CharacterLength>, default: u64) -> Result<u64, SqlError> {
    match length {
        None => Ok(default),
        Some(CharacterLength::IntegerLength { length, unit: None }) if (1..=134_217_728).contains(length) => {
            Ok(*length)
        }
        Some(other) => Err(SqlError::syntax(&format!("invalid length of VARCHAR: {other}"))),
    }
}

fn custom(name: &str, arguments: &[String]) -> Result<SqlType, SqlError> {
    let upper = name.to_ascii_uppercase();
    let numbers: Vec<u64> = arguments.iter().filter_map(|text| text.trim().parse().ok()).collect();
    if numbers.len() != arguments.len() {
        return Err(SqlError::unsupported(format!("data type {name}")));
    }
    let scale = || fraction(numbers.first().copied());
    Ok(match upper.as_str() {
        "NUMBER" => exact_number(match numbers.as_slice() {
            [] => ExactNumberInfo::None,
            [precision] => ExactNumberInfo::Precision(*precision),
            [precision, scale, ..] => {
                ExactNumberInfo::PrecisionAndScale(*precision, i64::try_from(*scale).unwrap_or(99))
            }
        })?,
        "BYTEINT" => SqlType::number(38, 0),
        "NCHAR" => SqlType::Text { length: numbers.first().copied().unwrap_or(1) },
        "NVARCHAR2" => SqlType::Text { length: numbers.first().copied().unwrap_or(VARCHAR_MAX) },
        "TIMESTAMP_NTZ" | "TIMESTAMPNTZ" => SqlType::TimestampNtz { scale: scale()? },
        "TIMESTAMP_LTZ" | "TIMESTAMPLTZ" => SqlType::TimestampLtz { scale: scale()? },
        "TIMESTAMP_TZ" | "TIMESTAMPTZ" => SqlType::TimestampTz { scale: scale()? },
        "VARIANT" => SqlType::Variant,
        "OBJECT" => SqlType::Object,
        "ARRAY" => SqlType::Array,
        _ => return Err(SqlError::unsupported(format!("data type {name}"))),
    })
}
