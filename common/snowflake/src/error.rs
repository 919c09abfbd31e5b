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
use crate::response::StatementHandle;

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
    CaFile { path: String, #[source] source: std::io::Error },
    #[error("the ca file `{0}` holds no certificate in PEM form")]
    CaFileEmpty(String),
    #[error("the proxy's url is not valid")]
    InvalidProxy,
    #[error("cannot set up the https client")]
    Setup(#[source] reqwest::Error),
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
    #[error("{fault}")]
    Sql { fault: SqlFault, code: String, sql_state: String, handle: Option<StatementHandle> },
    #[error("partition {partition} has {actual} rows, its metadata says {expected}")]
    RowCount { partition: usize, expected: u64, actual: u64 },
    #[error("partitions of the result have {actual} rows in all, its metadata says {expected}")]
    TotalRowCount { expected: u64, actual: u64 },
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
    /// 001003 and its kind: the statement does not compile.
    Compilation,
    /// 003001: the role lacks a privilege.
    Privilege,
    /// 000606: no warehouse, or it cannot be used.
    NoWarehouse,
    /// 000709 on a handle that was good: the result is gone.
    HandleExpired,
    /// 391908: the result is too large; the statement must be split.
    ResultTooLarge,
    /// 000604: somebody cancelled the statement.
    Cancelled,
    /// 000630: the warehouse's or the statement's time limit.
    TimedOut,
    /// The warehouse resumes or is suspended.
    WarehouseResuming,
    /// 000625 and its kind: a lock was not to be had.
    Locked,
    /// The account's concurrency limits.
    Overloaded,
    /// 3xxxxx internal errors of the server.
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
            Self::HandleExpired => "the result has expired",
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

impl Classify for SnowflakeError {
    fn disposition(&self) -> Disposition {
        Disposition::Fatal
    }

    fn class(&self) -> String {
        "snowflake".to_owned()
    }
}
