//! What a statement comes with and what it answers: the seam to the HTTP server.

use std::collections::BTreeMap;

use crate::rows::RowStream;
use crate::sql_type::SqlType;

/// One statement and its session. Names are exact, as the SQL API's body fields are.
#[derive(Debug, Clone, Default)]
pub struct ExecuteRequest {
    /// One statement; a trailing semicolon is fine.
    pub sql: String,
    /// The session's database, for names that do not give one.
    pub database: Option<String>,
    /// The session's schema.
    pub schema: Option<String>,
    /// The session's warehouse, only for CURRENT_WAREHOUSE().
    pub warehouse: Option<String>,
    /// The role that reads; see [`crate::Engine::deny`].
    pub role: Option<String>,
    /// The session's TIMEZONE, an IANA name; `None` is Snowflake's default, America/Los_Angeles.
    pub timezone: Option<String>,
    /// For CURRENT_USER() and the statement log.
    pub user: String,
    /// For CURRENT_ACCOUNT().
    pub account: String,
    /// Kept in the statement log.
    pub query_tag: Option<String>,
    /// The virtual clock, nanoseconds since the epoch: CURRENT_TIMESTAMP, and the commit time of DML.
    pub now: i128,
    /// Commits later than this are not seen by queries (READ_CONSISTENCY_MODE = SESSION): `now` for a request
    /// that must see everything, some seconds less for one of another session.
    pub visible_until: i128,
    /// Decides the order of what the statement leaves unordered. `None` leaves it to PostgreSQL: for benchmarks.
    pub order_seed: Option<u64>,
    /// Values of `?` (numbered from 1) and `:1`.
    pub bindings: BTreeMap<u32, Binding>,
}

/// A bound value, as the SQL API's `bindings` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// `FIXED`, `REAL`, `TEXT`, `BINARY`, `BOOLEAN`, `DATE` (milliseconds), `TIME` and `TIMESTAMP_*` (nanoseconds).
    pub kind: String,
    /// The text of the value; `None` is NULL.
    pub value: Option<String>,
}

/// What kind of answer a statement gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// SELECT, SHOW, DESCRIBE: the rows are the answer.
    Query,
    /// INSERT, UPDATE, DELETE: one row of counts, and `stats`.
    Dml { inserted: u64, updated: u64, deleted: u64 },
    /// CREATE, DROP, ALTER, TRUNCATE: one row with a status message.
    Ddl,
}

/// One column of a result, as `rowType` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub sql_type: SqlType,
    pub nullable: bool,
    /// Database, schema and table of a bare column; empty for expressions.
    pub database: String,
    pub schema: String,
    pub table: String,
}

impl Column {
    /// The `type` of `rowType`, lower-case: `fixed`, `text`, `timestamp_ntz`, ...
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.sql_type.row_type_name()
    }

    /// `precision` of `rowType`.
    #[must_use]
    pub fn precision(&self) -> Option<u32> {
        self.sql_type.row_type_precision()
    }

    /// `scale` of `rowType`; digits of the fraction for times and timestamps.
    #[must_use]
    pub fn scale(&self) -> Option<u32> {
        self.sql_type.row_type_scale()
    }

    /// `length` of `rowType`, characters (bytes for BINARY).
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.sql_type.row_type_length()
    }

    /// `byteLength` of `rowType`.
    #[must_use]
    pub fn byte_length(&self) -> Option<u64> {
        self.sql_type.row_type_byte_length()
    }
}

/// The answer: columns at once, rows as a stream.
#[derive(Debug)]
pub struct QueryOutput {
    pub columns: Vec<Column>,
    pub kind: StatementKind,
    /// Full names of the tables a SELECT reads (`DB.SC.T`), views resolved; empty for every other statement.
    pub tables: Vec<String>,
    pub rows: RowStream,
}
