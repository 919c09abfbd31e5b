//! Rows: receives the cells of a result, writes finished rows to a bounded channel, and decides about bad ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use thaw_model::plan::{BadRowPolicy, LoadMode, OnBadRow, OnDuplicate};
use thaw_model::{PgIdent, TablePlan};
use thaw_postgres::copy::BinaryWriter;
use thaw_snowflake::RowSink;
use tokio::sync::mpsc;

use super::bad_value::{BadValue, EncodeError};
use super::column::{Column, Key};
use super::kept_values::{KeptValues, ValueKeeper};
use super::key_watch::{KeyWatch, Keys};
use crate::memory::{Account, MemoryBudget, Waits};

/// Finished rows leave when they are this many bytes.
const PIECE_BYTES: usize = 256 * 1024;

/// A row is formed in one piece of the server's memory, which is 1 GB at most (`MaxAllocSize`); a little is left for
/// its header and alignment.
const ROW_BYTES: usize = 0x3fff_ffff - 64 * 1024;

/// The longest message of COPY data; the server takes no message of 1 GB.
const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Pieces between the encoder and the load; a full channel holds the reader back.
const PIECES_IN_FLIGHT: usize = 4;

/// A row that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Position in the chunk, from 1.
    pub ordinal: i64,
    pub column: PgIdent,
    pub reason: BadValue,
    /// Where the plan says that values are kept.
    pub values: Option<Arc<KeptValues>>,
}

/// What was encoded, in the end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// Rows the source sent, bad ones included.
    pub rows: i64,
    /// Rows, but for those set aside, without a watermark.
    pub null_watermarks: i64,
    /// Whether two of the rows that were sent have the same key.
    pub keys: Keys,
    /// Values that became NULL under `on_bad_row = null`.
    pub nulled: u64,
    /// Bytes of COPY data.
    pub bytes: i64,
    /// Rows that were set aside under `on_bad_row = quarantine`.
    pub bad_rows: Vec<BadRow>,
    /// The source's name of the statement that gave the rows.
    pub statement: Option<String>,
    /// Scanning, decoding and encoding; without waiting for either side.
    pub busy: Duration,
}

/// What travels to the load.
#[derive(Debug)]
pub enum Piece {
    /// COPY data: whole rows, the header before the first, the trailer after the last.
    Rows(Bytes),
    /// Everything was sent. A channel that ends without it means that the encoder failed.
    End(Encoded),
}

/// The load's end of the channel.
#[derive(Debug)]
pub struct EncodedRows {
    pieces: mpsc::Receiver<Piece>,
    memory_waits: Waits,
}

impl EncodedRows {
    /// The next piece; `None` when the encoder is gone.
    pub async fn next(&mut self) -> Option<Piece> {
        self.pieces.recv().await
    }

    /// When the encoder has waited for room in the worker's memory, and not for its source.
    pub(crate) fn memory_waits(&self) -> &Waits {
        &self.memory_waits
    }
}

/// Encodes the rows of one attempt at a chunk. Dropping it before [`RowEncoder::finish`] makes the load give up.
pub struct RowEncoder {
    columns: Vec<Column>,
    fields: u16,
    /// A last field with the row's position, for the staging table.
    with_ordinal: bool,
    policy: BadRowPolicy,
    writer: BinaryWriter,
    /// Text that this program makes of a value.
    scratch: String,
    row: RowInProgress,
    row_limit: usize,
    /// Which of the cells is the watermark.
    watermark: Option<usize>,
    /// Looks for repeated keys among rows that will be staged.
    key_watch: Option<KeyWatch>,
    /// Where bad rows keep their values.
    keeper: Option<ValueKeeper>,
    encoded: Encoded,
    /// Since the first cell after a flush.
    busy_since: Option<Instant>,
    output: mpsc::Sender<Piece>,
    /// What the rows here and on their way take of the worker's memory.
    account: Box<Account>,
    memory_waits: Waits,
    /// Bytes of a cell that has not come to its end.
    reader_holds: usize,
}

/// The row whose cells are coming.
#[derive(Default)]
struct RowInProgress {
    /// Where it begins in the buffer; everything before it is finished rows.
    start: usize,
    /// Cells received.
    cells: usize,
    /// The watermark is NULL.
    is_unmarked: bool,
    /// The first value that was bad.
    fault: Option<(usize, BadValue)>,
}

