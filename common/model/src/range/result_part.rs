//! A chunk that is a run of whole partitions of a result the source keeps.

use serde::{Deserialize, Serialize};

/// Consecutive partitions of the result of one statement. A partition is never split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultPart {
    /// The statement's handle, which is its query id. Any process of the same user may read under it.
    pub handle: String,
    /// The number of the first partition, from 0.
    pub first: u32,
    /// Rows of each partition, in order, as the result's metadata declares them.
    pub rows: Vec<u64>,
    /// Bytes of the partitions as JSON, as declared; 0 where the server did not say.
    pub bytes: u64,
}

impl ResultPart {
    /// The partitions with the rows that each must have.
    pub fn partitions(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (self.first..).zip(self.rows.iter().copied())
    }

    /// Rows of all of them.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.rows.iter().fold(0, |sum, rows| sum.saturating_add(*rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_numbered_from_the_first() {
        let part = ResultPart { handle: "h".into(), first: 7, rows: vec![3, 0, 2], bytes: 90 };
        assert_eq!(part.partitions().collect::<Vec<_>>(), [(7, 3), (8, 0), (9, 2)]);
        assert_eq!(part.row_count(), 5);
    }
}
