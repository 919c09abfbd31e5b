//! The plan of one table: decided once by the planner, stored, obeyed by every worker (law 3).

use serde::{Deserialize, Serialize};

use crate::ident::{PgIdent, SfIdent};
use crate::source_type::SourceType;
use crate::target_type::TargetType;

/// Everything a worker needs to load any chunk of the table. Stored as jsonb in `migration_table_status.plan` and
/// cached by workers under (table, plan version).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePlan {
    pub source: SourcePlan,
    pub target: TargetPlan,
    /// In the order in which they are selected, copied and named in `COPY`.
    pub columns: Vec<PlannedColumn>,
    /// What the ranges of its chunks have in common; `None` where they need nothing.
    #[serde(default)]
    pub chunking: Option<ChunkingPlan>,
    /// The table is read by one statement, and its chunks are partitions of the result; `None`: each chunk has a
    /// statement of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_scan: Option<OneScanPlan>,
    pub load: LoadPlan,
    pub start: StartPlan,
    pub bad_rows: BadRowPolicy,
    /// What was decided and why, in the order of the decisions; for the dry run and the table's row.
    pub decisions: Vec<Decision>,
    /// Source columns the target lacks and target columns that are generated: reported, not loaded.
    pub left_out: Vec<LeftOut>,
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlan {
    pub database: SfIdent,
    pub schema: SfIdent,
    pub table: SfIdent,
    /// The session time zone of every statement.
    pub timezone: String,
    /// `AT(TIMESTAMP => '<this>'::TIMESTAMP_TZ)` of every statement; `None` where there is no Time Travel.
    pub snapshot: Option<String>,
    /// The user's filter, a single expression in Snowflake's SQL.
    pub filter: Option<String>,
    /// The lower bound of the watermark; `None`: everything is read.
    pub watermark: Option<WatermarkBound>,
}

/// `(column >= bound OR column IS NULL)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermarkBound {
    pub column: SfIdent,
    pub source_type: SourceType,
    /// The bound as Snowflake reads it in a literal of the column's type: `2024-01-10 12:00:00.123456789`, `42`.
    pub bound: String,
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetPlan {
    pub database: String,
    pub schema: PgIdent,
    pub table: PgIdent,
}

/// One column that is read and written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedColumn {
    pub source: SfIdent,
    pub source_type: SourceType,
    pub target: PgIdent,
    pub target_type: TargetType,
    /// The target accepts NULL.
    pub nullable: bool,
    /// A number may lose digits here instead of being a bad value.
    #[serde(default)]
    pub lossy: bool,
}

/// How the result of a table's one statement is cut: whoever meets its end can do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneScanPlan {
    /// Rows a chunk is to have at most; one partition may have more.
    pub rows_per_chunk: u64,
    /// A result without rows may empty the target.
    #[serde(default)]
    pub allow_empty: bool,
    /// Rows that the count at the same snapshot has found; `None`: nothing that the result could be compared with.
    #[serde(default)]
    pub counted: Option<u64>,
    /// An earlier execution was started: what it emptied is not left empty unasked.
    #[serde(default)]
    pub is_over_rows: bool,
}

/// The column that ranges speak of, and the order that pages are cut in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChunkingPlan {
    /// The first chunking column; `None` where pages are cut without one.
    pub column: Option<ChunkingColumn>,
    /// A total order of the rows, but for rows that are the same in every column that is loaded. Empty where no chunk is
    /// a page.
    pub order_by: Vec<SfIdent>,
    /// Columns of the order whose collation takes different texts for equal: their bytes order them as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collated: Vec<SfIdent>,
}

/// The column that ranges speak of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkingColumn {
    pub name: SfIdent,
    pub source_type: SourceType,
    /// A text that is compared as the number it spells.
    #[serde(default)]
    pub as_number: bool,
}

/// How rows reach the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPlan {
    pub mode: LoadMode,
    /// COPY straight into the target first; on a duplicate key of the arbiter the chunk is done again by
    /// `on_duplicate`, in a new transaction of the same attempt.
    pub copy_first: bool,
    pub on_duplicate: OnDuplicate,
    /// The unique index that proves keys; `None` where the mode needs none.
    pub arbiter: Option<Arbiter>,
    /// The target's watermark column: an upsert never replaces a row by an older one.
    pub watermark: Option<PgIdent>,
    /// Some identity column is GENERATED ALWAYS: inserts say OVERRIDING SYSTEM VALUE.
    pub overriding_system_value: bool,
}

