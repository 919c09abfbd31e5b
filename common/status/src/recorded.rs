//! The proof that an item's state is in the status tables, without which no message can be acknowledged.
//!
//! Only this crate makes one, and only after a commit or a read. It must not be constructible anywhere else: a
//! compile-fail example holds that.

use std::fmt;

use thaw_model::{ChunkId, ChunkState, Job, RunId, TableId, TableState};

/// What a message was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    Chunk { run: RunId, chunk: ChunkId },
    Table { run: RunId, table: TableId },
}

impl Item {
    /// Whether the message speaks of this item.
    #[must_use]
    pub fn is_of(&self, job: &Job) -> bool {
        match (self, job) {
            (Self::Chunk { run, chunk }, Job::Chunk { run: job_run, chunk: job_chunk, .. }) => {
                run == job_run && chunk == job_chunk
            }
            (Self::Table { run, table }, Job::Table { run: job_run, table: job_table, .. }) => {
                run == job_run && table == job_table
            }
            (Self::Chunk { .. }, Job::Table { .. }) | (Self::Table { .. }, Job::Chunk { .. }) => false,
        }
    }
}

/// What the status tables say, so that the hint is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Rows and status are committed.
    Completed,
    /// The chunk has failed for good.
    Failed,
    /// The chunk is pending: redispatch hints at it again when it is due.
    Pending,
    /// Somebody holds it, or redispatch sees to its lapsed lease.
    Held,
    /// Cancelled or superseded.
    Closed,
    /// A table, in this state: redispatch looks after it.
    Table(TableState),
    /// These status tables have no such row.
    NotOurs,
}

impl Outcome {
    /// A stable label for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Closed => "closed",
            Self::Table(state) => state.as_str(),
            Self::NotOurs => "not_ours",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Proof that the state of `item` is in the status tables: what `ack` takes. There is no other way to one than a
/// function of this crate that has committed or read the row.
///
/// Its fields are private, so nobody else can make one up:
///
/// ```compile_fail,E0451
/// use thaw_model::{ChunkId, RunId, TableId};
/// use thaw_status::{Item, Outcome, Recorded};
///
/// let chunk = ChunkId { table: TableId(1), number: 0 };
/// let item = Item::Chunk { run: RunId::generate(), chunk };
/// let forged = Recorded { item, outcome: Outcome::Completed };
/// ```
///
/// It is the last line that does not compile:
///
/// ```
/// use thaw_model::{ChunkId, RunId, TableId};
/// use thaw_status::{Item, Outcome, Recorded};
///
/// let chunk = ChunkId { table: TableId(1), number: 0 };
/// let item = Item::Chunk { run: RunId::generate(), chunk };
/// # let (_, _): (Item, Option<Recorded>) = (item, None);
/// # let _ = Outcome::Completed;
/// ```
///
/// What is completed but not committed gives none either; `commit` does:
///
/// ```compile_fail,E0308
/// use thaw_status::{CompletedTx, Recorded};
///
/// fn early(completed: CompletedTx<'_>) -> Recorded {
///     completed
/// }
/// ```
///
/// ```
/// use thaw_status::{CommitError, CompletedTx, Recorded};
///
/// async fn in_time(completed: CompletedTx<'_>) -> Result<Recorded, CommitError> {
///     completed.commit().await
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a message stays with the broker until its proof is handed to ack"]
pub struct Recorded {
    item: Item,
    outcome: Outcome,
}

impl Recorded {
    pub(crate) fn chunk(run: RunId, chunk: ChunkId, outcome: Outcome) -> Self {
        Self { item: Item::Chunk { run, chunk }, outcome }
    }

    pub(crate) fn chunk_in(run: RunId, chunk: ChunkId, state: ChunkState) -> Self {
        let outcome = match state {
            ChunkState::Pending => Outcome::Pending,
            ChunkState::InProgress => Outcome::Held,
            ChunkState::Completed => Outcome::Completed,
            ChunkState::Failed => Outcome::Failed,
            ChunkState::Cancelled | ChunkState::Superseded => Outcome::Closed,
        };
        Self::chunk(run, chunk, outcome)
    }

    pub(crate) fn table(run: RunId, table: TableId, outcome: Outcome) -> Self {
        Self { item: Item::Table { run, table }, outcome }
    }

    #[must_use]
    pub fn item(&self) -> Item {
        self.item
    }

    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether this proof is about what the message names.
    #[must_use]
    pub fn is_of(&self, job: &Job) -> bool {
        self.item.is_of(job)
    }
}