impl RowEncoder {
    /// An encoder for the plan's columns, and the rows it will make.
    ///
    /// # Errors
    /// [`EncodeError::Plan`] where the plan holds what no encoding exists for.
    pub fn new(plan: &TablePlan, with_ordinal: bool) -> Result<(Self, EncodedRows), EncodeError> {
        let columns = plan
            .columns
            .iter()
            .map(|planned| {
                let key = key(plan, &planned.target, with_ordinal);
                Column::new(planned, &plan.source.timezone, plan.bad_rows.nul_in_text, key)
            })
            .collect::<Result<Vec<_>, _>>()?;
        // PostgreSQL's own limit is 1600 columns.
        let fields = u16::try_from(columns.len() + usize::from(with_ordinal)).map_err(|_| {
            let column = plan.columns.last().map_or_else(|| PgIdent::exact(""), |last| last.target.clone());
            EncodeError::Plan { column, reason: "more columns than a table can have" }
        })?;
        let (output, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
        let mut writer = BinaryWriter::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        writer.header();
        let row = RowInProgress { start: writer.len(), ..RowInProgress::default() };
        let memory_waits = Waits::default();
        let encoder = Self {
            columns,
            fields,
            with_ordinal,
            policy: plan.bad_rows,
            writer,
            scratch: String::new(),
            row,
            row_limit: ROW_BYTES,
            watermark: plan
                .load
                .watermark
                .as_ref()
                .and_then(|watermark| plan.columns.iter().position(|column| column.target == *watermark)),
            key_watch: if with_ordinal { KeyWatch::new(plan) } else { None },
            keeper: (plan.bad_rows.keep_values && plan.bad_rows.on_bad_row == OnBadRow::Quarantine)
                .then(|| ValueKeeper::new(plan)),
            encoded: Encoded::default(),
            busy_since: None,
            output,
            account: Box::new(MemoryBudget::unlimited().open()),
            memory_waits: memory_waits.clone(),
            reader_holds: 0,
        };
        Ok((encoder, EncodedRows { pieces, memory_waits }))
    }

    /// Refuses rows longer than this, in bytes of COPY data, instead of those that the server could not hold.
    #[must_use]
    pub fn with_row_limit(mut self, bytes: usize) -> Self {
        self.row_limit = bytes.min(ROW_BYTES);
        self
    }

    /// Takes from this budget.
    #[must_use]
    pub fn within(mut self, budget: &MemoryBudget) -> Self {
        *self.account = budget.open();
        self.account.tell(&self.memory_waits);
        self
    }

    /// Bytes of a compressed body that may be fetched ahead of the rows that come here.
    #[must_use]
    pub fn bytes_ahead(&self) -> usize {
        self.account.bytes_ahead()
    }

    /// Names the statement whose rows come: quarantined rows carry it.
    pub fn statement(&mut self, handle: &str) {
        self.encoded.statement = Some(handle.to_owned());
    }

    /// Rows received so far.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.encoded.rows
    }

    /// After the last row: sends what is left, and the word that this was all.
    ///
    /// # Errors
    /// [`EncodeError::LoadEnded`] where nobody receives any more.
    pub async fn finish(mut self) -> Result<Encoded, EncodeError> {
        self.encoded.keys = self.key_watch.as_ref().map_or(Keys::Unknown, KeyWatch::keys);
        self.writer.trailer();
        self.row.start = self.writer.len();
        // A result without a row sends no bytes: the load then touches nothing.
        if self.encoded.rows > 0 {
            self.send_finished().await?;
        }
        let encoded = self.encoded.clone();
        self.output.send(Piece::End(self.encoded)).await.map_err(|_| EncodeError::LoadEnded)?;
        Ok(encoded)
    }

