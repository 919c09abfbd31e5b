//! Where the rows of a chunk went.

use serde::{Deserialize, Serialize};

/// Every fetched row is in exactly one of the other counts; a CHECK of schema.sql holds a completed chunk to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Accounting {
    /// Rows the source sent.
    pub fetched: i64,
    pub inserted: i64,
    pub updated: i64,
    /// Rows that were there already: identical, newer at the target, or refused by `insert_only`.
    pub kept: i64,
    /// Rows that lost to another row of the same chunk with the same key.
    pub deduplicated: i64,
    /// Bad rows set aside by `on_bad_row = quarantine`.
    pub quarantined: i64,
    /// Bytes of COPY data sent to PostgreSQL.
    pub bytes: i64,
    /// Values, not rows, that became NULL by `on_bad_row = null`; their rows are in the counts above.
    #[serde(default)]
    pub nulled: i64,
    /// Of the deduplicated rows, those with the same key and watermark as another row of the chunk but other values: a
    /// defect of the source, which leaves open which of them is right. The one that was read last was taken.
    #[serde(default)]
    pub ambiguous: i64,
    /// Of the updated rows, those whose key and watermark the target had already, with other values: two such rows of
    /// the source in different chunks, or a source that changes rows without moving their watermark. The later one
    /// stands, and only the source can say which is right.
    #[serde(default)]
    pub tied: i64,
    /// Rows that were sent without a watermark; they are read in every run.
    #[serde(default)]
    pub null_watermarks: i64,
    /// Of the kept rows, those without a watermark whose row at the target has one: it became NULL at the source, so
    /// nothing says which is newer.
    #[serde(default)]
    pub watermark_lost: i64,
}

impl Accounting {
    /// Each row's end, by the word of reports and metrics; their sum is `fetched`.
    #[must_use]
    pub const fn outcomes(&self) -> [(&'static str, i64); 5] {
        [
            ("inserted", self.inserted),
            ("updated", self.updated),
            ("kept", self.kept),
            ("deduplicated", self.deduplicated),
            ("quarantined", self.quarantined),
        ]
    }

    /// What asks for a look, by the word of reports and metrics. Not a part of the sum: these rows (`nulled`: values) are
    /// in the counts of [`Accounting::outcomes`].
    #[must_use]
    pub const fn doubts(&self) -> [(&'static str, i64); 5] {
        [
            ("nulled", self.nulled),
            ("ambiguous", self.ambiguous),
            ("tied", self.tied),
            ("null_watermark", self.null_watermarks),
            ("watermark_lost", self.watermark_lost),
        ]
    }

    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.fetched == self.inserted + self.updated + self.kept + self.deduplicated + self.quarantined
    }
}

/// How long the phases of a chunk took, in milliseconds. Not the COMMIT: the row that holds them is written before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PhaseTimes {
    pub fetch_ms: i32,
    pub decode_ms: i32,
    pub load_ms: i32,
}
