//! The engine: one pool of connections to the PostgreSQL that holds the emulator's tables.

use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use tokio_postgres::NoTls;

use crate::catalog::{Catalog, CatalogCache};
use crate::error::SqlError;
use crate::parse;
use crate::request::{ExecuteRequest, QueryOutput};
use crate::statement_log::{LoggedStatement, StatementLog};

/// How an [`Engine`] behaves for all statements.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Mixed into each statement's `order_seed`, so that two emulators differ.
    pub seed: u64,
    /// Connections to PostgreSQL; each running result holds one.
    pub connections: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { seed: 0, connections: 32 }
    }
}

/// A Snowflake account over a PostgreSQL database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: Pool,
    pub(crate) options: EngineOptions,
    pub(crate) catalog: CatalogCache,
    pub(crate) log: StatementLog,
}

impl Engine {
    /// Connects to `postgres_url` (libpq URL or key=value form, no TLS) and creates the schemas `sfe` (catalogue,
    /// functions) and `sfd` (tables) if they are missing. Several engines may share a database.
    ///
    /// # Errors
    /// When the URL is wrong, the server is unreachable or the role may not create schemas.
    pub async fn connect(postgres_url: &str, options: EngineOptions) -> Result<Self, SqlError> {
        let mut config: tokio_postgres::Config = postgres_url
            .parse()
            .map_err(|error| SqlError::internal(format!("the PostgreSQL URL is wrong: {error}")))?;
        config.application_name("snowflake-emulator");
        config.options("-c timezone=UTC -c work_mem=128MB -c jit=off -c client_min_messages=warning");
        let manager =
            Manager::from_config(config, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(2))
            .build()
            .map_err(|error| SqlError::internal(format!("no connection pool: {error}")))?;
        let client = pool.get().await?;
        client.batch_execute(include_str!("bootstrap.sql")).await?;
        drop(client);
        let shared = Shared { pool, options, catalog: CatalogCache::default(), log: StatementLog::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Executes one statement. Rows stream from PostgreSQL as the caller takes them.
    ///
    /// # Errors
    /// A [`SqlError`] as Snowflake would give it; what the emulator cannot do is code 000002.
    pub async fn execute(&self, request: ExecuteRequest) -> Result<QueryOutput, SqlError> {
        let answer = Box::pin(self.dispatch(&request)).await;
        self.shared.log.record(&request, answer.as_ref().err());
        answer
    }

    /// The statements executed since `number` (0: all that are kept), oldest first.
    #[must_use]
    pub fn statements_since(&self, number: u64) -> Vec<LoggedStatement> {
        self.shared.log.since(number)
    }

    pub(crate) async fn client(&self) -> Result<Object, SqlError> {
        Ok(self.shared.pool.get().await?)
    }

    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, SqlError> {
        let client = self.client().await?;
        self.shared.catalog.current(&client).await
    }

    async fn dispatch(&self, request: &ExecuteRequest) -> Result<QueryOutput, SqlError> {
        let statement = parse::statement(&request.sql)?;
        crate::dispatch::execute(self, request, statement).await
    }
}
