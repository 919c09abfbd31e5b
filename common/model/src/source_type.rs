//! The types of Snowflake columns, as a result's `rowType` names them.
//!
//! Source: docs.snowflake.com/en/developer-guide/sql-api/handling-responses (type names, compared without case)
//! and docs.snowflake.com/en/sql-reference/intro-summary-data-types.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a source column. Scales are decimal digits; a timestamp's scale is 0 (seconds) to 9 (nanoseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SourceType {
    /// NUMBER(precision, scale); every integer alias is NUMBER(38, 0).
    Number {
        precision: u8,
        scale: u8,
    },
    Float,
    DecFloat,
    Boolean,
    /// VARCHAR and its aliases; `length` in characters where known.
    Text {
        length: Option<u32>,
    },
    Binary,
    Date,
    Time {
        scale: u8,
    },
    TimestampNtz {
        scale: u8,
    },
    TimestampLtz {
        scale: u8,
    },
    TimestampTz {
        scale: u8,
    },
    Variant,
    Object,
    Array,
    Geography,
    Geometry,
    Vector,
    Uuid,
}

impl SourceType {
    /// Reads a `rowType` entry (SQL API) or the parts of one.
    ///
    /// Returns `None` for a type this program cannot read (FILE, INTERVAL, PERIOD and what comes later).
    #[must_use]
    pub fn from_row_type(
        name: &str,
        precision: Option<u32>,
        scale: Option<u32>,
        length: Option<u32>,
    ) -> Option<Self> {
        let small =
            |value: Option<u32>, default: u8| value.and_then(|v| u8::try_from(v).ok()).unwrap_or(default);
        Some(match name.to_ascii_lowercase().as_str() {
            "fixed" | "number" => Self::Number { precision: small(precision, 38), scale: small(scale, 0) },
            "real" | "float" => Self::Float,
            "decfloat" => Self::DecFloat,
            "boolean" => Self::Boolean,
            "text" | "varchar" | "char" | "string" => Self::Text { length },
            "binary" => Self::Binary,
            "date" => Self::Date,
            "time" => Self::Time { scale: small(scale, 9) },
            "timestamp_ntz" => Self::TimestampNtz { scale: small(scale, 9) },
            "timestamp_ltz" => Self::TimestampLtz { scale: small(scale, 9) },
            "timestamp_tz" => Self::TimestampTz { scale: small(scale, 9) },
            "variant" => Self::Variant,
            "object" | "map" => Self::Object,
            "array" => Self::Array,
            "geography" => Self::Geography,
            "geometry" => Self::Geometry,
            "vector" => Self::Vector,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    /// An integer type: NUMBER with scale 0.
    #[must_use]
    pub fn is_integer(self) -> bool {
        matches!(self, Self::Number { scale: 0, .. })
    }

    /// Whether its values can be compared, so that they have a greatest one and can stand in ORDER BY
    /// (docs.snowflake.com/en/sql-reference/data-types-semistructured and data-types-geospatial say which cannot).
    #[must_use]
    pub fn is_ordered(self) -> bool {
        match self {
            Self::Number { .. }
            | Self::Float
            | Self::DecFloat
            | Self::Boolean
            | Self::Text { .. }
            | Self::Binary
            | Self::Date
            | Self::Time { .. }
            | Self::TimestampNtz { .. }
            | Self::TimestampLtz { .. }
            | Self::TimestampTz { .. }
            | Self::Uuid => true,
            Self::Variant | Self::Object | Self::Array | Self::Geography | Self::Geometry | Self::Vector => {
                false
            }
        }
    }
}

impl fmt::Display for SourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number { precision, scale } => write!(f, "NUMBER({precision},{scale})"),
            Self::Float => f.write_str("FLOAT"),
            Self::DecFloat => f.write_str("DECFLOAT"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::Text { length: Some(length) } => write!(f, "VARCHAR({length})"),
            Self::Text { length: None } => f.write_str("VARCHAR"),
            Self::Binary => f.write_str("BINARY"),
            Self::Date => f.write_str("DATE"),
            Self::Time { scale } => write!(f, "TIME({scale})"),
            Self::TimestampNtz { scale } => write!(f, "TIMESTAMP_NTZ({scale})"),
            Self::TimestampLtz { scale } => write!(f, "TIMESTAMP_LTZ({scale})"),
            Self::TimestampTz { scale } => write!(f, "TIMESTAMP_TZ({scale})"),
            Self::Variant => f.write_str("VARIANT"),
            Self::Object => f.write_str("OBJECT"),
            Self::Array => f.write_str("ARRAY"),
            Self::Geography => f.write_str("GEOGRAPHY"),
            Self::Geometry => f.write_str("GEOMETRY"),
            Self::Vector => f.write_str("VECTOR"),
            Self::Uuid => f.write_str("UUID"),
        }
    }
}
