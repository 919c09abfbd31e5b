//! Statements that outlive who submitted them: submitted under a request id that the caller has written down, polled by
//! whoever is there, and read partition by partition by any process of the same user.
//!
//! Nothing here cancels a statement of its own accord: the handle and the request id are in the caller's books, and
//! another process may be reading. Source: docs.snowflake.com/en/developer-guide/sql-api/submitting-requests (request
//! ids), handling-responses (partitions), user-guide/querying-persisted-results (24 hours).

use std::fmt;

use bytes::Bytes;
use reqwest::Method;
use uuid::Uuid;

use crate::client::{Client, partition_reply, status_call};
use crate::error::{RESULT_TOO_LARGE, SnowflakeError, SqlFault};
use crate::partition::{PartitionRead, PartitionStats, RowSink};
use crate::request::{Body, Statement};
use crate::response::{Envelope, KeptResult, StatementHandle};
use crate::skim::skim;
use crate::transport::{BodyReader, Call, Reply};

/// Names a submission. To be persisted before the first [`Client::submit`]: it is what finds the statement again when the
/// process dies before it learns the handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestId {
    /// Never sent before.
    First(Uuid),
    /// May have been sent before. The server looks for it, and executes the statement only if nothing has come of it.
    Again(Uuid),
}

/// A statement that the server has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// To be polled.
    Running(StatementHandle),
    /// Done already.
    Finished(KeptResult),
}

/// What a look at a handle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Polled {
    Running,
    Finished(KeptResult),
    /// The server knows nothing of the handle: expired, another user's, or never there. Its execution is over.
    Gone,
}

/// A partition of a kept result, as the books name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPartition {
    pub handle: StatementHandle,
    /// From 0.
    pub number: usize,
    /// Columns of the result.
    pub columns: usize,
    /// What `partitionInfo` says of it.
    pub row_count: u64,
}

/// A partition whose body is here, or on its way.
pub struct FetchedPartition {
    partition: KeptPartition,
    held: Bytes,
    rest: Option<BodyReader>,
}

impl fmt::Debug for FetchedPartition {
    /// Without the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedPartition")
            .field("partition", &self.partition)
            .field("held", &self.held.len())
            .field("whole", &self.rest.is_none())
            .finish()
    }
}

impl Client {
    /// Submits asynchronously under a request id, and returns when the server has accepted the statement. An answer that
    /// is lost is asked for again under the same id. When the future is dropped the statement may run all the same; only
    /// [`RequestId::Again`] finds it then.
    ///
    /// # Errors
    /// See [`SnowflakeError`]. After a fault of the network the statement may run.
    pub async fn submit(
        &self,
        statement: &Statement,
        request: RequestId,
    ) -> Result<Submitted, SnowflakeError> {
        let body = serde_json::to_vec(&Body::of(statement)).map_err(|_| SnowflakeError::Gone)?;
        let (id, resubmission) = match request {
            RequestId::First(id) => (id, false),
            RequestId::Again(id) => (id, true),
        };
        let call = Call {
            method: Method::POST,
            path: String::new(),
            query: vec![("requestId", id.to_string()), ("async", "true".to_owned())],
            body: Some(body.into()),
            urgent: false,
            resubmission,
        };
        match self.shared.transport.call_with(&call, skim).await? {
            // With async=true the acceptance may come as 200, too: a handle and no metadata.
            Reply::Success(envelope) if envelope.is_running() => Ok(Submitted::Running(envelope.handle()?)),
            Reply::Success(envelope) => finished(envelope).map(Submitted::Finished),
            Reply::Running(envelope) => Ok(Submitted::Running(envelope.handle()?)),
            Reply::TimedOut(envelope) => {
                Err(SnowflakeError::StatementTimedOut { handle: envelope.handle().ok() })
            }
            Reply::Failed(envelope) => Err(SnowflakeError::sql(&envelope, None)),
        }
    }

    /// One look at a statement of the same user. The rows of partition 0, which come with the answer, are passed over:
    /// memory is that of the metadata.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; of a statement that failed, its error.
    pub async fn poll(&self, handle: &StatementHandle) -> Result<Polled, SnowflakeError> {
        match self.shared.transport.call_with(&status_call(handle, None), skim).await? {
            Reply::Success(envelope) if envelope.is_running() => Ok(Polled::Running),
            Reply::Success(envelope) => finished(envelope).map(Polled::Finished),
            Reply::Running(_) => Ok(Polled::Running),
            Reply::TimedOut(_) => Err(SnowflakeError::StatementTimedOut { handle: Some(handle.clone()) }),
            Reply::Failed(envelope) => match SnowflakeError::sql(&envelope, Some(handle.clone())) {
                SnowflakeError::Sql { fault: SqlFault::HandleExpired, .. } => Ok(Polled::Gone),
                error => Err(error),
            },
        }
    }

    /// Asks for a partition and reads its body ahead, as it travels (compressed), when it has at most `ahead` bytes. Such
    /// a body holds no connection while it waits to be read; faults on its way are mended here. A longer one is left in
    /// the connection, which the server may cut when nobody reads.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; a result that is gone is [`SqlFault::HandleExpired`].
    pub async fn fetch_partition(
        &self,
        partition: &KeptPartition,
        ahead: usize,
    ) -> Result<FetchedPartition, SnowflakeError> {
        // Partition 0 travels with the statement's status.
        let number = Some(partition.number).filter(|number| *number > 0);
        let call = status_call(&partition.handle, number);
        let reply = self.shared.transport.call_with(&call, |body| body.ahead(ahead)).await?;
        let (held, rest) = partition_reply(reply, &partition.handle)?;
        Ok(FetchedPartition { partition: partition.clone(), held, rest })
    }

    /// Reads a partition into `sink` as a stream, and checks its number of rows: needs the handle alone, and no other
    /// partition.
    ///
    /// # Errors
    /// The sink's own, and [`SnowflakeError`] converted into them. Rows given to the sink before an error are worth
    /// nothing.
    pub async fn read_partition_of<S: RowSink>(
        &self,
        partition: &KeptPartition,
        sink: &mut S,
    ) -> Result<PartitionStats, S::Error> {
        self.fetch_partition(partition, 0).await?.read(sink).await
    }
}

impl FetchedPartition {
    /// Bytes in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// All of the body is in memory.
    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Reads the rows into `sink`, and checks their number.
    ///
    /// # Errors
    /// As [`Client::read_partition_of`].
    pub async fn read<S: RowSink>(self, sink: &mut S) -> Result<PartitionStats, S::Error> {
        let Self { partition, held, rest } = self;
        let mut read = PartitionRead::new(partition.columns, sink);
        read.take(&held).await?;
        drop(held);
        if let Some(mut body) = rest {
            while let Some(piece) = body.next().await.map_err(S::Error::from)? {
                read.take(&piece).await?;
            }
        }
        let stats = read.finish()?;
        if stats.rows != partition.row_count {
            let (expected, actual) = (partition.row_count, stats.rows);
            return Err(SnowflakeError::RowCount { partition: partition.number, expected, actual }.into());
        }
        Ok(stats)
    }
}

fn finished(envelope: Envelope) -> Result<KeptResult, SnowflakeError> {
    // A result that is too large may come as a success that is incomplete.
    if envelope.code().as_deref() == Some(RESULT_TOO_LARGE) {
        return Err(SnowflakeError::sql(&envelope, None));
    }
    Ok(envelope.into_kept()?)
}
