//! From the configuration to clients: one Snowflake client a process, one pool per target database.
//!
//! Nothing is connected until it is asked something.

use thaw_config::{Config, SnowflakeAuth, SnowflakeConfig, SslMode};
use thaw_model::WorkerId;
use thaw_postgres::{PoolSet, PoolSize, PostgresSettings};
use thaw_snowflake::auth::KeyPair;
use thaw_snowflake::{Auth, Client, ClientConfig, SnowflakeError};
use thaw_status::FleetSettings;

/// The process's Snowflake client.
///
/// # Errors
/// A key, URL, CA file or proxy that cannot be used.
pub fn snowflake(config: &SnowflakeConfig) -> Result<Client, SnowflakeError> {
    let auth = match &config.auth {
        SnowflakeAuth::KeyPair { private_key_pem } => {
            Auth::KeyPair { user: config.user.clone(), key: KeyPair::parse(private_key_pem, None)? }
        }
        SnowflakeAuth::OAuth { token } => Auth::OAuth(token.clone()),
        SnowflakeAuth::Pat { token } => Auth::ProgrammaticAccessToken(token.clone()),
    };
    Client::new(ClientConfig {
        url: Some(config.url.to_string()),
        ca_file: config.ca_file.clone(),
        proxy: config.proxy.clone(),
        ..ClientConfig::new(config.account.clone(), auth)
    })
}

/// The pools of the target databases of the enabled sources, for `slots` chunks at a time. A database that only a
/// disabled source names need not exist, and must stop nobody.
#[must_use]
pub fn pools(config: &Config, process: &WorkerId, slots: usize) -> PoolSet {
    let postgres = &config.postgres;
    let settings = PostgresSettings {
        port: postgres.port,
        password: Some(postgres.password.clone()),
        sslmode: Some(match postgres.sslmode {
            SslMode::Disable => thaw_postgres::SslMode::Disable,
            SslMode::Prefer => thaw_postgres::SslMode::Prefer,
            SslMode::Require => thaw_postgres::SslMode::Require,
            SslMode::VerifyCa => thaw_postgres::SslMode::VerifyCa,
            SslMode::VerifyFull => thaw_postgres::SslMode::VerifyFull,
        }),
        sslrootcert: postgres.sslrootcert.clone(),
        application_name: format!("thaw/{process}"),
        statement_timeout: postgres.statement_timeout,
        lock_timeout: postgres.lock_timeout,
        ..PostgresSettings::new(postgres.host.clone(), postgres.user.clone())
    };
    let enabled = config.sources.iter().filter(|source| source.enabled);
    let databases = enabled.map(|source| source.target_database.clone());
    PoolSet::new(settings, PoolSize::for_slots(slots), databases)
}

/// The times that are stored with a run, so that the whole fleet obeys the planner's.
#[must_use]
pub fn fleet_settings(config: &Config) -> FleetSettings {
    FleetSettings {
        lease: config.worker.lease,
        heartbeat: config.worker.heartbeat,
        redispatch: config.worker.redispatch,
        first_hint: config.worker.first_hint,
        index_memory_mb: config.worker.index_memory_mb,
        index_workers: config.worker.index_workers,
    }
}
