//! What can go wrong with a statement or a read, and what each means for the chunk that met it.
//!
//! Server messages quote literals, and literals are the user's data: a message is never kept. The code, the
//! SQLSTATE and the statement handle are, and the object's name where the server's text has exactly the known
//! form (`sql_fault`).

use std::fmt;
use std::time::Duration;

use thaw_model::{Classify, Disposition};

use crate::auth::KeyError;
use crate::chunk_query::ChunkQueryError;
use crate::response::{Envelope, StatementHandle};
use crate::sql_fault;

pub(crate) const RESULT_TOO_LARGE: &str = "391908";

/// Everything the client can fail with.
#[derive(Debug, thiserror::Error)]
pub enum SnowflakeError {
    #[error("snowflake url `{0}` is not a valid http or https url")]
    InvalidUrl(String),
    #[error("snowflake url `{0}` is plain http; that is allowed to loopback addresses only")]
    InsecureUrl(String),
    #[error("snowflake account `{0}` is no account identifier")]
    InvalidAccount(String),
    #[error("snowflake private key is unusable")]
    Key(#[from] KeyError),
    #[error("snowflake token holds characters that no header may hold")]
    InvalidToken,
    #[error("cannot read the ca file `{path}`")]
    CaFile {
        path: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the ca file `{0}` holds no certificate in PEM form")]
    CaFileEmpty(String),
    #[error("the proxy's url is not valid")]
    InvalidProxy,
    #[error("cannot set up the https client")]
    Setup(#[source] reqwest::Error),
    #[error("the client is shutting down")]
    Gone,
    #[error("token cannot be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),

    #[error("cannot reach snowflake")]
    Connect(#[source] reqwest::Error),
    #[error("request to snowflake failed")]
    Request(#[source] reqwest::Error),
    #[error("no answer from snowflake within {0:?}")]
    HeadersTimeout(Duration),
    #[error("snowflake sent no bytes for {0:?} in the middle of an answer")]
    BodyTimeout(Duration),
    #[error("the connection was cut in the middle of an answer")]
    BodyCut(#[source] reqwest::Error),
    #[error("the gzip data of an answer is damaged or incomplete")]
    Gzip,
    #[error("answer of snowflake is malformed: {0}")]
    Malformed(#[from] MalformedResponse),
    #[error("answer of snowflake is larger than {0} bytes")]
    TooLarge(usize),

    #[error("snowflake rejected the credentials (http {status}{})", Code(.code))]
    Unauthorized { status: u16, code: Option<String> },
    #[error("snowflake refuses access (http 403{}): network policy or disabled feature", Code(.code))]
    Forbidden { code: Option<String> },
    #[error("snowflake asks for patience (http {status}{})", Code(.code))]
    Throttled { status: u16, code: Option<String>, after: Option<Duration> },
    #[error("snowflake has a fault (http {status}{})", Code(.code))]
    Server { status: u16, code: Option<String> },
    #[error("snowflake does not serve this address (http {status}{}): is the account or url right?", Code(.code))]
    WrongAddress { status: u16, code: Option<String> },
    #[error("snowflake refused the request (http {status}{})", Code(.code))]
    Refused { status: u16, code: Option<String> },

    #[error("statement hit its time limit and was cancelled{}", Handle(.handle))]
    StatementTimedOut { handle: Option<StatementHandle> },
    #[error("statement {handle} did not end long after its time limit")]
    GaveUp { handle: StatementHandle },
    #[error("{fault} (code {code}, sqlstate {sql_state}{})", Handle(.handle))]
    Sql { fault: SqlFault, code: String, sql_state: String, handle: Option<StatementHandle> },
    #[error("partition {partition} has {actual} rows, its metadata says {expected}")]
    RowCount { partition: usize, expected: u64, actual: u64 },
    #[error("the result has {count} partitions, there is no partition {partition}")]
    NoSuchPartition { partition: usize, count: usize },
    #[error("the chunk's statement cannot be rendered")]
    ChunkQuery(#[from] ChunkQueryError),
}

/// How an answer that should be a result is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedResponse {
    #[error("not json")]
    NotJson,
    #[error("the end is missing")]
    Truncated,
    #[error("bytes after the end")]
    TrailingBytes,
    #[error("no `data`")]
    NoData,
    #[error("`data` appears twice")]
    TwoData,
    #[error("a row has not as many cells as the result has columns")]
    CellCount,
    #[error("a cell is neither text nor null")]
    NestedCell,
    #[error("text is not utf-8 or has a bad escape")]
    BadText,
    #[error("no statement handle")]
    NoHandle,
    #[error("the statement handle has an unexpected form")]
    BadHandle,
    #[error("no result metadata")]
    NoMetadata,
    #[error("the partitions do not add up to the row count")]
    PartitionSum,
    #[error("no row count")]
    NoRowCount,
}

/// A statement that failed in the server: a closed list by error code.
///
/// Sources: docs.snowflake.com/en/developer-guide/sql-api/handling-errors, the error codes quoted in Snowflake's
/// knowledge base and in its drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlFault {
    /// 000707: the moment is outside the retention, or the table was replaced.
    SnapshotGone,
    /// 002003: a database, schema or table is missing or may not be seen.
    ObjectMissing { object: Option<String> },
    /// 000904: a column is missing.
    ColumnMissing { column: Option<String> },
    /// 001003 (syntax), 001007 and 001044 (types), 002140 and 002141 (functions): the statement does not compile.
    Compilation,
    /// 003001: the role lacks a privilege.
    Privilege,
    /// 000606, 390201, 390189: no warehouse or role that may be used.
    NoWarehouse,
    /// 000709, 000612: nothing is known under the handle, or its result has expired.
    HandleExpired,
    /// 391908: the result is too large; the statement must be split.
    ResultTooLarge,
    /// 000604: somebody cancelled the statement.
    Cancelled,
    /// 000630: the warehouse's or the statement's time limit.
    TimedOut,
    /// SQLSTATE 57P03, 090073: the warehouse resumes, or is suspended.
    WarehouseResuming,
    /// 000625: a lock was not to be had.
    Locked,
    /// 390505, SQLSTATE 53xxx: the account's limits.
    Overloaded,
    /// 000603, 300002, 370001: an incident in the server.
    Internal,
    /// Everything else: this statement's own fault.
    Other,
}

struct Code<'a>(&'a Option<String>);

impl fmt::Display for Code<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |code| write!(f, ", code {code}"))
    }
}

struct Handle<'a>(&'a Option<StatementHandle>);

impl fmt::Display for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |handle| write!(f, ", statement {handle}"))
    }
}

