//! A finished result and the ResultSet body that describes it.
//!
//! The form is the one documented: metadata once, in the first response, with partition 0 inside; `compressedSize`
//! absent for partition 0.

use std::fmt::Write;

use emulator_engine::{Column, StatementKind};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::partitions::StoredPartitions;

/// What a statement gave.
#[derive(Debug)]
pub(crate) struct ResultSet {
    pub(crate) columns: Vec<Column>,
    pub(crate) kind: StatementKind,
    pub(crate) partitions: StoredPartitions,
    /// The first response may be compressed when the client accepts that.
    pub(crate) gzip_first_response: bool,
}

impl ResultSet {
    /// The first response: metadata, partition 0 (`data`, a JSON array) and the rest. `code` is `090001` but for 391908.
    pub(crate) fn first_response(&self, handle: Uuid, created_ms: i64, data: &[u8], code: &str) -> Vec<u8> {
        let metadata = json!({
            "numRows": self.partitions.row_count(),
            "format": "jsonv2",
            "rowType": self.columns.iter().map(row_type).collect::<Vec<_>>(),
            "partitionInfo": self.partition_info(),
        });
        let message =
            if code == "090001" { "Statement executed successfully." } else { "Result set is too large." };
        let mut tail = json!({
            "code": code,
            "statementStatusUrl": format!("/api/v2/statements/{handle}?requestId={}", Uuid::new_v4()),
            "sqlState": "00000",
            "statementHandle": handle.to_string(),
            "message": message,
            "createdOn": created_ms,
        });
        if let (Some(stats), Some(tail)) = (self.stats(), tail.as_object_mut()) {
            tail.insert("stats".to_owned(), stats);
        }
        let tail = tail.to_string();
        let mut body = Vec::with_capacity(data.len() + 4096);
        body.extend_from_slice(b"{\"resultSetMetaData\":");
        body.extend_from_slice(metadata.to_string().as_bytes());
        body.extend_from_slice(b",\"data\":");
        body.extend_from_slice(data);
        body.push(b',');
        body.extend_from_slice(tail.trim_start_matches('{').as_bytes());
        body
    }

    /// The `Link` header of a response that carries `partition`.
    pub(crate) fn link_header(&self, handle: Uuid, partition: usize) -> String {
        let last = self.partitions.list().len().saturating_sub(1);
        let mut header = String::new();
        let previous = partition.checked_sub(1);
        let next = (partition < last).then_some(partition + 1);
        for (number, rel) in [(Some(0), "first"), (previous, "prev"), (next, "next"), (Some(last), "last")] {
            let Some(number) = number else { continue };
            let comma = if header.is_empty() { "" } else { "," };
            let id = Uuid::new_v4();
            // Writing into a String cannot fail.
            write!(
                header,
                "{comma}</api/v2/statements/{handle}?requestId={id}&partition={number}>; rel=\"{rel}\""
            )
            .unwrap_or_default();
        }
        header
    }

    fn partition_info(&self) -> Vec<Value> {
        let entry = |(number, partition): (usize, &crate::partitions::Partition)| {
            let mut info = Map::new();
            info.insert("rowCount".to_owned(), partition.row_count.into());
            info.insert("uncompressedSize".to_owned(), partition.uncompressed_size.into());
            if number > 0 {
                info.insert("compressedSize".to_owned(), partition.stored_size.into());
            }
            Value::Object(info)
        };
        self.partitions.list().iter().enumerate().map(entry).collect()
    }

    fn stats(&self) -> Option<Value> {
        match self.kind {
            StatementKind::Dml { inserted, updated, deleted } => Some(json!({
                "numRowsInserted": inserted,
                "numRowsUpdated": updated,
                "numRowsDeleted": deleted,
                "numDuplicateRowsUpdated": 0,
            })),
            StatementKind::Query | StatementKind::Ddl => None,
        }
    }
}

fn row_type(column: &Column) -> Value {
    json!({
        "name": column.name,
        "database": column.database,
        "schema": column.schema,
        "table": column.table,
        "scale": column.scale(),
        "precision": column.precision(),
        "length": column.length(),
        "type": column.type_name(),
        "nullable": column.nullable,
        "byteLength": column.byte_length(),
        "collation": null,
    })
}
