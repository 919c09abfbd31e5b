//! The client: one per process and account, cheap to clone.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::auth::Auth;
use crate::error::SnowflakeError;
use crate::partition::{PartitionStats, RowSink};
use crate::request::Statement;
use crate::response::{ResultSet, StatementHandle, Table};

/// How to reach an account.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The account identifier: `org-account`, or a locator with its region.
    pub account: String,
    /// Where the account is served; `None`: `https://<account>.snowflakecomputing.com`. Plain http only to
    /// loopback.
    pub url: Option<String>,
    pub auth: Auth,
    /// Certificates in PEM form, trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    /// `http://[user:password@]host:port`; not used for loopback. The environment's proxies are not looked at.
    pub proxy: Option<SecretString>,
    pub timeouts: Timeouts,
    /// Requests in flight at once, over all clones; further ones wait.
    pub max_concurrent_requests: usize,
}

impl ClientConfig {
    /// A configuration with the default limits.
    pub fn new(account: impl Into<String>, auth: Auth) -> Self {
        Self {
            account: account.into(),
            url: None,
            auth,
            ca_file: None,
            proxy: None,
            timeouts: Timeouts::default(),
            max_concurrent_requests: 32,
        }
    }
}

/// Time limits of one HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sending the request to the headers of the answer. Above 45 s, which a synchronous submit may take.
    pub headers: Duration,
    /// Between two pieces of a body.
    pub idle_read: Duration,
    /// What one request may spend on resubmissions and on waiting for `Retry-After`.
    pub retry_budget: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_secs(75),
            idle_read: Duration::from_secs(60),
            retry_budget: Duration::from_secs(30),
        }
    }
}

/// A client of one account. Clones share the connections, the token and the limit of requests.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

struct Shared {}

impl Client {
    /// Sets up the client; connects to nothing. Reads `ca_file`.
    ///
    /// # Errors
    /// A url, account, token, proxy or certificate file that cannot be used.
    pub fn new(_config: ClientConfig) -> Result<Self, SnowflakeError> {
        Ok(Self { shared: Arc::new(Shared {}) })
    }

    /// Submits asynchronously and waits for the end. Must run within a tokio runtime.
    ///
    /// When the future is dropped, or fails after the submission, a best-effort cancel is sent in the background.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; its disposition says what to do.
    pub async fn execute(&self, _statement: &Statement) -> Result<ResultSet, SnowflakeError> {
        let _shared = &self.shared;
        std::future::pending().await
    }

    /// Submits synchronously (the server waits up to 45 s) and waits for the end: one round trip for short
    /// statements. Otherwise like [`Client::execute`].
    ///
    /// # Errors
    /// See [`SnowflakeError`].
    pub async fn submit_sync(&self, _statement: &Statement) -> Result<ResultSet, SnowflakeError> {
        std::future::pending().await
    }

    /// Runs a statement with a small result and reads all of it.
    ///
    /// # Errors
    /// See [`SnowflakeError`].
    pub async fn query(&self, _statement: &Statement) -> Result<Table, SnowflakeError> {
        std::future::pending().await
    }

    /// The result of a statement that another process of the same user submitted, waiting for its end.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; an expired handle is [`SqlFault::HandleExpired`](crate::SqlFault::HandleExpired).
    pub async fn attach(&self, _handle: &StatementHandle) -> Result<ResultSet, SnowflakeError> {
        std::future::pending().await
    }

    /// Asks the server to cancel a statement. A statement that has ended already is no error.
    ///
    /// # Errors
    /// Network and credentials.
    pub async fn cancel(&self, _handle: &StatementHandle) -> Result<(), SnowflakeError> {
        std::future::pending().await
    }

    /// Reads partition `partition` of a result into `sink`, as a stream, and checks its number of rows.
    ///
    /// # Errors
    /// The sink's own, and [`SnowflakeError`] converted into them. Rows given to the sink before an error are
    /// worth nothing.
    pub async fn read_partition<S: RowSink>(
        &self,
        _result: &ResultSet,
        _partition: usize,
        _sink: &mut S,
    ) -> Result<PartitionStats, S::Error> {
        std::future::pending().await
    }
}
