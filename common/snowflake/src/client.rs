//! The client: one per process and account, cheap to clone.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use secrecy::SecretString;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::auth::{Auth, TokenSource, base_url};
use crate::connect;
use crate::error::{RESULT_TOO_LARGE, SnowflakeError};
use crate::limiter::{Limiter, RequestLimit};
use crate::partition::{CollectRows, PartitionRead, PartitionStats, RowSink};
use crate::poll::BackOff;
use crate::request::{Body, Statement};
use crate::response::{Envelope, ResultSet, StatementHandle, Table};
use crate::transport::{BodyReader, Call, Reply, Transport};

/// The server ends a statement at its time limit; the client waits this much longer for it to say so.
const TIMEOUT_GRACE: Duration = Duration::from_secs(60);
const CANCEL_TIMEOUT: Duration = Duration::from_secs(15);
const BACKGROUND_CANCELS_MAX: usize = 64;

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
    /// Requests in flight at once, over all clones, at most; further ones wait. Fewer while the account asks for
    /// patience.
    pub max_concurrent_requests: u32,
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
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) transport: Transport,
    /// Cancels that nobody waits for; more than these are not sent.
    cancels: Arc<Semaphore>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.shared.transport.base.as_str()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Async,
    Sync,
}

enum Begun {
    Done(ResultSet),
    Running(StatementHandle),
}

