//! Loading many rows at once: wire texts in, one COPY.

use std::fmt::Write;
use std::pin::Pin;

use bytes::Bytes;
use deadpool_postgres::Object;
use futures_util::SinkExt;
use tokio_postgres::CopyInSink;

use crate::encode::escape_nul;
use crate::engine::Engine;
use crate::error::SqlError;
use crate::json_text;
use crate::sql_type::SqlType;

/// Bytes collected before they are handed to PostgreSQL.
const BUFFER_BYTES: usize = 256 * 1024;

/// A COPY under way; nothing is visible before [`BulkInsert::finish`], and dropping it leaves nothing.
pub struct BulkInsert {
    sink: Option<Pin<Box<CopyInSink<Bytes>>>>,
    /// Held until the COPY has ended.
    _client: Object,
    commit_time: String,
    types: Vec<SqlType>,
    buffer: String,
    rows: u64,
}

impl std::fmt::Debug for BulkInsert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkInsert")
            .field("types", &self.types)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts to load rows into `database.schema.table` (exact names), all columns in their order.
    ///
    /// `committed_at` (nanoseconds of the virtual clock) is when the rows become visible to Time Travel; give a
    /// moment well in the past for rows that "were always there", and create the table no later.
    ///
    /// # Errors
    /// 002003 when there is no such table.
    pub async fn bulk_insert(
        &self,
        database: &str,
        schema: &str,
        table: &str,
        committed_at: i128,
    ) -> Result<BulkInsert, SqlError> {
        let entry = self.table_entry(database, schema, table).await?;
        let columns: Vec<String> = entry.columns.iter().map(crate::catalog::ColumnEntry::physical).collect();
        let committed_at = crate::time_travel::clock(committed_at);
        let client = self.client().await?;
        let copy = format!("copy {} (valid_from,{}) from stdin", entry.physical(), columns.join(","));
        let sink = client.copy_in(&copy).await?;
        Ok(BulkInsert {
            sink: Some(Box::pin(sink)),
            _client: client,
            commit_time: format!("{committed_at}"),
            types: entry.columns.iter().map(|column| column.sql_type).collect(),
            buffer: String::with_capacity(BUFFER_BYTES * 2),
            rows: 0,
        })
    }
}

impl BulkInsert {
    /// The types of the columns, in order.
    #[must_use]
    pub fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// Adds a row of jsonv2 texts (days for DATE, epoch seconds for timestamps, `"<seconds> <offset + 1440>"` for
    /// TIMESTAMP_TZ, hex for BINARY); `None` is NULL.
    ///
    /// # Errors
    /// A wrong number of cells, or what PostgreSQL finds in the rows before.
    pub async fn push(&mut self, cells: &[Option<&str>]) -> Result<(), SqlError> {
        if cells.len() != self.types.len() {
            return Err(SqlError::internal(format!(
                "{} cells for {} columns",
                cells.len(),
                self.types.len()
            )));
        }
        self.buffer.push_str(&self.commit_time);
        for (cell, sql_type) in cells.iter().zip(&self.types) {
            self.buffer.push('\t');
            match cell {
                None => self.buffer.push_str("\\N"),
                Some(text) => append_cell(*sql_type, text, &mut self.buffer)?,
            }
        }
        self.buffer.push('\n');
        self.rows += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.send().await?;
        }
        Ok(())
    }

    /// Commits; gives the number of rows.
    ///
    /// # Errors
    /// What PostgreSQL refuses (NULL in a key, a number that does not fit).
    pub async fn finish(mut self) -> Result<u64, SqlError> {
        self.send().await?;
        if let Some(mut sink) = self.sink.take() {
            sink.as_mut().finish().await?;
        }
        Ok(self.rows)
    }

    async fn send(&mut self) -> Result<(), SqlError> {
        let full = std::mem::replace(&mut self.buffer, String::with_capacity(BUFFER_BYTES * 2));
        if let Some(sink) = &mut self.sink
            && !full.is_empty()
        {
            sink.send(Bytes::from(full)).await?;
        }
        Ok(())
    }
}

/// One cell in COPY's text format.
fn append_cell(sql_type: SqlType, text: &str, out: &mut String) -> Result<(), SqlError> {
    match sql_type {
        SqlType::Null | SqlType::Text { .. } => escape_copy(&escape_nul(text), out),
        SqlType::Variant | SqlType::Object | SqlType::Array => {
            escape_copy(&escape_nul(&json_text::compact(text)), out);
        }
        SqlType::Binary { .. } => {
            out.push_str("\\\\x");
            out.push_str(text);
        }
        SqlType::TimestampTz { .. } => {
            let (seconds, offset) = text
                .split_once(' ')
                .and_then(|(seconds, offset)| Some((seconds, offset.parse::<i32>().ok()?)))
                .ok_or_else(|| SqlError::internal("a TIMESTAMP_TZ is \"<seconds> <offset + 1440>\""))?;
            write!(out, "{{{seconds},{}}}", offset - 1440)
                .map_err(|_| SqlError::internal("writing into a string failed"))?;
        }
        _ => escape_copy(text, out),
    }
    Ok(())
}

fn escape_copy(text: &str, out: &mut String) {
    if !text.bytes().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b'\t')) {
        out.push_str(text);
        return;
    }
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
}
