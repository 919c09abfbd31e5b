//! Reads one partition as a stream: body, gunzip, scanner, sink. Memory is one row and small buffers.

use std::future::Future;

use crate::error::SnowflakeError;

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