impl fmt::Display for SqlFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::SnapshotGone => "time travel data of the snapshot is gone",
            Self::ObjectMissing { object: Some(object) } => {
                return write!(f, "object `{object}` does not exist or may not be seen");
            }
            Self::ObjectMissing { object: None } => "an object does not exist or may not be seen",
            Self::ColumnMissing { column: Some(column) } => return write!(f, "no column `{column}`"),
            Self::ColumnMissing { column: None } => "a column does not exist",
            Self::Compilation => "statement does not compile",
            Self::Privilege => "the role lacks a privilege",
            Self::NoWarehouse => "no warehouse can be used",
            Self::HandleExpired => "the result has expired, or is another user's",
            Self::ResultTooLarge => "the result is too large for one statement",
            Self::Cancelled => "statement was cancelled",
            Self::TimedOut => "statement hit its time limit",
            Self::WarehouseResuming => "the warehouse is resuming",
            Self::Locked => "a lock was not to be had",
            Self::Overloaded => "the account's concurrency limit is reached",
            Self::Internal => "internal error of the server",
            Self::Other => "statement failed",
        };
        f.write_str(text)
    }
}

impl SnowflakeError {
    /// The error of a failed statement.
    pub(crate) fn sql(envelope: &Envelope, known: Option<StatementHandle>) -> Self {
        let code = envelope.code().unwrap_or_default();
        let sql_state = envelope.sql_state().unwrap_or_default().to_owned();
        let fault = SqlFault::of(&code, &sql_state, envelope.message.as_deref().unwrap_or_default());
        Self::Sql { fault, code, sql_state, handle: known.or_else(|| envelope.handle().ok()) }
    }

    /// The server has said that the statement is over: there is nothing to cancel, and nothing to wait for.
    #[must_use]
    pub fn statement_has_ended(&self) -> bool {
        matches!(self, Self::Sql { .. } | Self::StatementTimedOut { .. })
    }
}

impl SqlFault {
    /// By code; the SQLSTATE decides about codes that are not listed, the message about nothing.
    fn of(code: &str, sql_state: &str, message: &str) -> Self {
        match code {
            "000707" => Self::SnapshotGone,
            "002003" | "002043" => Self::ObjectMissing { object: sql_fault::object(message) },
            "000904" => Self::ColumnMissing { column: sql_fault::column(message) },
            "001003" | "001007" | "001044" | "002140" | "002141" => Self::Compilation,
            "003001" => Self::Privilege,
            "000606" | "390189" | "390201" => Self::NoWarehouse,
            "000709" | "000612" => Self::HandleExpired,
            RESULT_TOO_LARGE => Self::ResultTooLarge,
            "000604" => Self::Cancelled,
            "000630" => Self::TimedOut,
            "090073" => Self::WarehouseResuming,
            "000625" => Self::Locked,
            "390505" => Self::Overloaded,
            "000603" | "300002" | "370001" => Self::Internal,
            _ => Self::of_state(sql_state),
        }
    }

