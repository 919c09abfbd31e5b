//! The message on the queue: a hint that says "look at this row". It carries ids, never ranges or SQL.

use serde::{Deserialize, Serialize};

use crate::id::{ChunkId, RunId, TableId};

/// The version this program writes. Readers accept every version up to it.
const VERSION: u8 = 1;

/// What a message names. Losing, doubling or reordering jobs costs a spare claim, never a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Job {
    /// A chunk that may be claimed.
    Chunk { database: String, run: RunId, chunk: ChunkId },
    /// A table that may be ready to start or to finalize.
    Table { database: String, run: RunId, table: TableId },
}

/// Why bytes are no job. The bytes go to the dead queue.
#[derive(Debug, thiserror::Error)]
pub enum JobDecodeError {
    #[error("message is not a job")]
    Malformed(#[from] rmp_serde::decode::Error),
    #[error("message has version {0}, this program reads up to {VERSION}")]
    FutureVersion(u8),
}

/// A map on the wire (MessagePack, field names included), so that an older reader skips fields it does not know.
#[derive(Serialize, Deserialize)]
struct Wire {
    version: u8,
    database: String,
    run: RunId,
    table: TableId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunk: Option<i32>,
}

impl Job {
    /// The target database whose status tables hold the row.
    #[must_use]
    pub fn database(&self) -> &str {
        match self {
            Self::Chunk { database, .. } | Self::Table { database, .. } => database,
        }
    }

    #[must_use]
    pub fn run(&self) -> RunId {
        match self {
            Self::Chunk { run, .. } | Self::Table { run, .. } => *run,
        }
    }

    #[must_use]
    pub fn table(&self) -> TableId {
        match self {
            Self::Chunk { chunk, .. } => chunk.table,
            Self::Table { table, .. } => *table,
        }
    }

    /// The bytes of the message.
    ///
    /// # Panics
    /// Never: a map of strings and integers always has a MessagePack form.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a map of strings and integers always has a MessagePack form")]
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            version: VERSION,
            database: self.database().to_owned(),
            run: self.run(),
            table: self.table(),
            chunk: match self {
                Self::Chunk { chunk, .. } => Some(chunk.number),
                Self::Table { .. } => None,
            },
        };
        rmp_serde::to_vec_named(&wire).expect("a job is encodable")
    }

    /// Reads a message.
    ///
    /// # Errors
    /// What is not MessagePack, lacks a field, or was written by a newer program.
    pub fn decode(bytes: &[u8]) -> Result<Self, JobDecodeError> {
        let wire: Wire = rmp_serde::from_slice(bytes)?;
        if wire.version > VERSION {
            return Err(JobDecodeError::FutureVersion(wire.version));
        }
        Ok(match wire.chunk {
            Some(number) => Self::Chunk {
                database: wire.database,
                run: wire.run,
                chunk: ChunkId { table: wire.table, number },
            },
            None => Self::Table { database: wire.database, run: wire.run, table: wire.table },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Future {
        version: u8,
        database: &'static str,
        run: RunId,
        table: i64,
        chunk: i32,
        added_later: bool,
    }

    #[test]
    fn a_job_survives_the_wire() {
        let run = RunId::generate();
        let chunk = ChunkId { table: TableId(7), number: 3 };
        for job in [
            Job::Chunk { database: "db".into(), run, chunk },
            Job::Table { database: "db".into(), run, table: TableId(7) },
        ] {
            assert_eq!(Job::decode(&job.encode()).expect("decodes"), job);
        }
    }

    #[test]
    fn a_field_of_a_later_version_is_skipped_and_a_later_version_refused() {
        let mut future = Future {
            version: 1,
            database: "db",
            run: RunId::generate(),
            table: 1,
            chunk: 2,
            added_later: true,
        };
        let bytes = rmp_serde::to_vec_named(&future).expect("encodes");
        assert!(Job::decode(&bytes).is_ok());
        future.version = 2;
        let bytes = rmp_serde::to_vec_named(&future).expect("encodes");
        assert!(matches!(Job::decode(&bytes), Err(JobDecodeError::FutureVersion(2))));
        assert!(matches!(Job::decode(b"\xff\x00junk"), Err(JobDecodeError::Malformed(_))));
    }
}
