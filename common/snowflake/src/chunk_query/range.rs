//! A range as SQL: what the WHERE of a chunk says of the chunking column, and the page of an ordered set.

use thaw_model::ident::sf_literal;
use thaw_model::plan::{ChunkingColumn, ChunkingPlan};
use thaw_model::range::{DatePart, NumericPart, Page, TextValue, ValuePart, next_day};
use thaw_model::{ChunkRange, SfIdent, SourceType, TablePlan};

use super::ChunkQueryError;

/// The digits behind the point that a number in text is compared with. Ids have none; a text with more is rounded to the
/// nearest number, for the count as for the chunk, so that each still lies in one range.
const NUMBER_IN_TEXT: &str = "38, 0";

/// The expression whose values numeric ranges and value lists speak of: the bare column, so that micro-partitions prune,
/// but for what cannot be compared with a literal as it is.
#[must_use]
pub fn compared(column: &ChunkingColumn) -> String {
    let name = column.name.quoted();
    match column.source_type {
        _ if column.as_number => format!("try_to_number({name}, {NUMBER_IN_TEXT})"),
        SourceType::Boolean | SourceType::Uuid => format!("{name}::varchar"),
        _ => name,
    }
}

/// The day a value of the column lies in, in the session's time zone where it is an instant; `None` for a type without
/// days.
#[must_use]
pub fn day_of(column: &ChunkingColumn) -> Option<String> {
    let name = column.name.quoted();
    match column.source_type {
        SourceType::Date => Some(name),
        SourceType::TimestampNtz { .. } | SourceType::TimestampLtz { .. } => Some(format!("{name}::date")),
        // A TIMESTAMP_TZ alone would be cast by its own offset
        // (docs.snowflake.com/en/sql-reference/data-types-datetime).
        SourceType::TimestampTz { .. } => Some(format!("{name}::timestamp_ltz(9)::date")),
        _ => None,
    }
}

/// What the range says of the chunking column; `None`: nothing.
pub(super) fn predicate(plan: &TablePlan, range: &ChunkRange) -> Result<Option<String>, ChunkQueryError> {
    match range {
        ChunkRange::SingleChunk {} | ChunkRange::OffsetBased { .. } => Ok(None),
        ChunkRange::ResultPartitions { .. } => Err(ChunkQueryError::ReadByHandle),
        ChunkRange::NumericRange { column, part } => numeric(plan, column, part).map(Some),
        ChunkRange::GroupedValues { part } => grouped(chunking_column(plan)?, part).map(Some),
        ChunkRange::DateRange { part: DatePart::Nulls {} } => {
            Ok(Some(format!("{} is null", chunking_column(plan)?.name.quoted())))
        }
        ChunkRange::DateRange { part: DatePart::Between { low, high } } => {
            days(chunking_column(plan)?, low.as_deref(), high.as_deref()).map(Some)
        }
        ChunkRange::DateRangeOffset { date_value, .. } => {
            let next = next_day(date_value);
            // Days that four digits cannot name belong to the first and the last one that they can.
            let low = (date_value != FIRST_DAY).then_some(date_value.as_str());
            if next.is_none() && date_value != LAST_DAY {
                return Err(ChunkQueryError::BoundNotDay);
            }
            days(chunking_column(plan)?, low, next.as_deref()).map(Some)
        }
    }
}

const FIRST_DAY: &str = "0001-01-01";
const LAST_DAY: &str = "9999-12-31";

/// ORDER BY, LIMIT and OFFSET of a page; empty for a range that is none.
pub(super) fn page(plan: &TablePlan, range: &ChunkRange) -> Result<String, ChunkQueryError> {
    let (ChunkRange::DateRangeOffset { page, .. } | ChunkRange::OffsetBased { page }) = range else {
        return Ok(String::new());
    };
    let order = plan.chunking.as_ref().map(|chunking| order(plan, chunking)).unwrap_or_default();
    if order.is_empty() {
        return Err(ChunkQueryError::NoOrder);
    }
    let Page { offset, limit, .. } = page;
    Ok(format!("\norder by {}\nlimit {limit} offset {offset}", order.join(", ")))
}

fn order(plan: &TablePlan, chunking: &ChunkingPlan) -> Vec<String> {
    let sort_key = |name: &SfIdent| {
        let planned = plan.columns.iter().find(|column| &column.source == name);
        let quoted = name.quoted();
        match planned.map(|column| column.source_type) {
            // What has no order of its own is sorted by its text.
            Some(SourceType::Variant | SourceType::Object | SourceType::Array) => {
                format!("to_json({quoted})")
            }
            Some(SourceType::Vector) => format!("to_json({quoted}::array)"),
            Some(SourceType::Geography | SourceType::Geometry) => format!("st_asewkt({quoted})"),
            // Two instants that are equal may show different wall clocks.
            Some(SourceType::TimestampTz { .. }) => format!("{quoted}, {quoted}::timestamp_ntz(9)"),
            // docs.snowflake.com/en/sql-reference/functions/hex_encode: of the bytes, whatever the collation.
            _ if chunking.collated.contains(name) => format!("{quoted}, hex_encode({quoted})"),
            _ => quoted,
        }
    };
    chunking.order_by.iter().map(sort_key).collect()
}

