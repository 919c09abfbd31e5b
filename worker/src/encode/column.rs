//! One column: decodes a cell by its source type and encodes it to its target type.

use std::collections::HashSet;

use thaw_model::plan::{NulInText, PlannedColumn};
use thaw_model::target_type::TextKind;
use thaw_model::{PgIdent, SourceType, TargetType};
use thaw_postgres::copy::BinaryWriter;
use thaw_snowflake::{Decoder, Value};

use super::bad_value::{BadValue, EncodeError};
use super::decimal::Decimal;
use super::pair::{pair_is_loadable, pair_needs_zone};
use super::zone::Zone;
use super::{array, calendar, json, number, temporal, text};

/// What a column is to the arbiter. Where rows are told apart by it, a key that the target would change could take the
/// place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    No,
    /// The index holds NULLs for equal.
    NullsEqual,
    /// The index holds NULLs distinct: NULL never conflicts, so every run would insert it again.
    Strict,
}

/// What is chosen once for all cells of a column.
pub(super) struct Column {
    pub(super) name: PgIdent,
    pub(super) source: SourceType,
    pub(super) target: TargetType,
    pub(super) lossy: bool,
    pub(super) nul_in_text: NulInText,
    pub(super) nullable: bool,
    pub(super) key: Key,
    /// The plan's, where the pair mixes wall clocks and instants.
    pub(super) zone: Option<Zone>,
    /// Of an enum; empty for other types.
    pub(super) labels: HashSet<String>,
    /// What the elements of an array are encoded by.
    pub(super) element: Option<Box<Column>>,
    decoder: Decoder,
}

impl Column {
    /// Refuses pairs without an encoding, and zones that are not implemented.
    pub(super) fn new(
        planned: &PlannedColumn,
        timezone: &str,
        nul_in_text: NulInText,
        key: Key,
    ) -> Result<Self, EncodeError> {
        let refused = |reason| EncodeError::Plan { column: planned.target.clone(), reason };
        pair_is_loadable(planned.source_type, &planned.target_type).map_err(|error| refused(error.reason))?;
        let zone = if pair_needs_zone(planned.source_type, &planned.target_type) {
            Some(Zone::named(timezone).ok_or_else(|| refused("the plan's time zone is not known"))?)
        } else {
            None
        };
        let labels = match &planned.target_type {
            TargetType::Enum { labels } => labels.iter().cloned().collect(),
            _ => HashSet::new(),
        };
        let element = match &planned.target_type {
            TargetType::Array { element } => {
                let element = PlannedColumn {
                    source_type: SourceType::Text { length: None },
                    target_type: (**element).clone(),
                    nullable: true,
                    ..planned.clone()
                };
                Some(Box::new(Self::new(&element, timezone, nul_in_text, Key::No)?))
            }
            _ => None,
        };
        Ok(Self {
            labels,
            element,
            name: planned.target.clone(),
            source: planned.source_type,
            target: planned.target_type.clone(),
            lossy: planned.lossy,
            nul_in_text,
            nullable: planned.nullable,
            key,
            zone,
            decoder: Decoder::new(planned.source_type),
        })
    }

