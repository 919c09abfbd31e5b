//! The answers of the server: result sets, statuses and failures.
//!
//! Source: docs.snowflake.com/en/developer-guide/sql-api/reference (ResultSet, QueryStatus, QueryFailureStatus).
//! It knows nothing of HTTP.

use std::fmt;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use thaw_model::SourceType;

use crate::error::MalformedResponse;

/// Names a statement in the server; it is its query id in `QUERY_HISTORY`. Only letters, digits and dashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StatementHandle(String);

impl StatementHandle {
    /// Takes a handle from an answer or from the status tables.
    ///
    /// # Errors
    /// Other characters than letters, digits and dashes: a handle becomes part of a URL's path.
    pub fn parse(text: &str) -> Result<Self, MalformedResponse> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.is_empty() || text.len() > 128 || !text.bytes().all(fits) {
            return Err(MalformedResponse::BadHandle);
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StatementHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A finished statement: its columns and partitions are known, its rows are read by
/// [`Client::read_partition`](crate::Client::read_partition). Holds the bytes of partition 0, which came with the
/// answer.
#[derive(Clone)]
pub struct ResultSet {
    pub handle: StatementHandle,
    pub columns: Vec<ResultColumn>,
    pub row_count: u64,
    /// The complete list; at least one entry.
    pub partitions: Vec<PartitionInfo>,
    /// The answer that carried the metadata, as it came (maybe gzip), with partition 0 in it.
    pub(crate) inline: Bytes,
}

impl fmt::Debug for ResultSet {
    /// Without the rows of partition 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResultSet")
            .field("handle", &self.handle)
            .field("columns", &self.columns.len())
            .field("row_count", &self.row_count)
            .field("partitions", &self.partitions.len())
            .finish_non_exhaustive()
    }
}

/// What the server says of a finished statement whose result it keeps, without any row. Any process of the same
/// user may read the partitions, in any order, by [`Client::fetch_partition`](crate::Client::fetch_partition).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResult {
    pub handle: StatementHandle,
    pub columns: Vec<ResultColumn>,
    pub row_count: u64,
    /// The complete list; at least one entry. Their rows add up to `row_count`.
    pub partitions: Vec<PartitionInfo>,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultColumn {
    pub name: String,
    /// `None`: a type this program cannot read; `type_name` says which.
    pub source_type: Option<SourceType>,
    /// The server's name of the type, in lower case.
    pub type_name: String,
    pub nullable: bool,
    /// How a text compares; `None`: by its bytes.
    #[serde(default)]
    pub collation: Option<String>,
}

/// One partition of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionInfo {
    pub row_count: u64,
    /// Bytes of JSON; 0 where the server did not say.
    pub uncompressed_bytes: u64,
    /// Bytes on the wire; `None` for partition 0, which travels uncompressed.
    pub compressed_bytes: Option<u64>,
}

/// A small result, whole: cells as the wire's text.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    pub handle: StatementHandle,
    pub columns: Vec<ResultColumn>,
    pub rows: Vec<Vec<Option<String>>>,
}

impl fmt::Debug for Table {
    /// Without the cells.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table")
            .field("handle", &self.handle)
            .field("columns", &self.columns.len())
            .field("rows", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Table {
    /// The position of a column, by its exact name, else without regard to case (`SHOW` prints lower case).
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        let exact = self.columns.iter().position(|column| column.name == name);
        exact.or_else(|| self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name)))
    }

    /// A cell by row and column name; `None` for NULL and for what is not there.
    #[must_use]
    pub fn cell(&self, row: usize, column: &str) -> Option<&str> {
        self.rows.get(row)?.get(self.column(column)?)?.as_deref()
    }
}

/// Every field that any of the answers has. `data` is skipped without being built.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    #[serde(default, deserialize_with = "text_or_number")]
    code: Option<String>,
    #[serde(default)]
    sql_state: Option<String>,
    /// Quotes literals; only [`sql_fault`](crate::error) may look at it, for an object's name.
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    statement_handle: Option<String>,
    #[serde(default)]
    result_set_meta_data: Option<MetaData>,
    #[serde(default, rename = "data")]
    _data: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetaData {
    #[serde(default)]
    num_rows: Option<u64>,
    #[serde(default)]
    row_type: Option<Vec<RowType>>,
    #[serde(default)]
    partition_info: Option<Vec<RawPartition>>,
}