    fn of_state(sql_state: &str) -> Self {
        match sql_state {
            "42501" => Self::Privilege,
            "42601" => Self::Compilation,
            "42S02" => Self::ObjectMissing { object: None },
            "57P03" => Self::WarehouseResuming,
            "40001" | "40P01" | "55P03" => Self::Locked,
            "53000" | "53200" | "53300" => Self::Overloaded,
            "XX000" | "58000" => Self::Internal,
            _ => Self::Other,
        }
    }

    /// What the fault means for the chunk whose statement met it.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::SnapshotGone
            | Self::ObjectMissing { .. }
            | Self::ColumnMissing { .. }
            | Self::Compilation
            | Self::Privilege => Disposition::HaltTable,
            Self::NoWarehouse => Disposition::HaltWorker,
            // The chunk's next attempt submits its statement again.
            Self::HandleExpired | Self::Cancelled | Self::TimedOut | Self::Internal => Disposition::Retry,
            Self::WarehouseResuming | Self::Locked | Self::Overloaded => Disposition::Snooze { after: None },
            Self::ResultTooLarge | Self::Other => Disposition::Fatal,
        }
    }
}

impl Classify for SnowflakeError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::InvalidUrl(_)
            | Self::InsecureUrl(_)
            | Self::InvalidAccount(_)
            | Self::Key(_)
            | Self::InvalidToken
            | Self::CaFile { .. }
            | Self::CaFileEmpty(_)
            | Self::InvalidProxy
            | Self::Setup(_)
            | Self::Sign(_)
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::WrongAddress { .. } => Disposition::HaltWorker,
            Self::Gone => Disposition::Interrupted,
            Self::Connect(_)
            | Self::Request(_)
            | Self::HeadersTimeout(_)
            | Self::BodyTimeout(_)
            | Self::BodyCut(_)
            | Self::Gzip
            | Self::Malformed(_)
            | Self::Server { .. }
            | Self::StatementTimedOut { .. }
            | Self::GaveUp { .. }
            | Self::RowCount { .. } => Disposition::Retry,
            Self::Throttled { after, .. } => Disposition::Snooze { after: *after },
            Self::TooLarge(_) | Self::Refused { .. } | Self::NoSuchPartition { .. } => Disposition::Fatal,
            Self::Sql { fault, .. } => fault.disposition(),
            Self::ChunkQuery(error) => error.disposition(),
        }
    }

    fn class(&self) -> String {
        match self {
            Self::InvalidUrl(_)
            | Self::InsecureUrl(_)
            | Self::InvalidAccount(_)
            | Self::Key(_)
            | Self::InvalidToken
            | Self::CaFile { .. }
            | Self::CaFileEmpty(_)
            | Self::InvalidProxy
            | Self::Setup(_)
            | Self::Sign(_) => "snowflake_configuration".to_owned(),
            Self::Gone => "shutdown".to_owned(),
            Self::Connect(_) | Self::Request(_) | Self::BodyCut(_) => "network".to_owned(),
            Self::HeadersTimeout(_) | Self::BodyTimeout(_) => "network_timeout".to_owned(),
            Self::Gzip | Self::Malformed(_) | Self::TooLarge(_) => "snowflake_answer".to_owned(),
            Self::Unauthorized { .. } => "snowflake_credentials".to_owned(),
            Self::Forbidden { .. } => "snowflake_http_403".to_owned(),
            Self::Throttled { status, .. }
            | Self::Server { status, .. }
            | Self::WrongAddress { status, .. }
            | Self::Refused { status, .. } => format!("snowflake_http_{status}"),
            Self::StatementTimedOut { .. } | Self::GaveUp { .. } => "snowflake_statement_timeout".to_owned(),
            Self::Sql { code, sql_state, .. } if code.is_empty() => format!("snowflake_sqlstate_{sql_state}"),
            Self::Sql { code, .. } => format!("snowflake_{code}"),
            Self::RowCount { .. } | Self::NoSuchPartition { .. } => "row_count".to_owned(),
            Self::ChunkQuery(error) => error.class(),
        }
    }
}
