//! A sink that keeps what it is given.

use thaw_snowflake::{RowSink, SnowflakeError};

pub(crate) type Row = Vec<Option<String>>;

#[derive(Debug, Default)]
pub(crate) struct Collect {
    pub(crate) rows: Vec<Row>,
    pub(crate) flushes: usize,
    row: Row,
}

impl RowSink for Collect {
    type Error = SnowflakeError;

    fn cell(&mut self, column: usize, value: Option<&str>) -> Result<(), SnowflakeError> {
        assert_eq!(column, self.row.len(), "columns come in order");
        self.row.push(value.map(str::to_owned));
        Ok(())
    }

    fn end_row(&mut self) -> Result<(), SnowflakeError> {
        self.rows.push(std::mem::take(&mut self.row));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SnowflakeError> {
        self.flushes += 1;
        Ok(())
    }
}
