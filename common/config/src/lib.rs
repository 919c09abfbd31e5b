//! The configuration of planner and workers: `config.json`, the environment and `.env`, validated as a whole.
//!
//! The only place of the product that reads the environment and that knows how a configuration file is spelled.
//! It knows no database and opens no connection; everything it returns is ready to use and free of guesses.

mod config;
mod connections;
pub mod defaults;
mod digest;
mod entries;
mod env_file;
mod environment;
mod finding;
mod json;
mod keys;
mod load;
mod mapping;
mod rsa_key;
mod schema;
mod scope;
mod shared;
mod sources;
mod times;

pub use config::{
    ChunkingColumn, Config, DeclaredType, Lookback, PostgresConfig, RabbitConfig, SnowflakeAuth,
    SnowflakeConfig, Source, SslMode, Strategy, TableEntry, WorkerConfig,
};
pub use digest::{PlanDigest, combined_hash};
pub use finding::{ConfigErrors, Finding, Severity};
pub use load::{LoadOptions, Loaded, load};
pub use schema::{key_paths, schema};

#[cfg(test)]
mod tests;
