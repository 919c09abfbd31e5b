//! The encoder's pieces on their way into a COPY, with a watchdog: nothing ends a COPY whose client waits for its
//! source, so the client itself must not wait for ever.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt as _;
use thaw_postgres::PgError;
use tokio_postgres::Transaction;

use super::{LoadError, sql};
use crate::encode::{EncodeError, Encoded, EncodedRows, Piece};

/// The rows of one attempt, of which the first piece may have been looked at.
pub(super) struct Stream {
    first: Option<Bytes>,
    rows: EncodedRows,
    stall: Duration,
}

/// How an attempt begins.
pub(super) enum Opening {
    /// The source has no row.
    Empty(Encoded),
    Rows(Stream),
}

impl Stream {
    /// Waits for the first piece, however long the source takes: no transaction is open yet.
    pub(super) async fn open(mut rows: EncodedRows, stall: Duration) -> Result<Opening, LoadError> {
        match rows.next().await {
            Some(Piece::Rows(bytes)) => Ok(Opening::Rows(Self { first: Some(bytes), rows, stall })),
            Some(Piece::End(encoded)) => Ok(Opening::Empty(encoded)),
            None => Err(EncodeError::LoadEnded.into()),
        }
    }

    /// Sends every piece and ends the COPY; returns what was encoded and the rows the server took. On an error the
    /// COPY is left unfinished, which the server treats as failed.
    pub(super) async fn copy_in(
        &mut self,
        transaction: &Transaction<'_>,
        statement: &str,
    ) -> Result<(Encoded, i64), LoadError> {
        let mut sink = pin!(match transaction.copy_in::<_, Bytes>(statement).await {
            Ok(sink) => sink,
            Err(error) => {
                give_up_connection(transaction).await;
                return Err(error.into());
            }
        });
        if let Some(first) = self.first.take() {
            sink.feed(first).await?;
        }
        thaw_faults::reach("during_copy");
        loop {
            match self.next().await? {
                Piece::Rows(bytes) => sink.feed(bytes).await?,
                Piece::End(encoded) => {
                    let copied = sink.finish().await?;
                    return Ok((encoded, i64::try_from(copied).unwrap_or(i64::MAX)));
                }
            }
        }
    }

    async fn next(&mut self) -> Result<Piece, LoadError> {
        loop {
            let before = self.rows.memory_waits().now();
            match tokio::time::timeout(self.stall, self.rows.next()).await {
                // The encoder went without a last word: its own error, which the caller holds, says why.
                Ok(piece) => return piece.ok_or_else(|| EncodeError::LoadEnded.into()),
                // The source was not asked for all of that time: other slots held the memory. They come to an end.
                Err(_) if self.rows.memory_waits().since(before) => {}
                Err(_) => return Err(LoadError::SourceStalled { seconds: self.stall.as_secs() }),
            }
        }
    }
}

/// After a COPY that was refused, the driver would pair answers with the wrong statements: the session must end. The
/// answer to this is of no interest, and may be another statement's.
async fn give_up_connection(transaction: &Transaction<'_>) {
    match transaction.batch_execute(sql::END_SESSION).await {
        Ok(()) => {}
        Err(error) => tracing::debug!(error = %PgError::from(error), "ended the session of a refused copy"),
    }
}
