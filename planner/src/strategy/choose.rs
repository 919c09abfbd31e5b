//! Which strategy a table gets.
//!
//! `auto` decides by the first chunking column. The strategies of later releases (`grouped_values`, `date_range`,
//! `date_range_offset`, `offset_based`, `result_partitions`) are named here so that the fallback can be said.

use thaw_model::plan::Decision;
use thaw_model::{SfIdent, SourceType};

/// A strategy this release can cut by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    SingleChunk,
    NumericRange { column: SfIdent },
}

/// Decides for `auto`, by the first chunking column and its type; `None`: the entry names no chunking column.
#[must_use]
pub fn automatic(first_column: Option<(&SfIdent, SourceType)>) -> (Chosen, Decision) {
    let (chosen, reason) = match first_column {
        None => (Chosen::SingleChunk, "no chunking column is named".to_owned()),
        Some((column, SourceType::Number { .. })) => {
            (Chosen::NumericRange { column: column.clone() }, format!("chunking column {column} is numeric"))
        }
        Some((column, other)) => (
            Chosen::SingleChunk,
            format!(
                "chunking column {column} is {other}, and only numeric columns can be cut in this release"
            ),
        ),
    };
    let decision = Decision { subject: "strategy".into(), choice: name(&chosen).into(), reason };
    (chosen, decision)
}

/// The name of a strategy as the configuration spells it.
#[must_use]
pub const fn name(chosen: &Chosen) -> &'static str {
    match chosen {
        Chosen::SingleChunk => "single_chunk",
        Chosen::NumericRange { .. } => "numeric_range",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_column_is_cut_and_others_fall_back_and_say_so() {
        let id = SfIdent::exact("ID");
        let (chosen, _) = automatic(Some((&id, SourceType::Number { precision: 38, scale: 0 })));
        assert_eq!(chosen, Chosen::NumericRange { column: id.clone() });
        let (chosen, decision) = automatic(Some((&id, SourceType::Date)));
        assert_eq!(chosen, Chosen::SingleChunk);
        assert!(decision.reason.contains("DATE"), "{decision:?}");
        assert_eq!(automatic(None).0, Chosen::SingleChunk);
    }
}
