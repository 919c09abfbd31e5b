//! Reads one partition as a stream: body, gunzip, scanner, sink. Memory is one row and small buffers.

use std::future::Future;

use crate::error::SnowflakeError;
use crate::gunzip::Gunzip;
use crate::scanner::Scanner;

/// Receives the cells of a result, row by row, in order.
///
/// `cell` and `end_row` only buffer; `flush` is awaited after each piece of the body (64 KiB of JSON at most), so
/// that a sink can hold the reader back. After an error nothing more is called.
pub trait RowSink: Send {
    type Error: From<SnowflakeError> + Send;

    /// The text of one cell, `None` for NULL. Columns come in order, from 0.
    ///
    /// # Errors
    /// What the sink cannot accept; reading stops.
    fn cell(&mut self, column: usize, value: Option<&str>) -> Result<(), Self::Error>;

    /// Every column of the row was given.
    ///
    /// # Errors
    /// What the sink cannot accept; reading stops.
    fn end_row(&mut self) -> Result<(), Self::Error>;

    /// Before each `flush`: the reader holds so many bytes of a cell whose end has not come.
    fn reader_holds(&mut self, _bytes: usize) {}

    /// Passes on what is buffered; may wait. Not called again after a read ends, be it well or not.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// What was read of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionStats {
    pub rows: u64,
    /// Bytes of the body as it travelled.
    pub compressed_bytes: u64,
    /// Bytes of JSON.
    pub bytes: u64,
}

/// One partition on its way from the body's pieces to the sink.
pub(crate) struct PartitionRead<'a, S> {
    gunzip: Gunzip,
    scanner: Scanner,
    stats: PartitionStats,
    sink: &'a mut S,
}

impl<'a, S: RowSink> PartitionRead<'a, S> {
    pub(crate) fn new(columns: usize, sink: &'a mut S) -> Self {
        Self { gunzip: Gunzip::new(), scanner: Scanner::new(columns), stats: PartitionStats::default(), sink }
    }

    /// Takes a piece of the body of any size.
    pub(crate) async fn take(&mut self, mut input: &[u8]) -> Result<(), S::Error> {
        self.stats.compressed_bytes += input.len() as u64;
        loop {
            let json = self.gunzip.next(&mut input)?;
            if json.is_empty() {
                // Nothing came and nothing is left: the rest of it is in the next piece of the body.
                if input.is_empty() {
                    return Ok(());
                }
                continue;
            }
            self.stats.bytes += json.len() as u64;
            self.scanner.feed(json, self.sink)?;
            self.sink.reader_holds(self.scanner.held());
            self.sink.flush().await?;
        }
    }

    pub(crate) fn finish(self) -> Result<PartitionStats, SnowflakeError> {
        self.gunzip.finish()?;
        let rows = self.scanner.finish()?;
        Ok(PartitionStats { rows, ..self.stats })
    }
}

/// Keeps a small result.
#[derive(Default)]
pub(crate) struct CollectRows {
    pub(crate) rows: Vec<Vec<Option<String>>>,
    row: Vec<Option<String>>,
}

impl RowSink for CollectRows {
    type Error = SnowflakeError;

    fn cell(&mut self, _column: usize, value: Option<&str>) -> Result<(), SnowflakeError> {
        self.row.push(value.map(str::to_owned));
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), SnowflakeError> {
        self.rows.push(std::mem::take(&mut self.row));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SnowflakeError> {
        Ok(())
    }
}