    /// Writes one field. After an error the field may be half written: the caller truncates. `scratch` is a buffer
    /// for text this program makes.
    pub(super) fn encode(
        &self,
        writer: &mut BinaryWriter,
        scratch: &mut String,
        cell: Option<&str>,
    ) -> Result<(), BadValue> {
        let value = self.decoder.decode(cell)?;
        if matches!(value, Value::Null) {
            return self.null(writer);
        }
        if let TargetType::Text { kind, max_chars } = self.target {
            return self.encode_text(writer, scratch, value, (kind, max_chars));
        }
        let target = &self.target;
        match value {
            // Handled above.
            Value::Null => self.null(writer),
            Value::Number { unscaled, scale: 0 }
                if matches!(target, TargetType::Int8 | TargetType::Int4 | TargetType::Int2) =>
            {
                number::integer(writer, target, unscaled)
            }
            Value::Number { unscaled, scale } => {
                number::decimal(writer, target, Decimal::new(unscaled, scale), self.lossy)
            }
            Value::Decimal(text) => number::decimal(writer, target, Decimal::parse(text)?, self.lossy),
            Value::Float(value) => number::float(writer, target, value, self.lossy),
            Value::Bool(value) => match target {
                TargetType::Bool => {
                    writer.bool(value);
                    Ok(())
                }
                _ => number::integer(writer, target, i128::from(value)),
            },
            Value::Text(text) => text::encode(writer, self, text),
            Value::Bytes(bytes) => match target {
                TargetType::Bytea => Ok(writer.bytes(&bytes)?),
                _ => Err(BadValue::Mismatch),
            },
            Value::Date(days) => temporal::date(writer, self, days),
            Value::Time(nanos) => match target {
                TargetType::Time { precision } => {
                    self.keeps_digits(i128::from(nanos), *precision)?;
                    temporal::time(writer, nanos, *precision)
                }
                _ => Err(BadValue::Mismatch),
            },
            Value::TimestampNtz(wall) => temporal::wall_clock(writer, self, wall),
            Value::TimestampLtz(ns) | Value::TimestampTz { ns, .. } => temporal::instant(writer, self, ns),
            Value::Json(document) => match target {
                TargetType::Json => Ok(writer.bytes(document.as_bytes())?),
                TargetType::Jsonb => Ok(writer.jsonb(&json::for_jsonb(&document, self.nul_in_text)?)?),
                TargetType::Array { .. } => array::encode(writer, self, &document),
                _ => Err(BadValue::Mismatch),
            },
        }
    }

    fn null(&self, writer: &mut BinaryWriter) -> Result<(), BadValue> {
        if self.key == Key::Strict {
            return Err(BadValue::NullKey);
        }
        if !self.nullable {
            return Err(BadValue::Null);
        }
        writer.null();
        Ok(())
    }

    fn encode_text(
        &self,
        writer: &mut BinaryWriter,
        scratch: &mut String,
        value: Value<'_>,
        (kind, max_chars): (TextKind, Option<u32>),
    ) -> Result<(), BadValue> {
        if let Value::Text(text) = value {
            return text::encode(writer, self, text);
        }
        scratch.clear();
        let out_of_range = || BadValue::NumberOutOfRange;
        match value {
            Value::Null => return self.null(writer),
            Value::Text(text) | Value::Decimal(text) => scratch.push_str(text),
            Value::Json(document) => scratch.push_str(&document),
            Value::Number { unscaled, scale } => Decimal::new(unscaled, scale).write_plain(scratch),
            Value::Float(value) => number::write_float_text(scratch, value),
            Value::Bool(value) => scratch.push_str(if value { "true" } else { "false" }),
            Value::Bytes(bytes) => write_hex(scratch, &bytes),
            Value::Date(days) => calendar::write_date(scratch, days).ok_or_else(out_of_range)?,
            Value::Time(nanos) => {
                let digits = if let SourceType::Time { scale } = self.source { scale } else { 9 };
                calendar::write_time(scratch, nanos, digits).ok_or_else(out_of_range)?;
            }
            Value::TimestampNtz(ns) => temporal::write_text(scratch, self.source, ns, None)?,
            Value::TimestampLtz(ns) => temporal::write_text(scratch, self.source, ns, Some(0))?,
            Value::TimestampTz { ns, offset_minutes } => {
                temporal::write_text(scratch, self.source, ns, Some(offset_minutes))?;
            }
        }
        text::write(writer, kind, max_chars, scratch)
    }

    /// Whether flooring to the column's precision would take digits from a key.
    pub(super) fn keeps_digits(&self, nanos: i128, precision: u8) -> Result<(), BadValue> {
        if self.key == Key::No || nanos.rem_euclid(i128::from(temporal::unit(precision))) == 0 {
            return Ok(());
        }
        Err(BadValue::KeyWouldChange)
    }
}

/// Upper-case digits, as Snowflake shows binary data.
fn write_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(DIGITS[usize::from(nibble)]);
        }
    }
}
