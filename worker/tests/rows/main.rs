//! Rows on their way into a real PostgreSQL: values, bad rows, and the load modes with their accounting.

mod bad_rows;
mod chunks;
mod matrix;
mod memory;
mod merge;
mod modes;
mod quarantine;
mod random;
mod refusals;
mod support;
mod values;
mod zones;
