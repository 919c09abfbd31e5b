//! Reads partitions one after the other, and fetches the next while this one is being read.
//!
//! What is fetched ahead is the body as it travels, compressed and bounded: a partition of 16 MB of JSON is some 3 MB.
//! It holds no connection while it waits, for a server may cut a body that nobody reads.

use std::collections::VecDeque;

use crate::client::Client;
use crate::error::SnowflakeError;
use crate::kept::{FetchedPartition, KeptPartition};
use crate::partition::{PartitionStats, RowSink};

/// Partitions that are still to be read, in order.
#[derive(Debug)]
pub struct ReadAhead {
    client: Client,
    partitions: VecDeque<KeptPartition>,
    bytes_ahead: usize,
    fetched: Option<FetchedPartition>,
    /// A body was longer than may be held: the rest are asked for when their turn comes.
    in_turn: bool,
}

impl Client {
    /// Partitions to be read in this order. At most twice `bytes_ahead` of compressed bodies are in memory: of the
    /// partition that is being read, and of the next one. A longer body is streamed.
    pub fn read_ahead(
        &self,
        partitions: impl IntoIterator<Item = KeptPartition>,
        bytes_ahead: usize,
    ) -> ReadAhead {
        let partitions = partitions.into_iter().collect();
        ReadAhead { client: self.clone(), partitions, bytes_ahead, fetched: None, in_turn: false }
    }
}

impl ReadAhead {
    /// Fetches the next partition unless that is done. One that is too long to be held is given back: opened and left
    /// unread it would keep a connection and a permit, and the server may cut it.
    ///
    /// # Errors
    /// As [`Client::fetch_partition`].
    pub async fn fetch_next(&mut self) -> Result<(), SnowflakeError> {
        if self.fetched.is_some() || self.in_turn {
            return Ok(());
        }
        let Some(next) = self.partitions.front() else { return Ok(()) };
        let fetched = self.client.fetch_partition(next, self.bytes_ahead).await?;
        if fetched.is_whole() {
            self.partitions.pop_front();
            self.fetched = Some(fetched);
        } else {
            self.in_turn = true;
        }
        Ok(())
    }

    /// Reads the next partition into `sink`, and fetches the one after it meanwhile. `None`: there is none.
    ///
    /// # Errors
    /// As [`Client::read_partition_of`], of either partition.
    pub async fn read_next<S: RowSink>(&mut self, sink: &mut S) -> Result<Option<PartitionStats>, S::Error> {
        let fetched = match self.fetched.take() {
            Some(fetched) => fetched,
            None => match self.partitions.pop_front() {
                // Held whole it can be fetched again when it is cut.
                Some(next) => {
                    let held = if self.in_turn { 0 } else { self.bytes_ahead };
                    self.client.fetch_partition(&next, held).await?
                }
                None => return Ok(None),
            },
        };
        let meanwhile = async { self.fetch_next().await.map_err(S::Error::from) };
        let (stats, ()) = tokio::try_join!(fetched.read(sink), meanwhile)?;
        Ok(Some(stats))
    }
}
