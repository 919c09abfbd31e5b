//! Errors in Snowflake's form: a six-digit code, a SQLSTATE and a message, as the SQL API's 422 body carries them.
//!
//! Codes are those of docs.snowflake.com and of the drivers' tests. The message may quote a value, as Snowflake's
//! does: this crate is a test double and its users must cope with that.

use tokio_postgres::error::SqlState;

/// A failed statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({sql_state}): {message}")]
pub struct SqlError {
    /// Snowflake's error number, six digits, e.g. `001003`.
    pub code: String,
    /// Five characters, e.g. `42000`.
    pub sql_state: String,
    /// Snowflake's text.
    pub message: String,
}

impl SqlError {
    /// An error with Snowflake's `code` and `sql_state`.
    pub fn new(code: &str, sql_state: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), sql_state: sql_state.to_owned(), message: message.into() }
    }

    /// 001003: the text is not SQL.
    pub(crate) fn syntax(message: &str) -> Self {
        Self::new("001003", "42000", format!("SQL compilation error:\n{message}"))
    }

    /// 000002: Snowflake may know it, the emulator does not; never answered by a guess.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Self {
        let message = format!("SQL compilation error:\nUnsupported feature '{what}' (snowflake-emulator).");
        Self::new("000002", "0A000", message)
    }

    /// 002140: a function nobody knows.
    pub(crate) fn unknown_function(name: &str) -> Self {
        Self::new("002140", "42601", format!("SQL compilation error:\nUnknown function {name}"))
    }

    /// 000904: a column that is not there.
    pub(crate) fn invalid_identifier(name: &str) -> Self {
        Self::new(
            "000904",
            "42000",
            format!("SQL compilation error: error line 1\ninvalid identifier '{name}'"),
        )
    }

    /// 002003: the object is not there, or the role may not see it: Snowflake does not tell which.
    pub(crate) fn no_such_object(kind: &str, name: &str) -> Self {
        let message = format!("SQL compilation error:\n{kind} '{name}' does not exist or not authorized.");
        let state = if kind == "Object" || kind == "Table" { "42S02" } else { "02000" };
        Self::new("002003", state, message)
    }

    /// 000707: the moment is before the table's creation or outside its retention.
    pub(crate) fn no_time_travel(table: &str) -> Self {
        let message = format!(
            "Time travel data is not available for table {table}. The requested time is either beyond the \
             allowed time travel period or before the object creation time."
        );
        Self::new("000707", "02000", message)
    }

    /// 001007: the types of an operator's or a function's operands do not fit.
    pub(crate) fn invalid_types(what: &str, types: &str) -> Self {
        let message =
            format!("SQL compilation error:\nInvalid argument types for function '{what}': ({types})");
        Self::new("001044", "42P13", message)
    }

    /// 000938: a function with the wrong number of arguments.
    pub(crate) fn argument_count(name: &str) -> Self {
        Self::new(
            "000938",
            "22023",
            format!("SQL compilation error:\nwrong number of arguments for function [{name}]"),
        )
    }

    /// A failure of the emulator itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new("000603", "XX000", message)
    }
}

/// The support functions in bootstrap.sql raise SQLSTATE `SFxxx`, the last three digits of Snowflake's code.
const RAISED: [(&str, &str, &str); 9] = [
    ("SF035", "100035", "22007"),
    ("SF036", "100036", "22007"),
    ("SF037", "100037", "22018"),
    ("SF038", "100038", "22018"),
    ("SF040", "100040", "22007"),
    ("SF046", "100046", "22003"),
    ("SF069", "100069", "22P02"),
    ("SF078", "100078", "22000"),
    ("SF115", "100115", "22000"),
];

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::internal(format!("the emulator's storage failed: {error}"));
        };
        let state = db.code();
        if let Some((_, code, sql_state)) = RAISED.iter().find(|(raised, _, _)| *raised == state.code()) {
            return Self::new(code, sql_state, db.message());
        }
        if *state == SqlState::DIVISION_BY_ZERO {
            Self::new("100051", "22012", "Division by zero")
        } else if *state == SqlState::NUMERIC_VALUE_OUT_OF_RANGE {
            Self::new("100046", "22003", "Number out of representable range")
        } else if *state == SqlState::NOT_NULL_VIOLATION {
            Self::new("100072", "22000", "NULL result in a non-nullable column")
        } else if *state == SqlState::STRING_DATA_RIGHT_TRUNCATION {
            Self::new("100078", "22000", "String is too long and would be truncated")
        } else if *state == SqlState::QUERY_CANCELED {
            Self::new("000604", "57014", "SQL execution canceled")
        } else if *state == SqlState::GROUPING_ERROR {
            let message =
                "SQL compilation error: an expression of the SELECT list is not a valid group by expression";
            Self::new("000979", "42601", message)
        } else if *state == SqlState::CARDINALITY_VIOLATION {
            Self::new("090150", "22000", "Single-row subquery returns more than one row.")
        } else {
            Self::internal(format!("storage error {}: {}", state.code(), db.message()))
        }
    }
}

impl From<deadpool_postgres::PoolError> for SqlError {
    fn from(error: deadpool_postgres::PoolError) -> Self {
        match error {
            deadpool_postgres::PoolError::Backend(error) => error.into(),
            other => Self::internal(format!("no connection to the emulator's storage: {other}")),
        }
    }
}
