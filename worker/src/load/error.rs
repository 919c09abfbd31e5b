//! What ends a load without its rows.

use thaw_model::{Classify, Disposition};
use thaw_postgres::PgError;
use thaw_status::{CommitError, StoreError};

use super::Way;
use crate::encode::EncodeError;

/// Nothing was committed, except where [`LoadError::Commit`] says that nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The source's rows could not be read or encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// PostgreSQL refused the rows.
    #[error("load: {0}")]
    Postgres(PgError),
    /// The transaction could not begin or complete.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The COMMIT failed, or nobody knows.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// 23505 on the arbiter under COPY: the rows are to be fetched and loaded again in another way, in the same
    /// attempt. [`LoadError::redo`] says which.
    #[error("duplicate key in unique index \"{index}\"")]
    DuplicateKey { index: String, redo: Way },
    /// The source sent another number of rows than it counted in the same snapshot, or declared of its result.
    #[error("the source sent {fetched} rows where its snapshot or result has {expected}")]
    WrongRowCount { expected: i64, fetched: i64 },
    /// The chunks of the table have set aside more rows than `max_bad_rows`.
    #[error("{found} bad rows in the table, of which max_bad_rows allows {limit}")]
    TooManyBadRows { limit: u32, found: i64 },
    /// Another chunk of the table counts and sets aside bad rows, and was waited for in vain.
    #[error("another chunk of the table sets bad rows aside, and has not ended yet")]
    BadRowsBusy,
    /// PostgreSQL took another number of rows than were sent.
    #[error("sent {sent} rows to a staging table that received {received}")]
    WrongStagedCount { sent: i64, received: i64 },
    /// The target is not what the plan was made for. `change` holds names and types only; `cause` is what the server
    /// said of it, where it was the server that noticed.
    #[error("the target is not as it was planned: {change}{}", cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default())]
    TargetChanged { change: String, cause: Option<PgError> },
    /// No row came for too long while a COPY was open.
    #[error("the source sent nothing for {seconds} s while a copy was open")]
    SourceStalled { seconds: u64 },
    /// The plan asks for a way of loading that it does not equip.
    #[error("the plan has no unique index for its load mode")]
    NoArbiter,
}

impl LoadError {
    /// The way in which the same chunk is loaded next, in the same attempt: fetch it again for that.
    #[must_use]
    pub fn redo(&self) -> Option<Way> {
        match self {
            Self::DuplicateKey { redo, .. } => Some(*redo),
            _ => None,
        }
    }

    /// A lock of somebody else's was waited for in vain: `thaw_postgres::blocking` names who holds it.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        match self {
            Self::Postgres(error) | Self::Store(StoreError::Postgres(error)) => error.is_lock_timeout(),
            _ => false,
        }
    }

    /// 23503: passes while a parent table of the run is unfinished, which only the caller knows.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        match self {
            Self::Postgres(error) | Self::Commit(CommitError::RolledBack(StoreError::Postgres(error))) => {
                error.sqlstate() == Some("23503")
            }
            _ => false,
        }
    }
}

impl From<PgError> for LoadError {
    fn from(error: PgError) -> Self {
        Self::Postgres(error)
    }
}

impl From<tokio_postgres::Error> for LoadError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl Classify for LoadError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Encode(error) => error.disposition(),
            Self::Postgres(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
            Self::Commit(error) => error.disposition(),
            Self::DuplicateKey { .. } => Disposition::Fatal,
            Self::WrongRowCount { .. } | Self::WrongStagedCount { .. } | Self::SourceStalled { .. } => {
                Disposition::Retry
            }
            Self::BadRowsBusy => Disposition::Snooze { after: None },
            Self::NoArbiter | Self::TooManyBadRows { .. } | Self::TargetChanged { .. } => {
                Disposition::HaltTable
            }
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Encode(error) => return error.class(),
            Self::Postgres(error) => return error.class(),
            Self::Store(error) => return error.class(),
            Self::Commit(error) => return error.class(),
            Self::TargetChanged { cause: Some(cause), .. } => return cause.class(),
            Self::TargetChanged { cause: None, .. } => "target_changed",
            Self::DuplicateKey { .. } => "sqlstate_23505",
            Self::WrongRowCount { .. } => "wrong_row_count",
            Self::WrongStagedCount { .. } => "wrong_staged_count",
            Self::SourceStalled { .. } => "source_stalled",
            Self::NoArbiter => "no_arbiter",
            Self::TooManyBadRows { .. } => "too_many_bad_rows",
            Self::BadRowsBusy => "bad_rows_busy",
        }
        .to_owned()
    }
}
