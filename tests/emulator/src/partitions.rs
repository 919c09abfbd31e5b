//! Cuts a result into partitions and keeps them in the spool.
//!
//! Rows come in on an async task, blocks of JSON go to a blocking thread that compresses and writes, so that reading
//! from PostgreSQL, encoding and compressing overlap. Memory is a few blocks, whatever the result's size. Knows
//! neither SQL nor HTTP.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::adversity::{Cuts, Mood};
use crate::json_rows::{NullForm, RowBuffer};
use crate::spool::{Extent, Spool};

/// Bytes of JSON handed to the compressing thread at a time.
const BLOCK_BYTES: usize = 256 * 1024;
/// Blocks in flight: bounds memory at about 2 MB a statement.
const BLOCKS_IN_FLIGHT: usize = 8;
/// Compressed bytes written to the spool at a time.
const EXTENT_BYTES: usize = 1 << 20;
/// Partition 0 travels inside the first response and is small on real accounts.
const FIRST_PARTITION_BYTES_MAX: u64 = 1 << 20;

/// The most a partition may hold; how much below is the mood's choice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartitionLimits {
    /// Uncompressed bytes.
    pub(crate) bytes: u64,
    /// Rows.
    pub(crate) rows: u64,
    /// Partitions grow towards `bytes`, as they do on real accounts; else only the first one is small.
    pub(crate) grow: bool,
}

/// One partition in the spool.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// Rows in it.
    pub(crate) row_count: u64,
    /// Bytes of its JSON array.
    pub(crate) uncompressed_size: u64,
    /// Bytes in the spool: gzip of `{"data":[...]}`, or the plain array for partition 0.
    pub(crate) stored_size: u64,
    extents: Vec<Extent>,
}

/// All partitions of a finished result. Immutable; re-reading gives the same bytes.
#[derive(Debug)]
pub(crate) struct StoredPartitions {
    partitions: Vec<Partition>,
}

impl StoredPartitions {
    /// All partitions, at least one.
    pub(crate) fn list(&self) -> &[Partition] {
        &self.partitions
    }

    /// Rows in all partitions.
    pub(crate) fn row_count(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.row_count).sum()
    }

    /// The stored bytes of a partition; `None` if there is no such partition.
    ///
    /// # Errors
    /// What reading the spool gives.
    pub(crate) async fn read(&self, number: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(partition) = self.partitions.get(number) else { return Ok(None) };
        let extents = partition.extents.clone();
        tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::with_capacity(extents.iter().map(Extent::len).sum());
            for extent in &extents {
                extent.read_into(&mut bytes)?;
            }
            Ok(Some(bytes))
        })
        .await
        .map_err(io::Error::other)?
    }
}

/// Takes rows, ends partitions where the mood says.
#[derive(Debug)]
pub(crate) struct PartitionWriter {
    rows: RowBuffer,
    blocks: mpsc::Sender<Block>,
    spare: mpsc::UnboundedReceiver<Vec<u8>>,
    writer: JoinHandle<io::Result<StoredPartitions>>,
    limits: PartitionLimits,
    cuts: Cuts,
    first_rows_max: Option<u64>,
    index: u32,
    target: PartitionLimits,
    rows_here: u64,
    bytes_here: u64,
    /// In partitions that have ended.
    bytes_before: u64,
}

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    /// Rows of the partition that ends with this block.
    ends_with_rows: Option<u64>,
}

impl PartitionWriter {
    /// Starts a result in `spool`.
    ///
    /// # Errors
    /// If the writing thread has already failed.
    pub(crate) async fn start(
        spool: Arc<Spool>,
        limits: PartitionLimits,
        mood: Mood,
        null: NullForm,
    ) -> io::Result<Self> {
        let (blocks, block_receiver) = mpsc::channel(BLOCKS_IN_FLIGHT);
        let (spare_sender, spare) = mpsc::unbounded_channel();
        let writer = tokio::task::spawn_blocking(move || write_blocks(spool, block_receiver, &spare_sender));
        let mut this = Self {
            rows: RowBuffer::new(mood.spelling, null),
            blocks,
            spare,
            writer,
            limits,
            cuts: mood.cuts,
            first_rows_max: mood.first_rows_max,
            index: 0,
            target: limits,
            rows_here: 0,
            bytes_here: 0,
            bytes_before: 0,
        };
        this.choose_target();
        if mood.empty_first_partition {
            this.end_partition().await?;
        }
        Ok(this)
    }

    /// Adds a row, `write` appends its compact JSON array; waits when the compressing thread is behind.
    ///
    /// # Errors
    /// If the writing thread has failed.
    pub(crate) async fn row(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.rows.row(write);
        self.rows_here += 1;
        let bytes = self.bytes_here + self.rows.len() as u64;
        if self.rows_here >= self.target.rows || bytes >= self.target.bytes {
            self.end_partition().await
        } else if self.rows.len() >= BLOCK_BYTES {
            self.send_block(None).await
        } else {
            Ok(())
        }
    }

