//! The one error of everything that talks to PostgreSQL.
//!
//! The server's message, detail, hint and context quote keys and rows: they are dropped at the border, here, so
//! that nothing behind it can print them. What is kept are names and codes.

use std::error::Error as _;
use std::fmt;
use std::io;

use thaw_model::{Classify, Disposition};

use crate::sqlstate;

/// What went wrong with PostgreSQL. No variant holds a value of a row, and none has a source that could.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PgError {
    /// The server answered with an error.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// The connection ended under the statement.
    #[error("the connection to the server was closed")]
    Closed,
    /// The server was not reached, or the line broke.
    #[error("network error: {0}")]
    Network(io::ErrorKind),
    /// A wrong name, a server that is not up yet, or a name service that is down.
    #[error("the server's name does not resolve")]
    Unresolved,
    /// No session within the time limit.
    #[error("no connection within the time limit")]
    ConnectTimeout,
    /// Every connection of the pool stayed busy for the time limit.
    #[error("no free connection in the pool within the time limit")]
    PoolTimeout,
    /// The server does not speak TLS, or its certificate was refused; the text names the reason.
    #[error("tls: {0}")]
    Tls(String),
    /// No pool for this database: it is no target of the configuration.
    #[error("no connection settings for database `{0}`")]
    UnknownDatabase(String),
    /// The driver refused the statement or its answer; the text is one of the driver's fixed sentences.
    #[error("driver: {0}")]
    Driver(String),
}

/// The server says in its message alone who it was, in its own language.
const CANCELLED: &str = "57014";

/// What may be told of an `ErrorResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerError {
    /// The five characters of the SQLSTATE.
    pub sqlstate: String,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
    /// The row of a COPY that was refused, from 1.
    pub copy_row: Option<u64>,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlstate {}", self.sqlstate)?;
        if let Some(condition) = sqlstate::condition(&self.sqlstate) {
            write!(f, " ({condition})")?;
        }
        for (label, name) in [
            ("constraint", &self.constraint),
            ("schema", &self.schema),
            ("table", &self.table),
            ("column", &self.column),
        ] {
            if let Some(name) = name {
                write!(f, ", {label} \"{name}\"")?;
            }
        }
        if let Some(row) = self.copy_row {
            write!(f, ", row {row} of the copy")?;
        }
        if self.sqlstate == CANCELLED {
            write!(f, ": ended by a person, or by postgres.statement_timeout_seconds")?;
        }
        Ok(())
    }
}

impl PgError {
    /// The SQLSTATE, where the server gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server(server) => Some(&server.sqlstate),
            _ => None,
        }
    }

    /// The constraint or unique index that was violated.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Server(server) => server.constraint.as_deref(),
            _ => None,
        }
    }

    /// 23505, on whichever index.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.sqlstate() == Some("23505")
    }

    /// 55P03: somebody holds a lock for longer than `lock_timeout`.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        self.sqlstate() == Some("55P03")
    }

    /// 57014: somebody has ended the statement, or its time was over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.sqlstate() == Some(CANCELLED)
    }

    /// The session is gone, or was never made: what it last sent may or may not have happened.
    #[must_use]
    pub fn is_connection_lost(&self) -> bool {
        match self {
            Self::Closed | Self::Network(_) | Self::Unresolved | Self::ConnectTimeout => true,
            Self::Server(server) => server.sqlstate.starts_with("08") || server.sqlstate.starts_with("57P"),
            Self::PoolTimeout | Self::Tls(_) | Self::UnknownDatabase(_) | Self::Driver(_) => false,
        }
    }
}