fn chunking_column(plan: &TablePlan) -> Result<&ChunkingColumn, ChunkQueryError> {
    let column = plan.chunking.as_ref().and_then(|chunking| chunking.column.as_ref());
    column.ok_or(ChunkQueryError::NoChunkingColumn)
}

fn numeric(plan: &TablePlan, column: &SfIdent, part: &NumericPart) -> Result<String, ChunkQueryError> {
    let name = column.quoted();
    let as_number = chunking_column(plan).ok().filter(|known| known.as_number && &known.name == column);
    let value = as_number.map_or_else(|| name.clone(), compared);
    match part {
        NumericPart::Nulls {} => Ok(format!("{name} is null")),
        NumericPart::Unparsed {} if as_number.is_some() => {
            Ok(format!("{name} is not null and {value} is null"))
        }
        NumericPart::Unparsed {} => Err(ChunkQueryError::ChunkingType),
        NumericPart::Between { low, high } => {
            let low = low.as_deref().map(decimal).transpose()?;
            let high = high.as_deref().map(decimal).transpose()?;
            Ok(between(&value, low, high))
        }
    }
}

fn grouped(column: &ChunkingColumn, part: &ValuePart) -> Result<String, ChunkQueryError> {
    let value = compared(column);
    match part {
        ValuePart::Nulls {} => Ok(format!("{} is null", column.name.quoted())),
        ValuePart::In { values } => {
            let values: Vec<String> =
                values.iter().map(|value| literal(column, value)).collect::<Result<_, _>>()?;
            if values.is_empty() {
                return Err(ChunkQueryError::ValueType);
            }
            Ok(format!("{value} in ({})", values.join(", ")))
        }
        ValuePart::Between { low, high } => {
            let end = |end: &Option<TextValue>| end.as_ref().map(|end| literal(column, end)).transpose();
            Ok(between(&value, end(low)?.as_deref(), end(high)?.as_deref()))
        }
    }
}

/// A value as a literal that [`compared`] of the column can be compared with.
fn literal(column: &ChunkingColumn, value: &TextValue) -> Result<String, ChunkQueryError> {
    match column.source_type {
        SourceType::Text { .. } | SourceType::Uuid | SourceType::Boolean => Ok(sf_literal(value.as_str())),
        SourceType::Number { .. } => {
            decimal(value.as_str()).map(str::to_owned).map_err(|_| ChunkQueryError::ValueType)
        }
        _ => Err(ChunkQueryError::ChunkingType),
    }
}

fn days(column: &ChunkingColumn, low: Option<&str>, high: Option<&str>) -> Result<String, ChunkQueryError> {
    let literal = |day: &str| {
        if day != LAST_DAY && next_day(day).is_none() {
            return Err(ChunkQueryError::BoundNotDay);
        }
        // A midnight without an offset is that of the session's time zone.
        match column.source_type {
            SourceType::Date => Ok(format!("{}::date", sf_literal(day))),
            SourceType::TimestampNtz { .. } => Ok(format!("'{day} 00:00:00'::timestamp_ntz(9)")),
            SourceType::TimestampLtz { .. } => Ok(format!("'{day} 00:00:00'::timestamp_ltz(9)")),
            SourceType::TimestampTz { .. } => Ok(format!("'{day} 00:00:00'::timestamp_tz(9)")),
            _ => Err(ChunkQueryError::ChunkingType),
        }
    };
    let (low, high) = (low.map(literal).transpose()?, high.map(literal).transpose()?);
    Ok(between(&column.name.quoted(), low.as_deref(), high.as_deref()))
}

fn between(value: &str, low: Option<&str>, high: Option<&str>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!("{value} >= {low} and {value} < {high}"),
        (Some(low), None) => format!("{value} >= {low}"),
        (None, Some(high)) => format!("{value} < {high}"),
        // NULLs are in a chunk of their own.
        (None, None) => format!("{value} is not null"),
    }
}

/// `[-]digits[.digits]`, which may stand in SQL without quotes.
pub(super) fn decimal(text: &str) -> Result<&str, ChunkQueryError> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(whole) && digits(fraction) { Ok(text) } else { Err(ChunkQueryError::BoundNotDecimal) }
}
