//! The table of docs/types.md: what becomes of each type of the source in each type of the target, as
//! [`pair_is_loadable`] says it. The document is written from here (`cargo run -p thaw-worker --example type_matrix`),
//! and a test holds every cell of it against a real server.

use std::fmt::Write as _;

use thaw_model::target_type::{NumericModifier, TextKind};
use thaw_model::{SourceType, TargetType};

use super::pair::{Loss, pair_is_loadable, pair_needs_zone};

/// The source types of the table; of those with digits, each kind that is treated in its own way.
#[must_use]
pub fn sources() -> Vec<SourceType> {
    use SourceType as S;
    let number = |precision, scale| S::Number { precision, scale };
    vec![
        number(4, 0),
        number(9, 0),
        number(18, 0),
        number(38, 0),
        number(12, 2),
        number(38, 37),
        S::Float,
        S::DecFloat,
        S::Boolean,
        S::Text { length: None },
        S::Text { length: Some(20) },
        S::Binary,
        S::Date,
        S::Time { scale: 9 },
        S::TimestampNtz { scale: 9 },
        S::TimestampNtz { scale: 3 },
        S::TimestampLtz { scale: 9 },
        S::TimestampTz { scale: 9 },
        S::Variant,
        S::Object,
        S::Array,
        S::Geography,
        S::Geometry,
        S::Vector,
        S::Uuid,
    ]
}

/// The target types of the table. The enum has the labels of the example.
#[must_use]
pub fn targets() -> Vec<TargetType> {
    use TargetType as T;
    let numeric = |precision, scale| T::Numeric { modifier: Some(NumericModifier { precision, scale }) };
    let text = |kind, max_chars| T::Text { kind, max_chars };
    let array = |element| T::Array { element: Box::new(element) };
    vec![
        T::Int2,
        T::Int4,
        T::Int8,
        T::Numeric { modifier: None },
        numeric(38, 0),
        numeric(12, 2),
        numeric(3, -2),
        T::Float4,
        T::Float8,
        T::Bool,
        text(TextKind::Text, None),
        text(TextKind::Varchar, None),
        text(TextKind::Varchar, Some(20)),
        text(TextKind::Char, Some(20)),
        text(TextKind::Citext, None),
        text(TextKind::Xml, None),
        T::Enum { labels: vec!["sad".to_owned(), "it's ok".to_owned()] },
        T::Bytea,
        T::Date,
        T::Time { precision: 6 },
        T::Time { precision: 0 },
        T::Timestamp { precision: 6 },
        T::Timestamp { precision: 3 },
        T::Timestamptz { precision: 6 },
        T::Json,
        T::Jsonb,
        T::Uuid,
        array(T::Int4),
        array(T::Int8),
        array(numeric(12, 2)),
        array(T::Float4),
        array(T::Float8),
        array(T::Bool),
        array(text(TextKind::Text, None)),
        array(T::Date),
        array(T::Uuid),
        array(T::Jsonb),
    ]
}

/// The table, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "| source | every value arrives as it is | floored to the column's digits | a value that does not fit is a bad \
         row |\n|---|---|---|---|\n",
    );
    for source in sources() {
        let list = |wanted: Loss| {
            let names: Vec<String> = targets()
                .iter()
                .filter(|target| pair_is_loadable(source, target) == Ok(wanted))
                .map(|target| {
                    let zone = if pair_needs_zone(source, target) { " (z)" } else { "" };
                    format!("{target}{zone}")
                })
                .collect();
            names.join(", ")
        };
        let (same, floored, some) = (list(Loss::None), list(Loss::Precision), list(Loss::SomeValues));
        // Writing into a String cannot fail.
        writeln!(out, "| {source} | {same} | {floored} | {some} |").ok();
    }
    out
}