impl Classify for PgError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Server(server) => sqlstate::disposition(&server.sqlstate),
            Self::Closed | Self::Network(_) | Self::Unresolved | Self::ConnectTimeout => Disposition::Retry,
            Self::PoolTimeout => Disposition::Snooze { after: None },
            Self::Tls(_) | Self::UnknownDatabase(_) => Disposition::HaltWorker,
            // A statement that does not fit its code, or an answer that is no protocol: a few attempts, then failed.
            Self::Driver(_) => Disposition::Retry,
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Server(server) => format!("sqlstate_{}", server.sqlstate),
            Self::Closed => "connection_closed".to_owned(),
            Self::Network(_) => "network".to_owned(),
            Self::Unresolved => "name_unresolved".to_owned(),
            Self::ConnectTimeout => "connect_timeout".to_owned(),
            Self::PoolTimeout => "pool_timeout".to_owned(),
            Self::Tls(_) => "tls".to_owned(),
            Self::UnknownDatabase(_) => "unknown_database".to_owned(),
            Self::Driver(_) => "driver".to_owned(),
        }
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(server) = error.as_db_error() {
            return Self::Server(Box::new(ServerError {
                sqlstate: server.code().code().to_owned(),
                schema: server.schema().map(ToOwned::to_owned),
                table: server.table().map(ToOwned::to_owned),
                column: server.column().map(ToOwned::to_owned),
                constraint: server.constraint().map(ToOwned::to_owned),
                copy_row: server.where_().and_then(copy_row),
            }));
        }
        if error.is_closed() {
            return Self::Closed;
        }
        match error.source() {
            Some(cause) => from_cause(cause).unwrap_or_else(|| Self::Driver(error.to_string())),
            None => Self::Driver(error.to_string()),
        }
    }
}

/// The number of `COPY patients, line 3, column name` in an error's context, and nothing else of it. A server that
/// speaks another language is not understood.
fn copy_row(context: &str) -> Option<u64> {
    let copy = context.lines().find_map(|line| line.strip_prefix("COPY "))?;
    let (_, rest) = copy.split_once(", line ")?;
    let digits = rest.find(|byte: char| !byte.is_ascii_digit()).map_or(Some(rest), |end| rest.get(..end))?;
    digits.parse().ok()
}

/// The line's errors, by type. TLS errors arrive wrapped in an `io::Error`.
fn from_cause(cause: &(dyn std::error::Error + 'static)) -> Option<PgError> {
    let io = cause.downcast_ref::<io::Error>()?;
    if let Some(tls) = io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return Some(PgError::Tls(tls.to_string()));
    }
    // The standard library has no kind for it.
    if io.to_string().starts_with("failed to lookup address information") {
        return Some(PgError::Unresolved);
    }
    Some(match io.kind() {
        io::ErrorKind::UnexpectedEof => PgError::Closed,
        io::ErrorKind::TimedOut => PgError::ConnectTimeout,
        kind => PgError::Network(kind),
    })
}

impl From<deadpool_postgres::PoolError> for PgError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::{PoolError, TimeoutType};
        match error {
            PoolError::Backend(inner) => inner.into(),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => Self::ConnectTimeout,
            PoolError::Timeout(TimeoutType::Wait) => Self::PoolTimeout,
            PoolError::Closed => Self::Driver("the pool is closed".to_owned()),
            PoolError::NoRuntimeSpecified => Self::Driver("the pool has no runtime".to_owned()),
            PoolError::PostCreateHook(_) => Self::Driver("the pool refused a new connection".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_prints_code_and_names_only() {
        let error = PgError::Server(Box::new(ServerError {
            sqlstate: "23505".into(),
            schema: Some("clinic".into()),
            table: Some("patients".into()),
            column: None,
            constraint: Some("patients_pkey".into()),
            copy_row: Some(7),
        }));
        assert_eq!(
            error.to_string(),
            "sqlstate 23505 (unique_violation), constraint \"patients_pkey\", schema \"clinic\", table \"patients\", \
             row 7 of the copy"
        );
        assert_eq!(error.class(), "sqlstate_23505");
        assert!(error.source().is_none());
    }

    #[test]
    fn of_an_errors_context_the_row_is_taken_and_nothing_else() {
        assert_eq!(copy_row("COPY patients, line 12, column name: \"Ann\""), Some(12));
        assert_eq!(copy_row("PL/pgSQL function f() line 3 at RAISE\nCOPY patients, line 12"), Some(12));
        for context in ["SQL statement \"select 1\"", "COPY patients, Zeile 12", "COPY patients, line ", ""] {
            assert_eq!(copy_row(context), None, "{context}");
        }
    }

    #[test]
    fn a_broken_line_is_retried() {
        assert_eq!(PgError::Closed.disposition(), Disposition::Retry);
        assert_eq!(PgError::Network(io::ErrorKind::ConnectionReset).disposition(), Disposition::Retry);
        assert_eq!(PgError::Tls("refused".into()).disposition(), Disposition::HaltWorker);
    }
}
