//! A client of Snowflake's SQL API v2: submit, poll, cancel, read result partitions as a stream, and decode
//! their cells.
//!
//! It follows the public documents (docs.snowflake.com/en/developer-guide/sql-api). It knows the domain's words
//! (`thaw-model`), and nothing of PostgreSQL, of the queue or of the status tables. No error and no log line of
//! this crate holds a cell, a literal of a statement or a secret.

pub mod ahead;
pub mod auth;
pub mod chunk_query;
pub mod client;
mod connect;
pub mod decode;
pub mod error;
mod gunzip;
pub mod kept;
mod limiter;
pub mod partition;
mod poll;
pub mod request;
pub mod response;
mod retry_after;
pub mod scanner;
mod skim;
mod sql_fault;
mod transport;

pub use ahead::ReadAhead;
pub use auth::Auth;
pub use chunk_query::{ChunkQueryError, chunk_query};
pub use client::{Client, ClientConfig, Timeouts};
pub use decode::{DecodeError, DecodeErrorKind, Decoder, Value};
pub use error::{MalformedResponse, SnowflakeError, SqlFault};
pub use kept::{FetchedPartition, KeptPartition, Polled, RequestId, Submitted};
pub use limiter::RequestLimit;
pub use partition::{PartitionStats, RowSink};
pub use request::Statement;
pub use response::{KeptResult, PartitionInfo, ResultColumn, ResultSet, StatementHandle, Table};
