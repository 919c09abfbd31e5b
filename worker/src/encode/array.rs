//! JSON arrays into PostgreSQL's arrays of one dimension. Each element goes the way a cell of its kind would go: a
//! number as an exact number, a text as text; JSON's null, and the NULL that Snowflake prints as `undefined`, are NULL.

use std::borrow::Cow;

use thaw_model::TargetType;
use thaw_model::target_type::TextKind;
use thaw_postgres::copy::BinaryWriter;
use thaw_snowflake::decode::semi_structured::elements;

use super::bad_value::BadValue;
use super::column::Column;
use super::decimal::Decimal;
use super::{json, number, text};

/// A valid, minified document into the column.
pub(super) fn encode(writer: &mut BinaryWriter, column: &Column, document: &str) -> Result<(), BadValue> {
    let Some(element_column) = &column.element else { return Err(BadValue::Mismatch) };
    let oid = element_oid(&element_column.target).ok_or(BadValue::Mismatch)?;
    let array = writer.begin_array(oid);
    let mut count = 0;
    for json in elements(document).ok_or(BadValue::NotAnArray)? {
        element(writer, element_column, json)?;
        count += 1;
    }
    Ok(writer.end_array(&array, count)?)
}

fn element(writer: &mut BinaryWriter, column: &Column, json: &str) -> Result<(), BadValue> {
    if json == "null" {
        writer.null();
        return Ok(());
    }
    if column.target == TargetType::Jsonb {
        return Ok(writer.jsonb(&json::for_jsonb(json, column.nul_in_text)?)?);
    }
    match json.as_bytes().first() {
        Some(b'"') => text::encode(writer, column, &unescaped(json)?),
        // A document, a number or a truth as its own text.
        _ if matches!(column.target, TargetType::Text { .. }) => text::encode(writer, column, json),
        Some(b'{' | b'[') => Err(BadValue::ElementMismatch),
        Some(b't' | b'f') if column.target == TargetType::Bool => {
            writer.bool(json == "true");
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') => {
            match number::decimal(writer, &column.target, Decimal::parse(json)?, column.lossy) {
                Err(BadValue::Mismatch) => Err(BadValue::ElementMismatch),
                done => done,
            }
        }
        _ => Err(BadValue::ElementMismatch),
    }
}

/// The text that a JSON string stands for.
fn unescaped(json: &str) -> Result<Cow<'_, str>, BadValue> {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).ok_or(BadValue::NotJson)?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).map(Cow::Owned).map_err(|_| BadValue::NotJson)
}

/// The built-in types' fixed numbers (PostgreSQL source: `pg_type.dat`).
fn element_oid(element: &TargetType) -> Option<u32> {
    Some(match element {
        TargetType::Bool => 16,
        TargetType::Int8 => 20,
        TargetType::Int2 => 21,
        TargetType::Int4 => 23,
        TargetType::Text { kind: TextKind::Text, .. } => 25,
        TargetType::Float4 => 700,
        TargetType::Float8 => 701,
        TargetType::Text { kind: TextKind::Char, .. } => 1042,
        TargetType::Text { kind: TextKind::Varchar, .. } => 1043,
        TargetType::Date => 1082,
        TargetType::Time { .. } => 1083,
        TargetType::Timestamp { .. } => 1114,
        TargetType::Timestamptz { .. } => 1184,
        TargetType::Numeric { .. } => 1700,
        TargetType::Uuid => 2950,
        TargetType::Jsonb => 3802,
        TargetType::Text { kind: TextKind::Citext | TextKind::Xml, .. }
        | TargetType::Bytea
        | TargetType::Json
        | TargetType::Enum { .. }
        | TargetType::Array { .. } => return None,
    })
}