impl Client {
    /// Sets up the client; connects to nothing. Reads `ca_file`.
    ///
    /// # Errors
    /// A url, account, token, proxy or certificate file that cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, SnowflakeError> {
        let base = base_url(&config.account, config.url.as_deref())?;
        let transport = Transport {
            http: connect::http_client(&config, &base)?,
            tokens: TokenSource::new(&config.auth, &config.account)?,
            timeouts: config.timeouts,
            limiter: Limiter::new(config.max_concurrent_requests, config.timeouts.retry_budget),
            base,
        };
        Ok(Self {
            shared: Arc::new(Shared { transport, cancels: Arc::new(Semaphore::new(BACKGROUND_CANCELS_MAX)) }),
        })
    }

    /// Submits asynchronously and waits for the end. Must run within a tokio runtime.
    ///
    /// When the future is dropped, or fails after the submission, a best-effort cancel is sent in the background.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; its disposition says what to do.
    pub async fn execute(&self, statement: &Statement) -> Result<ResultSet, SnowflakeError> {
        self.run(statement, Mode::Async).await
    }

    /// Submits synchronously (the server waits up to 45 s) and waits for the end: one round trip for short
    /// statements. Otherwise like [`Client::execute`].
    ///
    /// # Errors
    /// See [`SnowflakeError`].
    pub async fn submit_sync(&self, statement: &Statement) -> Result<ResultSet, SnowflakeError> {
        self.run(statement, Mode::Sync).await
    }

    /// Runs a statement with a small result and reads all of it.
    ///
    /// # Errors
    /// See [`SnowflakeError`].
    pub async fn query(&self, statement: &Statement) -> Result<Table, SnowflakeError> {
        let result = self.submit_sync(statement).await?;
        let mut rows = CollectRows::default();
        for partition in 0..result.partitions.len() {
            self.read_partition(&result, partition, &mut rows).await?;
        }
        Ok(Table { handle: result.handle, columns: result.columns, rows: rows.rows })
    }

    /// The result of a statement that another process of the same user submitted, waiting for its end.
    ///
    /// # Errors
    /// See [`SnowflakeError`]; an expired handle is [`SqlFault::HandleExpired`](crate::SqlFault::HandleExpired).
    pub async fn attach(&self, handle: &StatementHandle) -> Result<ResultSet, SnowflakeError> {
        if let Some(result) = self.look(handle).await? {
            return Ok(result);
        }
        self.wait(handle, None).await
    }

    /// How many requests may be in flight just now, and what they met.
    #[must_use]
    pub fn request_limit(&self) -> RequestLimit {
        self.shared.transport.limiter.look()
    }

    /// Asks the server to cancel a statement. A statement that has ended already is no error.
    ///
    /// # Errors
    /// Network and credentials.
    pub async fn cancel(&self, handle: &StatementHandle) -> Result<(), SnowflakeError> {
        let call = Call {
            method: Method::POST,
            path: format!("/{handle}/cancel"),
            query: Vec::new(),
            body: Some(Bytes::from_static(b"{}")),
            urgent: true,
            resubmission: false,
        };
        match self.shared.transport.call(&call).await? {
            // 422 is 000709: nothing runs under this handle.
            Reply::Success(_) | Reply::Running(_) | Reply::TimedOut(_) | Reply::Failed(_) => Ok(()),
        }
    }

    /// Reads partition `partition` of a result into `sink`, as a stream, and checks its number of rows.
    ///
    /// # Errors
    /// The sink's own, and [`SnowflakeError`] converted into them. Rows given to the sink before an error are
    /// worth nothing.
    pub async fn read_partition<S: RowSink>(
        &self,
        result: &ResultSet,
        partition: usize,
        sink: &mut S,
    ) -> Result<PartitionStats, S::Error> {
        let count = result.partitions.len();
        let Some(info) = result.partitions.get(partition) else {
            return Err(SnowflakeError::NoSuchPartition { partition, count }.into());
        };
        let mut read = PartitionRead::new(result.columns.len(), sink);
        if partition == 0 {
            read.take(&result.inline).await?;
        } else {
            let mut body = self.open_partition(&result.handle, partition).await?;
            while let Some(piece) = body.next().await? {
                read.take(&piece).await?;
            }
        }
        let stats = read.finish()?;
        if stats.rows != info.row_count {
            let (expected, actual) = (info.row_count, stats.rows);
            return Err(SnowflakeError::RowCount { partition, expected, actual }.into());
        }
        Ok(stats)
    }

    async fn open_partition(
        &self,
        handle: &StatementHandle,
        partition: usize,
    ) -> Result<BodyReader, SnowflakeError> {
        let call = status_call(handle, Some(partition));
        partition_reply(self.shared.transport.open(&call).await?, handle)
    }

    async fn run(&self, statement: &Statement, mode: Mode) -> Result<ResultSet, SnowflakeError> {
        let deadline = statement.timeout.map(|limit| Instant::now() + limit + TIMEOUT_GRACE);
        match self.begin(statement, mode).await? {
            Begun::Done(result) => Ok(result),
            Begun::Running(handle) => {
                tracing::debug!(query_id = %handle, "statement runs");
                let mut guard = CancelOnDrop { client: self.clone(), handle: Some(handle.clone()) };
                let outcome = self.wait(&handle, deadline).await;
                if outcome.as_ref().map_or_else(SnowflakeError::statement_has_ended, |_| true) {
                    guard.handle = None;
                }
                outcome
            }
        }
    }

    /// The request runs in a task of its own: a submit that is given up half-way would leave a statement that
    /// nobody knows the handle of. Its end is bounded by the request's time limits.
    async fn begin(&self, statement: &Statement, mode: Mode) -> Result<Begun, SnowflakeError> {
        let body = serde_json::to_vec(&Body::of(statement)).map_err(|_| SnowflakeError::Gone)?;
        let mut query = vec![("requestId", Uuid::new_v4().to_string())];
        if mode == Mode::Async {
            query.push(("async", "true".to_owned()));
        }
        let call = Call {
            method: Method::POST,
            path: String::new(),
            query,
            body: Some(body.into()),
            urgent: false,
            resubmission: false,
        };
        let client = self.clone();
        let (sender, receiver) = oneshot::channel();
        let task = async move {
            let outcome = client.shared.transport.call(&call).await.and_then(begun);
            if let Err(Ok(Begun::Running(handle))) = sender.send(outcome) {
                client.cancel_in_background(handle);
            }
        };
        tokio::spawn(task.instrument(tracing::Span::current()));
        receiver.await.unwrap_or(Err(SnowflakeError::Gone))
    }

    async fn wait(
        &self,
        handle: &StatementHandle,
        deadline: Option<Instant>,
    ) -> Result<ResultSet, SnowflakeError> {
        let mut back_off = BackOff::polling();
        loop {
            tokio::time::sleep(back_off.delay()).await;
            if let Some(result) = self.look(handle).await? {
                return Ok(result);
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                return Err(SnowflakeError::GaveUp { handle: handle.clone() });
            }
        }
    }

    /// `None`: it still runs.
    async fn look(&self, handle: &StatementHandle) -> Result<Option<ResultSet>, SnowflakeError> {
        match self.shared.transport.call(&status_call(handle, None)).await? {
            Reply::Success(bytes) => result_of(bytes).map(Some),
            Reply::Running(_) => Ok(None),
            Reply::TimedOut(_) => Err(SnowflakeError::StatementTimedOut { handle: Some(handle.clone()) }),
            Reply::Failed(envelope) => Err(SnowflakeError::sql(&envelope, Some(handle.clone()))),
        }
    }

    fn cancel_in_background(&self, handle: StatementHandle) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Ok(permit) = Arc::clone(&self.shared.cancels).try_acquire_owned() else {
            tracing::debug!(query_id = %handle, "too many cancels at once; the statement runs on");
            return;
        };
        let client = self.clone();
        runtime.spawn(async move {
            let _permit = permit;
            match timeout(CANCEL_TIMEOUT, client.cancel(&handle)).await {
                Ok(Ok(())) => tracing::debug!(query_id = %handle, "statement cancelled"),
                Ok(Err(error)) => tracing::debug!(query_id = %handle, error = %error, "cancel failed"),
                Err(_) => tracing::debug!(query_id = %handle, "cancel took too long"),
            }
        });
    }
}

