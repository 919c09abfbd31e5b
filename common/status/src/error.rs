//! What the status store can answer instead of a result, and what that means for the chunk that met it.

use thaw_model::state::UnknownState;
use thaw_model::{Classify, Disposition};
use thaw_postgres::PgError;

/// An error of the status store. No variant holds a value of a row.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// PostgreSQL refused, or was not there.
    #[error("status store: {0}")]
    Postgres(PgError),
    /// Somebody else owns the thing now: nothing may be written about it any more.
    #[error("the fence is lost: somebody else has taken over")]
    FenceLost,
    /// The load transaction of an earlier owner of the chunk is still open.
    #[error("an earlier load transaction of the chunk is still open")]
    ChunkBusy,
    /// The server answered COMMIT with ROLLBACK.
    #[error("the server rolled the commit back")]
    CommitRefused,
    /// A table of the same run that the target refers to has failed: its rows would miss theirs.
    #[error("{table}, which it refers to by constraint \"{constraint}\", has failed")]
    ParentFailed { table: String, constraint: String },
    /// A table that is not truncated in this run refers to the target.
    #[error(
        "{table} refers to it by constraint \"{constraint}\" and is not truncated in this run, so that it cannot be \
         truncated; Thaw never cascades"
    )]
    TruncateReferenced { table: String, constraint: String },
    /// The status tables are not there.
    #[error("the status tables do not exist in database `{database}`: run `planner init`")]
    SchemaMissing { database: String },
    /// The role may not make the status tables; [`crate::schema_sql`] is what somebody else has to apply.
    #[error(
        "this role may not create the status tables in database `{database}`: let its owner apply schema.sql"
    )]
    SchemaDenied { database: String },
    /// A later release has been here.
    #[error(
        "the status tables of database `{database}` have version {found}, this program knows up to {known}: \
         use the newer program"
    )]
    SchemaNewer { database: String, found: i32, known: i32 },
    /// The tables were made by an earlier release.
    #[error(
        "the status tables of database `{database}` have version {found}, this program needs {known}: \
         run `planner init`"
    )]
    SchemaOlder { database: String, found: i32, known: i32 },
    /// A state this program does not know.
    #[error(transparent)]
    UnknownState(#[from] UnknownState),
    /// A stored plan, range or setting does not read back: it was written by a newer program.
    #[error("stored {what} does not read back: it was written by another version of this program")]
    Unreadable { what: &'static str },
    /// A value of ours that the tables cannot hold.
    #[error("{what} does not fit into the status tables")]
    Unwritable { what: &'static str },
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error.into())
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        Self::Postgres(error)
    }
}

impl StoreError {
    /// The SQLSTATE, where PostgreSQL gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Postgres(error) => error.sqlstate(),
            _ => None,
        }
    }

    /// 55P03: somebody holds a lock for longer than it was waited for.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.is_lock_timeout())
    }

    /// 57014: somebody has ended the statement, or its time was over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Postgres(error) if error.is_cancelled())
    }

    /// The database has no status tables: nobody ever planned anything there, or somebody dropped them.
    #[must_use]
    pub fn is_schema_missing(&self) -> bool {
        match self {
            Self::SchemaMissing { .. } => true,
            // undefined_table, invalid_schema_name; asked of statements on the status tables alone
            Self::Postgres(error) => matches!(error.sqlstate(), Some("42P01" | "3F000")),
            _ => false,
        }
    }
}

impl Classify for StoreError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Postgres(error) => error.disposition(),
            Self::FenceLost => Disposition::Abandon,
            Self::ChunkBusy => Disposition::Snooze { after: None },
            Self::CommitRefused => Disposition::Retry,
            Self::SchemaMissing { .. }
            | Self::SchemaDenied { .. }
            | Self::SchemaNewer { .. }
            | Self::SchemaOlder { .. }
            | Self::UnknownState(_)
            | Self::Unreadable { .. } => Disposition::HaltWorker,
            Self::ParentFailed { .. } | Self::TruncateReferenced { .. } => Disposition::HaltTable,
            Self::Unwritable { .. } => Disposition::Fatal,
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Postgres(error) => return error.class(),
            Self::FenceLost => "fence_lost",
            Self::ChunkBusy => "chunk_busy",
            Self::CommitRefused => "commit_refused",
            Self::ParentFailed { .. } => "parent_failed",
            Self::TruncateReferenced { .. } => "truncate_referenced",
            Self::SchemaMissing { .. } => "schema_missing",
            Self::SchemaDenied { .. } => "schema_denied",
            Self::SchemaNewer { .. } => "schema_newer",
            Self::SchemaOlder { .. } => "schema_older",
            Self::UnknownState(_) => "unknown_state",
            Self::Unreadable { .. } => "stored_unreadable",
            Self::Unwritable { .. } => "unwritable",
        }
        .to_owned()
    }
}

/// What became of a COMMIT that did not give a [`crate::Recorded`].
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Nothing was committed, for this reason.
    #[error("the load was rolled back")]
    RolledBack(#[source] StoreError),
    /// The connection was lost while COMMIT was on its way: read the row once ([`crate::read_chunk`]), the truth
    /// stands there.
    #[error("the connection was lost during commit: only the row knows the outcome")]
    Unknown(#[source] StoreError),
}

impl Classify for CommitError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::RolledBack(error) => error.disposition(),
            Self::Unknown(_) => Disposition::Unknown,
        }
    }

    fn class(&self) -> String {
        match self {
            Self::RolledBack(error) => error.class(),
            Self::Unknown(_) => "commit_unknown".to_owned(),
        }
    }
}