impl LoadPlan {
    /// How rows load over those that an earlier execution of the table has left; `None`: they would be doubled.
    #[must_use]
    pub fn over_rows(&self, start: &StartPlan, rows_there: i64) -> Option<Self> {
        if rows_there == 0 || start.truncate || start.replace_tail.is_some() {
            return Some(self.clone());
        }
        let mode = match (self.mode, self.on_duplicate) {
            (LoadMode::Copy, OnDuplicate::Fatal) => return None,
            (LoadMode::Copy, OnDuplicate::Upsert) => LoadMode::Upsert,
            (LoadMode::Copy, OnDuplicate::DoNothing) => LoadMode::InsertOnly,
            (mode @ (LoadMode::Upsert | LoadMode::InsertOnly), _) => mode,
        };
        // The index is what tells a row that is there from a new one.
        self.arbiter.as_ref()?;
        Some(Self { mode, copy_first: false, ..self.clone() })
    }
}

/// The way of loading, first row that fits of the table in docs/guarantees.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadMode {
    /// COPY into the target.
    Copy,
    /// COPY into a temporary table, then INSERT ... ON CONFLICT DO UPDATE of what differs.
    Upsert,
    /// COPY into a temporary table, then INSERT ... ON CONFLICT DO NOTHING.
    InsertOnly,
}

/// What follows 23505 on the arbiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDuplicate {
    /// The chunk fails and names the constraint.
    Fatal,
    Upsert,
    DoNothing,
}

/// A non-partial, non-deferrable unique index on exactly these columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arbiter {
    pub index: PgIdent,
    pub columns: Vec<PgIdent>,
    pub nulls_not_distinct: bool,
}

/// What happens once per execution before any chunk may be claimed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StartPlan {
    pub truncate: bool,
    /// Tables without keys: the entry's rows `column >= bound OR column IS NULL` are deleted, then loaded again.
    pub replace_tail: Option<ReplaceTail>,
    /// Drop what indexes may be dropped; the finalizer rebuilds them.
    pub drop_indexes: bool,
}

/// The tail of a table that is deleted before it is loaded again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplaceTail {
    pub column: PgIdent,
    /// As PostgreSQL reads it in a literal of the column's type; `None`: every row of the entry.
    pub bound: Option<String>,
    /// The SQL type name for the cast of the literal.
    pub pg_type: String,
    /// Text, compared by its bytes as the source does.
    pub by_bytes: bool,
    /// The entry's filter in PostgreSQL's SQL: which of the target's rows are its own; `None`: all are.
    pub filter: Option<String>,
}

/// What to do with a row that the target cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRowPolicy {
    pub on_bad_row: OnBadRow,
    pub nul_in_text: NulInText,
    /// More quarantined rows than this fail the table.
    pub max_bad_rows: u32,
    /// Quarantined rows are kept with their keys and values, which are the user's data.
    #[serde(default)]
    pub keep_values: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRow {
    /// The chunk fails.
    #[default]
    Fail,
    /// The row is set aside in `quarantined_rows`, in the chunk's transaction.
    Quarantine,
    /// The bad value becomes NULL.
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NulInText {
    /// U+0000 makes the row a bad row.
    #[default]
    Fail,
    /// U+0000 is removed.
    Strip,
    /// U+0000 becomes U+FFFD.
    Replace,
}

impl Default for BadRowPolicy {
    fn default() -> Self {
        Self {
            on_bad_row: OnBadRow::Fail,
            nul_in_text: NulInText::Fail,
            max_bad_rows: 1000,
            keep_values: false,
        }
    }
}

/// One decision of the planner: `subject` is what was decided (`load mode`, `strategy`), `choice` what was chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub subject: String,
    pub choice: String,
    pub reason: String,
}

/// A column that is not loaded, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub column: String,
    pub reason: String,
}