/// Cancels a statement that its waiter has abandoned.
struct CancelOnDrop {
    client: Client,
    handle: Option<StatementHandle>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.client.cancel_in_background(handle);
        }
    }
}

pub(crate) fn status_call(handle: &StatementHandle, partition: Option<usize>) -> Call {
    let query = partition.map(|number| ("partition", number.to_string())).into_iter().collect();
    Call {
        method: Method::GET,
        path: format!("/{handle}"),
        query,
        body: None,
        urgent: false,
        resubmission: false,
    }
}

/// The body of a partition, or why there is none.
pub(crate) fn partition_reply<T>(reply: Reply<T>, handle: &StatementHandle) -> Result<T, SnowflakeError> {
    match reply {
        Reply::Success(body) => Ok(body),
        Reply::Running(envelope) => {
            Err(SnowflakeError::Throttled { status: 202, code: envelope.code(), after: None })
        }
        Reply::TimedOut(_) => Err(SnowflakeError::StatementTimedOut { handle: Some(handle.clone()) }),
        Reply::Failed(envelope) => Err(SnowflakeError::sql(&envelope, Some(handle.clone()))),
    }
}

fn begun(reply: Reply<Bytes>) -> Result<Begun, SnowflakeError> {
    match reply {
        Reply::Success(bytes) => {
            let envelope = Envelope::read(&bytes)?;
            // With async=true the acceptance may come as 200, too: a handle and no metadata.
            if envelope.is_running() {
                return Ok(Begun::Running(envelope.handle()?));
            }
            envelope_result(envelope, bytes).map(Begun::Done)
        }
        Reply::Running(envelope) => Ok(Begun::Running(envelope.handle()?)),
        Reply::TimedOut(envelope) => {
            Err(SnowflakeError::StatementTimedOut { handle: envelope.handle().ok() })
        }
        Reply::Failed(envelope) => Err(SnowflakeError::sql(&envelope, None)),
    }
}

fn result_of(bytes: Bytes) -> Result<ResultSet, SnowflakeError> {
    let envelope = Envelope::read(&bytes)?;
    envelope_result(envelope, bytes)
}

fn envelope_result(envelope: Envelope, bytes: Bytes) -> Result<ResultSet, SnowflakeError> {
    // A result that is too large may come as a success that is incomplete.
    if envelope.code().as_deref() == Some(RESULT_TOO_LARGE) {
        return Err(SnowflakeError::sql(&envelope, None));
    }
    Ok(envelope.into_result(bytes)?)
}