    async fn send_finished(&mut self) -> Result<(), EncodeError> {
        let rows = self.writer.split_to(self.row.start).freeze();
        self.row.start = 0;
        self.encoded.bytes = self.encoded.bytes.saturating_add(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        let mut rows = self.account.send(rows, self.writer.len() + self.reader_holds).await;
        while !rows.is_empty() {
            let piece = rows.split_to(rows.len().min(MESSAGE_BYTES));
            self.output.send(Piece::Rows(piece)).await.map_err(|_| EncodeError::LoadEnded)?;
        }
        self.writer.reserve(PIECE_BYTES + PIECE_BYTES / 4);
        Ok(())
    }

    /// A value that its column cannot hold, by the policy.
    fn bad_value(&mut self, index: usize, field_start: usize, reason: BadValue) -> Result<(), EncodeError> {
        let Some(column) = self.columns.get(index) else { return Err(EncodeError::Shape) };
        match self.policy.on_bad_row {
            OnBadRow::Null if column.nullable && column.key == Key::No => {
                self.writer.truncate(field_start);
                self.writer.null();
                self.encoded.nulled += 1;
                self.row.is_unmarked |= self.watermark == Some(index);
                Ok(())
            }
            OnBadRow::Fail => Err(EncodeError::BadRow {
                column: column.name.clone(),
                ordinal: self.encoded.rows + 1,
                reason,
            }),
            OnBadRow::Null => Err(EncodeError::CannotBeNull {
                column: column.name.clone(),
                ordinal: self.encoded.rows + 1,
                reason,
            }),
            OnBadRow::Quarantine => {
                self.row.fault = Some((index, reason));
                Ok(())
            }
        }
    }

    fn set_aside(&mut self, index: usize, reason: BadValue) -> Result<(), EncodeError> {
        let Some(column) = self.columns.get(index) else { return Err(EncodeError::Shape) };
        self.writer.truncate(self.row.start);
        let (column, ordinal, limit) = (column.name.clone(), self.encoded.rows, self.policy.max_bad_rows);
        if u32::try_from(self.encoded.bad_rows.len()).unwrap_or(u32::MAX) >= limit {
            return Err(EncodeError::TooManyBadRows { limit, column, ordinal, reason });
        }
        let values = self.keeper.as_mut().and_then(ValueKeeper::take).map(Arc::new);
        self.encoded.bad_rows.push(BadRow { ordinal, column, reason, values });
        Ok(())
    }
}

impl RowSink for RowEncoder {
    type Error = EncodeError;

    fn cell(&mut self, column: usize, value: Option<&str>) -> Result<(), EncodeError> {
        if column == 0 {
            self.busy_since.get_or_insert_with(Instant::now);
            self.writer.begin_row(self.fields);
        }
        if column != self.row.cells {
            return Err(EncodeError::Shape);
        }
        self.row.cells += 1;
        self.row.is_unmarked |= value.is_none() && self.watermark == Some(column);
        if let Some(keeper) = &mut self.keeper {
            keeper.cell(value);
        }
        if self.row.fault.is_some() {
            return Ok(());
        }
        let start = self.writer.len();
        let codec = self.columns.get(column).ok_or(EncodeError::Shape)?;
        // Before the value is written: a row that is too long must not fill the memory first.
        if start - self.row.start + value.map_or(0, str::len) > self.row_limit {
            return self.bad_value(column, start, BadValue::RowTooLong);
        }
        match codec.encode(&mut self.writer, &mut self.scratch, value) {
            Ok(()) => {
                if let Some(watch) = &mut self.key_watch {
                    watch.field(column, self.writer.written_since(start));
                }
                Ok(())
            }
            Err(reason) => self.bad_value(column, start, reason),
        }
    }

    fn end_row(&mut self) -> Result<(), EncodeError> {
        if self.row.cells != self.columns.len() {
            return Err(EncodeError::Shape);
        }
        self.encoded.rows += 1;
        if let Some(watch) = &mut self.key_watch {
            watch.end_row(self.row.fault.is_none());
        }
        match self.row.fault.take() {
            Some((index, reason)) => self.set_aside(index, reason)?,
            None => {
                self.encoded.null_watermarks += i64::from(self.row.is_unmarked);
                if self.with_ordinal {
                    self.writer.int8(self.encoded.rows);
                }
            }
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.forget();
        }
        self.row = RowInProgress { start: self.writer.len(), ..RowInProgress::default() };
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), EncodeError> {
        if let Some(since) = self.busy_since.take() {
            self.encoded.busy += since.elapsed();
        }
        if self.row.start >= PIECE_BYTES {
            self.send_finished().await?;
        }
        self.account.hold(self.writer.len() + self.reader_holds).await;
        Ok(())
    }

    fn reader_holds(&mut self, bytes: usize) {
        self.reader_holds = bytes;
    }
}

impl std::fmt::Debug for RowEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowEncoder").field("rows", &self.encoded.rows).finish_non_exhaustive()
    }
}

/// What a column is to the arbiter. A COPY for which no later run looks at keys leaves telling them apart to the unique
/// index; its redo is a load by staging, in which rows with a NULL key are inserted as the COPY would have.
fn key(plan: &TablePlan, column: &PgIdent, is_staged: bool) -> Key {
    let Some(arbiter) = plan.load.arbiter.as_ref().filter(|arbiter| arbiter.columns.contains(column)) else {
        return Key::No;
    };
    let is_upserted_later = match plan.load.mode {
        LoadMode::Upsert | LoadMode::InsertOnly => true,
        LoadMode::Copy => plan.load.on_duplicate == OnDuplicate::Upsert && !plan.start.truncate,
    };
    match (is_upserted_later, is_staged) {
        (true, _) if !arbiter.nulls_not_distinct => Key::Strict,
        (true, _) | (false, true) => Key::NullsEqual,
        (false, false) => Key::No,
    }
}
