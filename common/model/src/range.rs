//! Which rows a chunk covers. Ranges are half-open on the bare column, so that micro-partitions prune.
//!
//! A range is stored in `migration_chunk_status.range` as JSON tagged by its strategy. Its values are the user's
//! data: never logged, shown only when asked for.

use serde::{Deserialize, Serialize};

use crate::ident::SfIdent;

/// The range of one chunk, one variant a strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "strategy", rename_all = "snake_case")]
pub enum ChunkRange {
    /// Everything the plan selects.
    SingleChunk {},
    /// A stretch of a numeric column.
    NumericRange {
        column: SfIdent,
        #[serde(flatten)]
        part: NumericPart,
    },
}

/// Which stretch of the column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "snake_case")]
pub enum NumericPart {
    /// `low <= column < high`, as decimal text; an end that is `None` is open. The first and the last range of a
    /// plan without a snapshot are open, so that a row that arrives beyond them is not lost.
    Between { low: Option<String>, high: Option<String> },
    /// The rows whose column is NULL; no range matches them.
    Nulls {},
}

impl ChunkRange {
    /// The strategy's name, as the configuration and the status tables spell it.
    #[must_use]
    pub const fn strategy(&self) -> &'static str {
        match self {
            Self::SingleChunk {} => "single_chunk",
            Self::NumericRange { .. } => "numeric_range",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_stored_as_json_tagged_by_strategy() {
        let range = ChunkRange::NumericRange {
            column: SfIdent::exact("ID"),
            part: NumericPart::Between { low: Some("1".into()), high: None },
        };
        let json = serde_json::to_string(&range).expect("serializes");
        assert_eq!(
            json,
            r#"{"strategy":"numeric_range","column":"ID","part":"between","low":"1","high":null}"#
        );
        assert_eq!(serde_json::from_str::<ChunkRange>(&json).expect("reads"), range);
        assert_eq!(
            serde_json::to_string(&ChunkRange::SingleChunk {}).expect("serializes"),
            r#"{"strategy":"single_chunk"}"#
        );
    }
}
