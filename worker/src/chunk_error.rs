//! What can end an attempt at a chunk, whichever stage it ended in.

use thaw_model::{Classify, Disposition};
use thaw_snowflake::{SnowflakeError, SqlFault};
use thaw_status::StoreError;
use thaw_telemetry::Stage;

use crate::encode::EncodeError;
use crate::load::LoadError;

/// Why an attempt ended without its rows in the target.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// The rows were not fetched, not encoded or not loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The status store did not answer, or refused.
    #[error("plan of the chunk's table could not be read")]
    Store(#[source] StoreError),
    /// The table has no plan.
    #[error("plan of the chunk's table is missing")]
    PlanMissing,
    /// A defect of this program, met by this chunk.
    #[error("a defect of this program ended the attempt; the log names the place")]
    Panicked,
    /// The heartbeat found the chunk in other hands.
    #[error("lease is lost")]
    LeaseLost,
    /// This process is shutting down.
    #[error("worker is shutting down")]
    Interrupted,
    /// The attempt was dropped while its COMMIT may have been on the way.
    #[error("attempt was dropped during commit")]
    DroppedInCommit,
}

impl From<EncodeError> for ChunkError {
    fn from(error: EncodeError) -> Self {
        Self::Load(error.into())
    }
}

impl ChunkError {
    /// Where it happened, for metrics and logs.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Load(error) => stage_of_load(error),
            Self::Store(_) | Self::PlanMissing => Stage::Claim,
            Self::DroppedInCommit => Stage::Commit,
            Self::Panicked | Self::LeaseLost | Self::Interrupted => Stage::Load,
        }
    }

    /// A lock of somebody else's was waited for in vain.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Load(error) if error.is_lock_timeout())
    }

    /// 23503: a row refers to one that is not in the target, or not yet.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        matches!(self, Self::Load(error) if error.is_foreign_key_violation())
    }

    /// The moment that every chunk of the execution reads is out of reach: for none of them can it be read any more.
    #[must_use]
    pub fn is_snapshot_gone(&self) -> bool {
        matches!(
            self,
            Self::Load(LoadError::Encode(EncodeError::Source(SnowflakeError::Sql {
                fault: SqlFault::SnapshotGone,
                ..
            })))
        )
    }

    /// The result that a chunk's partitions belong to is not to be had: it has expired, or is another user's.
    #[must_use]
    pub fn is_result_gone(&self) -> bool {
        matches!(
            self,
            Self::Load(LoadError::Encode(EncodeError::Source(SnowflakeError::Sql {
                fault: SqlFault::HandleExpired,
                ..
            })))
        )
    }

    /// The trouble is the source's, not the target database's.
    #[must_use]
    pub fn is_of_source(&self) -> bool {
        matches!(self, Self::Load(LoadError::Encode(EncodeError::Source(_))))
    }
}

fn stage_of_load(error: &LoadError) -> Stage {
    match error {
        LoadError::Encode(EncodeError::Source(_))
        | LoadError::WrongRowCount { .. }
        | LoadError::SourceStalled { .. } => Stage::Fetch,
        LoadError::Encode(
            EncodeError::BadRow { .. }
            | EncodeError::CannotBeNull { .. }
            | EncodeError::TooManyBadRows { .. }
            | EncodeError::Plan { .. }
            | EncodeError::Shape
            | EncodeError::LoadEnded,
        ) => Stage::Decode,
        LoadError::Commit(_) => Stage::Commit,
        LoadError::Postgres(_)
        | LoadError::TooManyBadRows { .. }
        | LoadError::BadRowsBusy
        | LoadError::TargetChanged { .. }
        | LoadError::Store(_)
        | LoadError::DuplicateKey { .. }
        | LoadError::WrongStagedCount { .. }
        | LoadError::NoArbiter => Stage::Load,
    }
}

impl Classify for ChunkError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Load(error) => error.disposition(),
            Self::Store(error) => error.disposition(),
            Self::PlanMissing | Self::Panicked => Disposition::Fatal,
            Self::LeaseLost => Disposition::Abandon,
            Self::Interrupted => Disposition::Interrupted,
            Self::DroppedInCommit => Disposition::Unknown,
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Load(error) => error.class(),
            Self::Store(error) => error.class(),
            Self::PlanMissing => "plan_missing".to_owned(),
            Self::Panicked => "panic".to_owned(),
            Self::LeaseLost => "lease_lost".to_owned(),
            Self::Interrupted | Self::DroppedInCommit => "interrupted".to_owned(),
        }
    }
}
