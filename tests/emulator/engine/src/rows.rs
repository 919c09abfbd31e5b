//! Rows of an answer, streamed from PostgreSQL one at a time; memory does not grow with the result.

use std::pin::Pin;
use std::sync::Arc;

use deadpool_postgres::Object;
use futures_util::StreamExt;
use tokio_postgres::NoTls;
use tokio_postgres::types::{FromSql, Type};

use crate::encode::{self, Cell};
use crate::error::SqlError;

/// The rows of a [`crate::QueryOutput`]. Dropping it early cancels the query in PostgreSQL.
#[derive(Debug)]
pub struct RowStream {
    cells: Arc<[Cell]>,
    source: Source,
}

enum Source {
    Memory(std::vec::IntoIter<Vec<Option<String>>>),
    Postgres(Box<Running>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Memory(_) => "Memory",
            Self::Postgres(_) => "Postgres",
        })
    }
}

struct Running {
    rows: Pin<Box<tokio_postgres::RowStream>>,
    connection: Busy,
}

/// A connection that has a query to answer. Dropped before the end it cancels the query and never returns to the
/// pool: the cancellation could hit its next user's.
struct Busy(Option<Object>);

impl Busy {
    async fn ask(&self, sql: &str) -> Result<tokio_postgres::RowStream, SqlError> {
        match &self.0 {
            Some(client) => Ok(client.query_raw(sql, Vec::<i32>::new()).await?),
            None => Err(SqlError::internal("the connection has been given back")),
        }
    }

    /// The query has ended, well or not: the connection may return to the pool.
    fn release(&mut self) {
        self.0 = None;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let (Some(client), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let client = Object::take(client);
        runtime.spawn(async move {
            if let Err(error) = client.cancel_token().cancel_query(NoTls).await {
                tracing::debug!(error = %error, "could not cancel an abandoned query");
            }
        });
    }
}

impl RowStream {
    pub(crate) fn memory(rows: Vec<Vec<Option<String>>>) -> Self {
        Self { cells: Arc::from([]), source: Source::Memory(rows.into_iter()) }
    }

    /// Starts `sql`. PostgreSQL answers only with the first 8 KB of rows or the end, so that a caller who gives up
    /// most often does so here; dropping the future cancels the query, as dropping the stream does.
    pub(crate) async fn start(client: Object, sql: &str, cells: Vec<Cell>) -> Result<Self, SqlError> {
        let mut connection = Busy(Some(client));
        match connection.ask(sql).await {
            Ok(rows) => {
                let running = Running { rows: Box::pin(rows), connection };
                Ok(Self { cells: cells.into(), source: Source::Postgres(Box::new(running)) })
            }
            Err(error) => {
                connection.release();
                Err(error)
            }
        }
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// A [`SqlError`] that the statement met on its way (a cast that fails at row 100,000).
    pub async fn next(&mut self) -> Result<Option<Row>, SqlError> {
        match &mut self.source {
            Source::Memory(rows) => Ok(rows.next().map(|values| Row(Values::Memory(values)))),
            Source::Postgres(running) => match running.rows.next().await {
                Some(Ok(row)) => Ok(Some(Row(Values::Postgres(row, Arc::clone(&self.cells))))),
                Some(Err(error)) => {
                    running.connection.release();
                    Err(error.into())
                }
                None => {
                    running.connection.release();
                    Ok(None)
                }
            },
        }
    }

    /// All rows, for small results.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn collect(mut self) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let mut all = Vec::new();
        while let Some(row) = self.next().await? {
            all.push((0..row.len()).map(|column| row.text(column)).collect());
        }
        Ok(all)
    }
}

/// One row, its cells in the text encoding of jsonv2.
#[derive(Debug)]
pub struct Row(Values);

#[derive(Debug)]
enum Values {
    Memory(Vec<Option<String>>),
    Postgres(tokio_postgres::Row, Arc<[Cell]>),
}

impl Row {
    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Values::Memory(values) => values.len(),
            Values::Postgres(_, cells) => cells.len(),
        }
    }

    /// True for a row without cells, which no statement gives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One cell's text; `None` is SQL NULL.
    #[must_use]
    pub fn text(&self, column: usize) -> Option<String> {
        match &self.0 {
            Values::Memory(values) => values.get(column).cloned().flatten(),
            Values::Postgres(row, cells) => {
                let bytes: Option<Raw<'_>> = row.get(column);
                let mut out = Vec::new();
                encode::write_text(*cells.get(column)?, bytes?.0, &mut out);
                Some(String::from_utf8_lossy(&out).into_owned())
            }
        }
    }

    /// Appends the row as a JSON array of strings and nulls: `["1",null]`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        match &self.0 {
            Values::Memory(values) => {
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    match value {
                        None => out.extend_from_slice(b"null"),
                        Some(text) => encode::write_json_string(text.as_bytes(), out),
                    }
                }
            }
            Values::Postgres(row, cells) => {
                for (index, cell) in cells.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let value: Option<Raw<'_>> = row.get(index);
                    match value {
                        None => out.extend_from_slice(b"null"),
                        Some(raw) => encode::write_json(*cell, raw.0, out),
                    }
                }
            }
        }
        out.push(b']');
    }
}

/// The bytes of a cell as PostgreSQL's binary format has them, whatever the type.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
