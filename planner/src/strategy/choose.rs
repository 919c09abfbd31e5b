//! Which strategy a table gets: a named one is obeyed, `auto` goes by the first chunking column, as the script did.
//!
//! Decided before anything is counted, because the load mode depends on it.

use thaw_config::{DeclaredType, Strategy, TableEntry};
use thaw_model::plan::ChunkingColumn;
use thaw_model::{SfIdent, SourceType};

use super::date_range::LargeDays;

/// How the rows will be cut, should they not fit one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    SingleChunk,
    NumericRange {
        column: ChunkingColumn,
    },
    GroupedValues {
        column: ChunkingColumn,
    },
    /// `large_days`: `None` leaves it to the counts.
    DateRange {
        column: ChunkingColumn,
        large_days: Option<LargeDays>,
    },
    OffsetBased,
    /// Pages where they are few and safe, else one scan.
    PagesOrScan,
    /// One statement, whose partitions are the chunks.
    ResultPartitions,
}

/// The choice and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub method: Method,
    pub reason: String,
    /// By the configuration, not by `auto`.
    pub is_named: bool,
}

/// Why a named strategy cannot be obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StrategyError {
    #[error("strategy {strategy} needs a column in chunking_columns, and none is named")]
    NoColumn { strategy: &'static str },
    #[error(
        "strategy {strategy} cannot cut chunking column \"{column}\", which is {source_type}; what fits it: {fitting}"
    )]
    Unfit { strategy: &'static str, column: SfIdent, source_type: SourceType, fitting: String },
}

impl Choice {
    /// Whether the old script's rule for dates holds: such a table is upserted, for a key may lie in two of its chunks.
    #[must_use]
    pub const fn is_date_strategy(&self) -> bool {
        matches!(self.method, Method::DateRange { .. })
    }

    /// The first chunking column, where the chunks speak of it.
    #[must_use]
    pub const fn column(&self) -> Option<&ChunkingColumn> {
        match &self.method {
            Method::NumericRange { column }
            | Method::GroupedValues { column }
            | Method::DateRange { column, .. } => Some(column),
            Method::SingleChunk | Method::OffsetBased | Method::PagesOrScan | Method::ResultPartitions => {
                None
            }
        }
    }

    /// Whether some chunk may be a page.
    #[must_use]
    pub const fn may_page(&self) -> bool {
        match self.method {
            Method::OffsetBased | Method::PagesOrScan => true,
            Method::DateRange { large_days, .. } => !matches!(large_days, Some(LargeDays::Whole)),
            Method::SingleChunk
            | Method::NumericRange { .. }
            | Method::GroupedValues { .. }
            | Method::ResultPartitions => false,
        }
    }

    /// The strategy's name, as the configuration spells it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.method {
            Method::SingleChunk => "single_chunk",
            Method::NumericRange { .. } => "numeric_range",
            Method::GroupedValues { .. } => "grouped_values",
            Method::DateRange { large_days: Some(LargeDays::Paged), .. } => "date_range_offset",
            Method::DateRange { .. } => "date_range",
            Method::OffsetBased | Method::PagesOrScan => "offset_based",
            Method::ResultPartitions => "result_partitions",
        }
    }
}

/// Chooses for an entry whose chunking columns have these types.
///
/// # Errors
/// A named strategy that the first chunking column cannot carry.
pub fn choose(entry: &TableEntry, columns: &[(SfIdent, SourceType)]) -> Result<Choice, StrategyError> {
    let declared = entry.chunking_columns.first().and_then(|column| column.declared_type);
    let first = columns.first().map(|(name, source_type)| ChunkingColumn {
        name: name.clone(),
        source_type: *source_type,
        as_number: matches!(source_type, SourceType::Text { .. })
            && declared == Some(DeclaredType::VarcharNumeric),
    });
    match entry.strategy {
        Strategy::Auto => Ok(automatic(first)),
        named => Ok(Choice {
            method: by_name(named, first)?,
            reason: "named by the configuration".to_owned(),
            is_named: true,
        }),
    }
}

fn automatic(first: Option<ChunkingColumn>) -> Choice {
    let Some(column) = first else {
        let reason = "no chunking column is named".to_owned();
        return Choice { method: Method::ResultPartitions, reason, is_named: false };
    };
    let spelled = if column.as_number { " (numbers)" } else { "" };
    let reason = format!("chunking column \"{}\" is {}{spelled}", column.name, column.source_type);
    let method = match fitting(&column).first() {
        Some(Strategy::NumericRange) => Method::NumericRange { column },
        Some(Strategy::GroupedValues) => Method::GroupedValues { column },
        Some(Strategy::DateRange) => Method::DateRange { column, large_days: None },
        _ => Method::PagesOrScan,
    };
    Choice { method, reason, is_named: false }
}

