//! PostgreSQL as a wire: pools and TLS, the catalogue, binary COPY, and what an SQLSTATE means.
//!
//! It knows nothing of runs, chunks or plans, nothing of Snowflake, and holds no statement on the status tables.

pub mod blocking;
pub mod catalog;
pub mod copy;
mod error;
mod pool;
mod settings;
mod sqlstate;
pub mod startup;
mod tls;

pub use error::{PgError, ServerError};
pub use pool::{Client, Pool, PoolSet, PoolSize};
pub use settings::{PostgresSettings, SslMode};
/// The driver underneath, for the traits and row types that statements need.
pub use tokio_postgres;
