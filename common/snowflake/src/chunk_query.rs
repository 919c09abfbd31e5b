//! The SELECT of one chunk: the only place that renders it.
//!
//! Columns by name, the snapshot, the user's filter in parentheses, the watermark's bound, the range. Bounds are
//! the user's data: an error never shows one.

mod range;

pub use range::{compared, day_of};

use thaw_model::ident::sf_literal;
use thaw_model::plan::{SourcePlan, WatermarkBound};
use thaw_model::{ChunkRange, Classify, Disposition, SourceType, TablePlan};

/// Why a plan or a range gives no statement: it was damaged in the status tables or written by a faulty planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChunkQueryError {
    #[error("a bound of the range is no decimal number")]
    BoundNotDecimal,
    #[error("a bound of the range is no day")]
    BoundNotDay,
    #[error("a value of the range is none of the column's type")]
    ValueType,
    #[error("the plan names no column that the range could speak of")]
    NoChunkingColumn,
    #[error("a range of this strategy cannot speak of a column of this type")]
    ChunkingType,
    #[error("the plan has no order to cut pages in")]
    NoOrder,
    #[error("the watermark's bound is no literal of its type")]
    WatermarkBound,
    #[error("a column of this type cannot be a watermark")]
    WatermarkType,
    #[error("the plan has no columns")]
    NoColumns,
    #[error("partitions of a result are read by its handle, not by a statement")]
    ReadByHandle,
}

impl Classify for ChunkQueryError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::BoundNotDecimal | Self::BoundNotDay | Self::ValueType => Disposition::Fatal,
            Self::WatermarkBound
            | Self::WatermarkType
            | Self::NoColumns
            | Self::NoChunkingColumn
            | Self::ChunkingType
            | Self::NoOrder
            | Self::ReadByHandle => Disposition::HaltTable,
        }
    }

    fn class(&self) -> String {
        "chunk_query".to_owned()
    }
}

/// Renders the statement that reads `range` of the planned table.
///
/// # Errors
/// A bound that is not what its type says; it is not shown, for it is the user's data.
pub fn chunk_query(plan: &TablePlan, range: &ChunkRange) -> Result<String, ChunkQueryError> {
    if plan.columns.is_empty() {
        return Err(ChunkQueryError::NoColumns);
    }
    let columns: Vec<String> = plan.columns.iter().map(|column| column.source.quoted()).collect();
    let mut predicates = source_predicates(&plan.source)?;
    predicates.extend(range::predicate(plan, range)?);
    Ok(format!(
        "select {}\n{}{}{}",
        columns.join(", "),
        from(&plan.source),
        where_clause(&predicates),
        range::page(plan, range)?
    ))
}

/// Renders the one statement whose partitions are the chunks of a plan: everything it selects, in no order.
///
/// # Errors
/// As [`chunk_query`].
pub fn one_scan_query(plan: &TablePlan) -> Result<String, ChunkQueryError> {
    chunk_query(plan, &ChunkRange::SingleChunk {})
}

/// Renders what every statement of the plan reads from: `FROM`, the snapshot, the filter and the watermark's bound.
///
/// # Errors
/// A bound that is not what its type says.
pub fn source_clause(source: &SourcePlan) -> Result<String, ChunkQueryError> {
    Ok(format!("{}{}", from(source), where_clause(&source_predicates(source)?)))
}

fn from(source: &SourcePlan) -> String {
    let SourcePlan { database, schema, table, snapshot, .. } = source;
    let name = format!("{}.{}.{}", database.quoted(), schema.quoted(), table.quoted());
    match snapshot {
        Some(moment) => format!("from {name} at(timestamp => {}::timestamp_tz)", sf_literal(moment)),
        None => format!("from {name}"),
    }
}

fn where_clause(predicates: &[String]) -> String {
    if predicates.is_empty() { String::new() } else { format!("\nwhere {}", predicates.join("\n  and ")) }
}

fn source_predicates(source: &SourcePlan) -> Result<Vec<String>, ChunkQueryError> {
    let mut predicates = Vec::new();
    if let Some(filter) = &source.filter {
        // The line breaks keep a comment at the filter's end from eating the parenthesis.
        predicates.push(format!("(\n{filter}\n)"));
    }
    if let Some(bound) = &source.watermark {
        let column = bound.column.quoted();
        predicates.push(format!("({column} >= {} or {column} is null)", watermark_literal(bound)?));
    }
    Ok(predicates)
}

fn watermark_literal(watermark: &WatermarkBound) -> Result<String, ChunkQueryError> {
    let bound = watermark.bound.as_str();
    let temporal = |text: &str, pg_type: &str| {
        let fits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b':' | b'.' | b' ');
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(ChunkQueryError::WatermarkBound);
        }
        Ok(format!("{}::{pg_type}", sf_literal(text)))
    };
    match watermark.source_type {
        SourceType::Number { .. } => {
            range::decimal(bound).map(str::to_owned).map_err(|_| ChunkQueryError::WatermarkBound)
        }
        SourceType::Text { .. } => Ok(sf_literal(bound)),
        SourceType::Date => temporal(bound, "date"),
        SourceType::TimestampNtz { .. } => temporal(bound, "timestamp_ntz(9)"),
        SourceType::TimestampLtz { .. } => temporal(&with_zone(bound), "timestamp_ltz(9)"),
        SourceType::TimestampTz { .. } => temporal(&with_zone(bound), "timestamp_tz(9)"),
        SourceType::Float
        | SourceType::DecFloat
        | SourceType::Boolean
        | SourceType::Binary
        | SourceType::Time { .. }
        | SourceType::Variant
        | SourceType::Object
        | SourceType::Array
        | SourceType::Geography
        | SourceType::Geometry
        | SourceType::Vector
        | SourceType::Uuid => Err(ChunkQueryError::WatermarkType),
    }
}

/// A bound of an instant that names no offset is in UTC, whatever the session's zone.
fn with_zone(bound: &str) -> String {
    let time = bound.split_once(' ').map_or("", |(_, time)| time);
    if time.contains(['+', '-']) {
        return bound.to_owned();
    }
    let midnight = if time.is_empty() { " 00:00:00" } else { "" };
    format!("{bound}{midnight} +0000")
}
