//! What one planner process talks to.

use std::time::Duration;

use thaw_config::Config;
use thaw_model::WorkerId;
use thaw_postgres::PoolSet;
use thaw_snowflake::{Client, SnowflakeError};
use thaw_worker::connections;
use thaw_worker::fetch::SourceSession;
use thaw_worker::one_scan::Scans;

/// Tables that are planned at the same time, each with a statement of its own at the source.
pub const PLANNING_CONCURRENCY: usize = 4;

/// The clients and the name of this process. Nothing is connected until it is asked something.
#[derive(Debug, Clone)]
pub struct Session {
    pub snowflake: Client,
    pub pools: PoolSet,
    pub planner: WorkerId,
    /// How long a planner may be silent before another may take its run over: as long as a worker may.
    pub lease: Duration,
    /// How long chunks may wait with nobody at work before the planner asks whether a worker is there.
    pub patience: Duration,
}

impl Session {
    /// Prepares the clients.
    ///
    /// # Errors
    /// A key, URL, CA file or proxy that cannot be used.
    pub fn new(config: &Config) -> Result<Self, SnowflakeError> {
        let planner = WorkerId::generate("planner");
        Ok(Self {
            snowflake: connections::snowflake(&config.snowflake)?,
            pools: connections::pools(config, &planner, PLANNING_CONCURRENCY),
            planner,
            lease: config.worker.lease,
            patience: config.worker.first_hint * 2,
        })
    }
    /// What sends the statements of tables that one statement reads, and looks at them, for one target database.
    #[must_use]
    pub fn scans(&self, config: &Config, database: &str) -> Scans {
        Scans {
            pools: self.pools.clone(),
            database: database.to_owned(),
            snowflake: self.snowflake.clone(),
            session: SourceSession {
                warehouse: Some(config.snowflake.warehouse.clone()),
                role: config.snowflake.role.clone(),
            },
        }
    }
}