fn by_name(named: Strategy, first: Option<ChunkingColumn>) -> Result<Method, StrategyError> {
    let strategy = named.as_str();
    match named {
        Strategy::Auto => return Ok(automatic(first).method),
        Strategy::SingleChunk => return Ok(Method::SingleChunk),
        Strategy::OffsetBased => return Ok(Method::OffsetBased),
        Strategy::ResultPartitions => return Ok(Method::ResultPartitions),
        Strategy::NumericRange
        | Strategy::GroupedValues
        | Strategy::DateRange
        | Strategy::DateRangeOffset => {}
    }
    let column = first.ok_or(StrategyError::NoColumn { strategy })?;
    let fitting = fitting(&column);
    if !fitting.contains(&named) {
        let names: Vec<&str> = fitting.iter().map(|strategy| strategy.as_str()).collect();
        let numbers = if matches!(column.source_type, SourceType::Text { .. }) && !column.as_number {
            ", and numeric_range where chunking_column_types says varchar_numeric"
        } else {
            ""
        };
        return Err(StrategyError::Unfit {
            strategy,
            column: column.name,
            source_type: column.source_type,
            fitting: format!("{}{numbers}", names.join(", ")),
        });
    }
    Ok(match named {
        Strategy::NumericRange => Method::NumericRange { column },
        Strategy::GroupedValues => {
            Method::GroupedValues { column: ChunkingColumn { as_number: false, ..column } }
        }
        Strategy::DateRange => Method::DateRange { column, large_days: Some(LargeDays::Whole) },
        _ => Method::DateRange { column, large_days: Some(LargeDays::Paged) },
    })
}

/// The strategies a column can carry, the best first. Floats have none but pages: their text is not exact, so a range
/// could lose the value it begins with.
fn fitting(column: &ChunkingColumn) -> Vec<Strategy> {
    let mut fitting = match column.source_type {
        SourceType::Number { .. } => vec![Strategy::NumericRange, Strategy::GroupedValues],
        SourceType::Text { .. } if column.as_number => {
            vec![Strategy::NumericRange, Strategy::GroupedValues]
        }
        SourceType::Text { .. } | SourceType::Uuid | SourceType::Boolean => vec![Strategy::GroupedValues],
        SourceType::Date
        | SourceType::TimestampNtz { .. }
        | SourceType::TimestampLtz { .. }
        | SourceType::TimestampTz { .. } => vec![Strategy::DateRange, Strategy::DateRangeOffset],
        SourceType::Float
        | SourceType::DecFloat
        | SourceType::Binary
        | SourceType::Time { .. }
        | SourceType::Variant
        | SourceType::Object
        | SourceType::Array
        | SourceType::Geography
        | SourceType::Geometry
        | SourceType::Vector => Vec::new(),
    };
    fitting.extend([Strategy::OffsetBased, Strategy::ResultPartitions, Strategy::SingleChunk]);
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEGER: SourceType = SourceType::Number { precision: 38, scale: 0 };
    const TEXT: SourceType = SourceType::Text { length: None };

    fn column(source_type: SourceType, as_number: bool) -> ChunkingColumn {
        ChunkingColumn { name: SfIdent::exact("C"), source_type, as_number }
    }

    #[test]
    fn auto_goes_by_the_first_column_as_the_script_did() {
        let name = |source_type, as_number| automatic(Some(column(source_type, as_number))).name();
        for (source_type, expected) in [
            (INTEGER, "numeric_range"),
            (SourceType::Number { precision: 12, scale: 2 }, "numeric_range"),
            (TEXT, "grouped_values"),
            (SourceType::Uuid, "grouped_values"),
            (SourceType::Boolean, "grouped_values"),
            (SourceType::Date, "date_range"),
            (SourceType::TimestampNtz { scale: 9 }, "date_range"),
            (SourceType::TimestampTz { scale: 3 }, "date_range"),
            (SourceType::Float, "offset_based"),
            (SourceType::Variant, "offset_based"),
        ] {
            assert_eq!(name(source_type, false), expected, "{source_type}");
        }
        assert_eq!(name(TEXT, true), "numeric_range");
        assert_eq!(automatic(None).name(), "result_partitions");
        assert!(automatic(Some(column(SourceType::Date, false))).is_date_strategy());
        assert!(!automatic(Some(column(INTEGER, false))).is_date_strategy());
    }

    #[test]
    fn a_named_strategy_is_obeyed_or_refused_with_what_fits() {
        let chosen = |strategy, source_type| by_name(strategy, Some(column(source_type, false)));
        assert_eq!(chosen(Strategy::OffsetBased, INTEGER), Ok(Method::OffsetBased));
        let paged =
            Method::DateRange { column: column(SourceType::Date, false), large_days: Some(LargeDays::Paged) };
        assert_eq!(chosen(Strategy::DateRangeOffset, SourceType::Date), Ok(paged));
        let said = |strategy, source_type| chosen(strategy, source_type).expect_err("refused").to_string();
        assert_eq!(
            said(Strategy::DateRange, INTEGER),
            "strategy date_range cannot cut chunking column \"C\", which is NUMBER(38,0); what fits it: \
             numeric_range, grouped_values, offset_based, result_partitions, single_chunk"
        );
        assert!(said(Strategy::NumericRange, TEXT).contains("varchar_numeric"));
        assert!(said(Strategy::NumericRange, SourceType::Float).contains("offset_based"));
        assert_eq!(chosen(Strategy::ResultPartitions, INTEGER), Ok(Method::ResultPartitions));
    }

    #[test]
    fn a_named_strategy_that_needs_a_column_says_so() {
        let error = by_name(Strategy::NumericRange, None).expect_err("refused");
        assert_eq!(error, StrategyError::NoColumn { strategy: "numeric_range" });
        assert_eq!(by_name(Strategy::SingleChunk, None), Ok(Method::SingleChunk));
    }
}
