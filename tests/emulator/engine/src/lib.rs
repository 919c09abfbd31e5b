//! The SQL engine of the Snowflake emulator: Snowflake SQL in, rows in the SQL API's text encoding out.
//!
//! A statement is parsed with sqlparser's Snowflake dialect, bound against the emulator's own catalogue (each
//! expression gets a Snowflake type) and written anew as PostgreSQL. What the binder does not know is a SQL
//! compilation error, never a guess. This crate knows nothing about HTTP, partitions, handles or tokens.

mod admin;
mod bind;
mod bulk;
mod catalog;
mod catalog_store;
mod ddl;
mod dispatch;
mod dml;
mod encode;
mod engine;
mod error;
mod information_schema;
mod json_text;
mod names;
mod parse;
mod request;
mod rows;
mod show;
mod sql_type;
mod statement_log;
mod time_travel;

pub use bulk::BulkInsert;
pub use engine::{Engine, EngineOptions};
pub use error::SqlError;
pub use request::{Binding, Column, ExecuteRequest, QueryOutput, StatementKind};
pub use rows::{Row, RowStream};
pub use sql_type::SqlType;
pub use statement_log::LoggedStatement;