#[derive(Deserialize)]
struct RowType {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    #[serde(default)]
    precision: Option<u32>,
    #[serde(default)]
    scale: Option<u32>,
    #[serde(default)]
    length: Option<u32>,
    #[serde(default)]
    nullable: Option<bool>,
    #[serde(default)]
    collation: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPartition {
    row_count: u64,
    #[serde(default)]
    uncompressed_size: Option<u64>,
    #[serde(default)]
    compressed_size: Option<u64>,
}

impl Envelope {
    /// Reads an answer, gzip or not.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, MalformedResponse> {
        let read = if bytes.starts_with(&[0x1f, 0x8b]) {
            let inflate = flate2::read::MultiGzDecoder::new(bytes);
            serde_json::from_reader(std::io::BufReader::new(inflate))
        } else {
            serde_json::from_slice(bytes)
        };
        read.map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => MalformedResponse::Truncated,
            _ => MalformedResponse::NotJson,
        })
    }

    /// The error code, if it has the form of one: digits.
    pub(crate) fn code(&self) -> Option<String> {
        let code = self.code.as_deref()?;
        (!code.is_empty() && code.len() <= 12 && code.bytes().all(|b| b.is_ascii_digit()))
            .then(|| code.to_owned())
    }

    /// The SQLSTATE, if it has the form of one.
    pub(crate) fn sql_state(&self) -> Option<&str> {
        let state = self.sql_state.as_deref()?;
        (state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(state)
    }

    /// 333333 and 333334: accepted, not finished.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.code.as_deref(), Some("333333" | "333334")) && self.result_set_meta_data.is_none()
    }

    pub(crate) fn handle(&self) -> Result<StatementHandle, MalformedResponse> {
        self.statement_handle.as_deref().map_or(Err(MalformedResponse::NoHandle), StatementHandle::parse)
    }

    /// Makes the result of a 200 answer, whose body is `inline`.
    pub(crate) fn into_result(self, inline: Bytes) -> Result<ResultSet, MalformedResponse> {
        let KeptResult { handle, columns, row_count, partitions } = self.into_kept()?;
        Ok(ResultSet { handle, columns, row_count, partitions, inline })
    }

    /// What a 200 answer says of its result.
    pub(crate) fn into_kept(self) -> Result<KeptResult, MalformedResponse> {
        let handle = self.handle()?;
        let meta = self.result_set_meta_data.ok_or(MalformedResponse::NoMetadata)?;
        let columns: Vec<ResultColumn> =
            meta.row_type.ok_or(MalformedResponse::NoMetadata)?.into_iter().map(ResultColumn::from).collect();
        let partitions: Vec<PartitionInfo> =
            meta.partition_info.unwrap_or_default().into_iter().map(PartitionInfo::from).collect();
        let listed = partitions.iter().try_fold(0_u64, |sum, partition| sum.checked_add(partition.row_count));
        let listed = listed.ok_or(MalformedResponse::PartitionSum)?;
        let row_count = match meta.num_rows {
            Some(count) => count,
            None if partitions.is_empty() => return Err(MalformedResponse::NoRowCount),
            None => listed,
        };
        // A single partition may go unlisted.
        let partitions = if partitions.is_empty() {
            vec![PartitionInfo { row_count, uncompressed_bytes: 0, compressed_bytes: None }]
        } else if listed == row_count {
            partitions
        } else {
            return Err(MalformedResponse::PartitionSum);
        };
        Ok(KeptResult { handle, columns, row_count, partitions })
    }
}

impl From<RowType> for ResultColumn {
    fn from(raw: RowType) -> Self {
        Self {
            source_type: SourceType::from_row_type(&raw.type_name, raw.precision, raw.scale, raw.length),
            name: raw.name,
            type_name: raw.type_name.to_ascii_lowercase(),
            nullable: raw.nullable.unwrap_or(true),
            collation: raw.collation.filter(|collation| !collation.is_empty()),
        }
    }
}

impl From<RawPartition> for PartitionInfo {
    fn from(raw: RawPartition) -> Self {
        Self {
            row_count: raw.row_count,
            uncompressed_bytes: raw.uncompressed_size.unwrap_or(0),
            compressed_bytes: raw.compressed_size,
        }
    }
}

/// Codes are text in the documents; a gateway may send a number.
fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(i64),
    }
    Ok(Option::<Either>::deserialize(deserializer)?.map(|either| match either {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    }))
}
