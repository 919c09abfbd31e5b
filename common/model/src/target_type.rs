//! The types of PostgreSQL columns that rows can be loaded into, as the binary COPY encoder sees them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a target column after domains are resolved to their base type. Lengths are in characters,
/// precisions of temporal types in digits of a second (0 to 6; PostgreSQL keeps microseconds).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TargetType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// `None`: unconstrained numeric.
    Numeric {
        modifier: Option<NumericModifier>,
    },
    /// text, varchar(n), char(n), citext and xml: whatever receives its text in binary COPY and takes any.
    Text {
        kind: TextKind,
        max_chars: Option<u32>,
    },
    Bytea,
    Date,
    Time {
        precision: u8,
    },
    Timestamp {
        precision: u8,
    },
    Timestamptz {
        precision: u8,
    },
    Json,
    Jsonb,
    Uuid,
    /// One of these, in the type's order, as they were at planning.
    Enum {
        labels: Vec<String>,
    },
    /// One dimension of a built-in type.
    Array {
        element: Box<TargetType>,
    },
}

/// `numeric(precision, scale)`. The scale may be negative or exceed the precision (PostgreSQL 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NumericModifier {
    pub precision: u16,
    pub scale: i16,
}

/// Which text-like type it is; they share one encoding but not one set of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextKind {
    Text,
    Varchar,
    Char,
    Citext,
    Xml,
}

impl TargetType {
    /// Types without an equality operator, compared as text where rows are compared.
    #[must_use]
    pub fn is_compared_as_text(&self) -> bool {
        matches!(self, Self::Json | Self::Text { kind: TextKind::Xml, .. })
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("boolean"),
            Self::Int2 => f.write_str("smallint"),
            Self::Int4 => f.write_str("integer"),
            Self::Int8 => f.write_str("bigint"),
            Self::Float4 => f.write_str("real"),
            Self::Float8 => f.write_str("double precision"),
            Self::Numeric { modifier: None } => f.write_str("numeric"),
            Self::Numeric { modifier: Some(m) } => write!(f, "numeric({},{})", m.precision, m.scale),
            Self::Text { kind, max_chars } => {
                let name = match kind {
                    TextKind::Text => "text",
                    TextKind::Varchar => "varchar",
                    TextKind::Char => "char",
                    TextKind::Citext => "citext",
                    TextKind::Xml => "xml",
                };
                match max_chars {
                    Some(length) => write!(f, "{name}({length})"),
                    None => f.write_str(name),
                }
            }
            Self::Bytea => f.write_str("bytea"),
            Self::Date => f.write_str("date"),
            Self::Time { precision } => write!(f, "time({precision})"),
            Self::Timestamp { precision } => write!(f, "timestamp({precision})"),
            Self::Timestamptz { precision } => write!(f, "timestamptz({precision})"),
            Self::Json => f.write_str("json"),
            Self::Jsonb => f.write_str("jsonb"),
            Self::Uuid => f.write_str("uuid"),
            Self::Enum { .. } => f.write_str("enum"),
            Self::Array { element } => write!(f, "{element}[]"),
        }
    }
}