    /// Uncompressed bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes_before + self.bytes_here + self.rows.len() as u64
    }

    /// Ends the last partition and waits until all is stored.
    ///
    /// # Errors
    /// If writing failed.
    pub(crate) async fn finish(mut self) -> io::Result<StoredPartitions> {
        if self.rows_here > 0 || self.index == 0 {
            self.end_partition().await?;
        }
        drop(self.blocks);
        self.writer.await.map_err(io::Error::other)?
    }

    async fn end_partition(&mut self) -> io::Result<()> {
        self.send_block(Some(self.rows_here)).await?;
        self.rows.begin_partition();
        self.rows_here = 0;
        self.bytes_before += std::mem::take(&mut self.bytes_here);
        self.index += 1;
        self.choose_target();
        Ok(())
    }

    /// Sizes grow towards the limit, as they do on real accounts: 1 MB at most, then 4 MB, 8 MB, 16 MB and so on.
    fn choose_target(&mut self) {
        let ceiling = match self.index {
            0 => FIRST_PARTITION_BYTES_MAX,
            _ if !self.limits.grow => u64::MAX,
            index => FIRST_PARTITION_BYTES_MAX << (index + 1).min(20),
        };
        let mut rows = self.cuts.below(self.limits.rows);
        if self.index == 0 {
            rows = rows.min(self.first_rows_max.unwrap_or(rows));
        }
        let bytes = self.cuts.below(self.limits.bytes.min(ceiling));
        self.target = PartitionLimits { bytes, rows, ..self.limits };
    }

    async fn send_block(&mut self, ends_with_rows: Option<u64>) -> io::Result<()> {
        let spare = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(BLOCK_BYTES + 4096));
        self.bytes_here += self.rows.len() as u64;
        let bytes = self.rows.take(spare);
        let block = Block { bytes, ends_with_rows };
        self.blocks.send(block).await.map_err(|_| io::Error::other("the partition writer has stopped"))
    }
}

fn write_blocks(
    spool: Arc<Spool>,
    mut blocks: mpsc::Receiver<Block>,
    spare: &mpsc::UnboundedSender<Vec<u8>>,
) -> io::Result<StoredPartitions> {
    let mut partitions = Vec::new();
    while let Some(first) = blocks.blocking_recv() {
        let mut output = SpoolWriter { spool: Arc::clone(&spool), pending: Vec::new(), extents: Vec::new() };
        let (row_count, uncompressed_size) = if partitions.is_empty() {
            write_partition(&mut output, first, &mut blocks, spare, [b"[", b"]"])?
        } else {
            // Level 1: the reader's speed is measured, not our thrift.
            let mut gzip = GzEncoder::new(&mut output, Compression::fast());
            let counts = write_partition(&mut gzip, first, &mut blocks, spare, [b"{\"data\":[", b"]}"])?;
            gzip.finish()?;
            counts
        };
        output.flush()?;
        let stored_size = output.extents.iter().map(|extent| extent.len() as u64).sum();
        partitions.push(Partition { row_count, uncompressed_size, stored_size, extents: output.extents });
    }
    Ok(StoredPartitions { partitions })
}

/// Writes blocks until one ends the partition; gives its rows and the bytes of its array.
fn write_partition(
    output: &mut impl Write,
    first: Block,
    blocks: &mut mpsc::Receiver<Block>,
    spare: &mpsc::UnboundedSender<Vec<u8>>,
    [opening, closing]: [&[u8]; 2],
) -> io::Result<(u64, u64)> {
    output.write_all(opening)?;
    let mut block = first;
    let mut bytes = 2;
    loop {
        output.write_all(&block.bytes)?;
        bytes += block.bytes.len() as u64;
        // The buffer goes back to the encoder, who may be gone.
        drop(spare.send(block.bytes));
        if let Some(row_count) = block.ends_with_rows {
            output.write_all(closing)?;
            return Ok((row_count, bytes));
        }
        block = blocks
            .blocking_recv()
            .ok_or_else(|| io::Error::other("the statement ended inside a partition"))?;
    }
}

struct SpoolWriter {
    spool: Arc<Spool>,
    pending: Vec<u8>,
    extents: Vec<Extent>,
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= EXTENT_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.extents.push(self.spool.store(&self.pending)?);
            self.pending.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use serde_json::Value;

    use super::*;
    use crate::adversity::Adversity;

    async fn write(rows: u64, adversity: &Adversity, limits: PartitionLimits) -> StoredPartitions {
        let folder = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(folder.path()).unwrap());
        let mut writer =
            PartitionWriter::start(spool, limits, adversity.next_mood(), NullForm::Null).await.unwrap();
        for number in 0..rows {
            let row = format!("[\"{number}\"]");
            writer.row(|out| out.extend_from_slice(row.as_bytes())).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    async fn read_back(stored: &StoredPartitions) -> Vec<u64> {
        let mut seen = Vec::new();
        for (number, partition) in stored.list().iter().enumerate() {
            let bytes = stored.read(number).await.unwrap().unwrap();
            let rows: Value = if number == 0 {
                serde_json::from_slice(&bytes).unwrap()
            } else {
                let mut plain = Vec::new();
                flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
                serde_json::from_slice::<Value>(&plain).unwrap()["data"].take()
            };
            let rows = rows.as_array().unwrap();
            assert_eq!(rows.len() as u64, partition.row_count);
            seen.extend(rows.iter().map(|row| row[0].as_str().unwrap().parse::<u64>().unwrap()));
        }
        seen
    }

    #[tokio::test]
    async fn partitions_hold_every_row_once_and_in_order_however_they_are_cut() {
        let adversity = Adversity::new(7, false, true);
        for rows in [0, 1, 2, 999, 60_000] {
            for _ in 0..6 {
                let stored =
                    write(rows, &adversity, PartitionLimits { bytes: 50_000, rows: 700, grow: true }).await;
                assert_eq!(stored.row_count(), rows);
                assert_eq!(read_back(&stored).await, (0..rows).collect::<Vec<_>>());
            }
        }
    }

    #[tokio::test]
    async fn a_calm_server_cuts_at_the_limit() {
        let adversity = Adversity::new(7, true, true);
        let stored = write(25, &adversity, PartitionLimits { bytes: 1 << 30, rows: 10, grow: true }).await;
        let counts: Vec<_> = stored.list().iter().map(|partition| partition.row_count).collect();
        assert_eq!(counts, [10, 10, 5]);
        assert!(stored.read(3).await.unwrap().is_none());
    }
}
