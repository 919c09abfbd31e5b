//! Why a value cannot be held by its target column, and what becomes of its row. No variant holds the value.

use thaw_model::{Classify, Disposition, PgIdent};
use thaw_postgres::copy::FieldError;
use thaw_snowflake::{DecodeError, SnowflakeError};

/// The reason, in words that end up in the status tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    #[error("the source's text is not of its type: {0}")]
    Decode(#[from] DecodeError),
    #[error("{0}")]
    Field(#[from] FieldError),
    #[error("null in a column that is not null")]
    Null,
    #[error("null in a key column, whose index holds nulls distinct")]
    NullKey,
    #[error(
        "key that the column would change (digits of a second, or blanks at the end), so that two could become one"
    )]
    KeyWouldChange,
    #[error("number out of the column's range")]
    NumberOutOfRange,
    #[error("number with more decimals than the column keeps (set lossy to round it)")]
    NumberWouldChange,
    #[error("nan or infinity in a column without them")]
    NotFinite,
    #[error("number other than 0 and 1 for a boolean")]
    NotZeroOrOne,
    #[error("number with more than 38 digits")]
    TooManyDigits,
    #[error("text longer than the column")]
    TextTooLong,
    #[error("nul character in text")]
    NulInText,
    #[error("\\u0000 or a broken surrogate pair in jsonb")]
    CharacterNotInJsonb,
    #[error("text is no number")]
    NotANumber,
    #[error("text is no boolean")]
    NotABoolean,
    #[error("text is no iso date")]
    NotADate,
    #[error("text is no iso time")]
    NotATime,
    #[error("text is no iso timestamp")]
    NotATimestamp,
    #[error("text is no uuid")]
    NotAUuid,
    #[error("text is no json")]
    NotJson,
    #[error("text is no label of the enum, as the plan knows it")]
    NotALabel,
    #[error("json is no array")]
    NotAnArray,
    #[error("an element of the array is of another kind than the column's elements")]
    ElementMismatch,
    #[error("the row is longer than 1 GB")]
    RowTooLong,
    #[error("timestamp with a time of day in a date column (set lossy to drop it)")]
    TimestampWouldChange,
    #[error("a value of another kind than its column")]
    Mismatch,
}

/// What ends the encoding of a chunk.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Reading the source failed.
    #[error(transparent)]
    Source(#[from] SnowflakeError),
    /// A bad row under `on_bad_row = fail`.
    #[error("row {ordinal} of the chunk, column \"{column}\": {reason}")]
    BadRow { column: PgIdent, ordinal: i64, reason: BadValue },
    /// A bad row under `on_bad_row = null`, in a column that takes none.
    #[error("row {ordinal} of the chunk, column \"{column}\": {reason}; the column cannot be null instead")]
    CannotBeNull { column: PgIdent, ordinal: i64, reason: BadValue },
    /// More bad rows than `max_bad_rows`.
    #[error("more than {limit} bad rows; the last in row {ordinal}, column \"{column}\": {reason}")]
    TooManyBadRows { limit: u32, column: PgIdent, ordinal: i64, reason: BadValue },
    /// The plan names a pair of types without an encoding, or more columns than COPY can carry.
    #[error("column \"{column}\" cannot be encoded: {reason}")]
    Plan { column: PgIdent, reason: &'static str },
    /// The result has other columns than the plan.
    #[error("the result has more or fewer columns than the plan")]
    Shape,
    /// The load ended before the rows did; its own error says why.
    #[error("the load ended before its rows did")]
    LoadEnded,
}

impl Classify for EncodeError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Source(error) => error.disposition(),
            Self::BadRow { .. } | Self::CannotBeNull { .. } => Disposition::Fatal,
            Self::TooManyBadRows { .. } | Self::Plan { .. } | Self::Shape => Disposition::HaltTable,
            Self::LoadEnded => Disposition::Retry,
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Source(error) => return error.class(),
            Self::BadRow { .. } | Self::CannotBeNull { .. } => "bad_row",
            Self::TooManyBadRows { .. } => "too_many_bad_rows",
            Self::Plan { .. } => "unloadable_plan",
            Self::Shape => "result_shape",
            Self::LoadEnded => "load_ended",
        }
        .to_owned()
    }
}
