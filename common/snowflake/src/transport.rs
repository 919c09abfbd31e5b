//! One request to the server, with what belongs to any request: credentials, time limits, the limit of requests
//! in flight, and bounded resubmission. It knows statuses, not statements.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::auth::TokenSource;
use crate::client::Timeouts;
use crate::error::SnowflakeError;
use crate::limiter::{Limiter, Permit};
use crate::poll::BackOff;
use crate::response::Envelope;
use crate::retry_after::retry_after;

/// Sending a request again in vain more often than this helps nobody.
const ATTEMPTS_MAX: u32 = 6;
/// What an answer that is no result may measure.
const STATUS_BYTES_MAX: usize = 1024 * 1024;
/// A whole result is its metadata and partition 0: 16 MB, or one row with a value of 128 MB.
const RESULT_BYTES_MAX: usize = 256 * 1024 * 1024;

pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) tokens: TokenSource,
    pub(crate) timeouts: Timeouts,
    pub(crate) limiter: Arc<Limiter>,
}

/// What to ask.
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below `/api/v2/statements`, without a slash at its start; handles are checked, so it needs no escaping.
    pub(crate) path: String,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Bytes>,
    /// Not held back by the limit of requests in flight.
    pub(crate) urgent: bool,
    /// An earlier process may have sent this request id.
    pub(crate) resubmission: bool,
}

/// A 200 whose body is still to be read, or what the server says instead.
pub(crate) enum Reply<T> {
    Success(T),
    /// 202, or a 429 that names a statement.
    Running(Envelope),
    /// 408 of a statement.
    TimedOut(Envelope),
    /// 422.
    Failed(Envelope),
}

/// A body that is read piece by piece under a time limit.
pub(crate) struct BodyReader {
    response: reqwest::Response,
    idle: Duration,
    _permit: Option<Permit>,
}

impl BodyReader {
    /// The next piece, `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, SnowflakeError> {
        match timeout(self.idle, self.response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(SnowflakeError::BodyCut(error.without_url())),
            Err(_) => Err(SnowflakeError::BodyTimeout(self.idle)),
        }
    }

    /// The first `limit` bytes, and the rest of the body unless they are all of it. A body that announces more
    /// is not waited for.
    pub(crate) async fn ahead(mut self, limit: usize) -> Result<(Bytes, Option<Self>), SnowflakeError> {
        let announced =
            self.response.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        if announced.is_some_and(|length| length > limit) {
            return Ok((Bytes::new(), Some(self)));
        }
        let mut held = Vec::with_capacity(announced.unwrap_or(0));
        while held.len() <= limit {
            match self.next().await? {
                Some(piece) => held.extend_from_slice(&piece),
                None => return Ok((held.into(), None)),
            }
        }
        Ok((held.into(), Some(self)))
    }

    async fn all(mut self, limit: usize) -> Result<Bytes, SnowflakeError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await? {
            if whole.len() + piece.len() > limit {
                return Err(SnowflakeError::TooLarge(limit));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}

/// A fault that a further attempt may mend, and how long the server wants us to wait.
struct Passing {
    error: SnowflakeError,
    after: Option<Duration>,
}

enum Attempt {
    Reply(Reply<BodyReader>),
    Passing(Passing),
    Rejected { status: u16, code: Option<String> },
}

impl Transport {
    /// Asks, and reads the whole of a 200.
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply<Bytes>, SnowflakeError> {
        self.call_with(call, |body| body.all(RESULT_BYTES_MAX)).await
    }

    /// Asks, and does `consume` with the body of a 200; asks again when that fails.
    pub(crate) async fn call_with<T, F>(
        &self,
        call: &Call,
        consume: impl Fn(BodyReader) -> F,
    ) -> Result<Reply<T>, SnowflakeError>
    where
        F: Future<Output = Result<T, SnowflakeError>>,
    {
        let mut patience = Patience::new(self.timeouts.retry_budget);
        loop {
            let passing = match self.settle(call, &mut patience).await? {
                Reply::Success(body) => match consume(body).await {
                    Ok(read) => return Ok(Reply::Success(read)),
                    Err(error @ SnowflakeError::TooLarge(_)) => return Err(error),
                    Err(error) => Passing { error, after: None },
                },
                Reply::Running(envelope) => return Ok(Reply::Running(envelope)),
                Reply::TimedOut(envelope) => return Ok(Reply::TimedOut(envelope)),
                Reply::Failed(envelope) => return Ok(Reply::Failed(envelope)),
            };
            patience.wait(passing).await?;
        }
    }

    /// Asks, and leaves the body of a 200 to the caller.
    pub(crate) async fn open(&self, call: &Call) -> Result<Reply<BodyReader>, SnowflakeError> {
        self.settle(call, &mut Patience::new(self.timeouts.retry_budget)).await
    }

    /// Attempts until there is an answer that means something.
    async fn settle(
        &self,
        call: &Call,
        patience: &mut Patience,
    ) -> Result<Reply<BodyReader>, SnowflakeError> {
        loop {
            let credential = self.tokens.credential()?;
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, credential.authorization.clone());
            headers.insert(
                "X-Snowflake-Authorization-Token-Type",
                HeaderValue::from_static(credential.token_type),
            );
            match self.attempt(call, headers, call.resubmission || patience.attempts > 0).await? {
                Attempt::Reply(reply) => return Ok(reply),
                Attempt::Passing(passing) => patience.wait(passing).await?,
                // The token may have been cut short by the server's clock; a new one is tried once.
                Attempt::Rejected { status, code } => {
                    let renewed = self.tokens.reject(&credential);
                    if std::mem::replace(&mut patience.renewed, true) || !renewed {
                        return Err(SnowflakeError::Unauthorized { status, code });
                    }
                }
            }
        }
    }

    async fn attempt(&self, call: &Call, headers: HeaderMap, again: bool) -> Result<Attempt, SnowflakeError> {
        let permit = if call.urgent { None } else { Some(self.limiter.acquire().await) };
        let sent = Instant::now();
        let request = self.request(call, headers, again);
        let response = match timeout(self.timeouts.headers, request.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let error = error.without_url();
                let error = if error.is_connect() || error.is_timeout() {
                    SnowflakeError::Connect(error)
                } else {
                    SnowflakeError::Request(error)
                };
                return Ok(Attempt::Passing(Passing { error, after: None }));
            }
            Err(_) => {
                let error = SnowflakeError::HeadersTimeout(self.timeouts.headers);
                return Ok(Attempt::Passing(Passing { error, after: None }));
            }
        };
        let status = response.status();
        let after = retry_after(response.headers());
        let body = BodyReader { response, idle: self.timeouts.idle_read, _permit: permit };
        if status == StatusCode::OK {
            self.limiter.went_well();
            return Ok(Attempt::Reply(Reply::Success(body)));
        }
        // Error bodies may be HTML, or missing: the status is what counts then.
        let envelope = match body.all(STATUS_BYTES_MAX).await {
            Ok(bytes) => Envelope::read(&bytes).unwrap_or_default(),
            Err(_) => Envelope::default(),
        };
        let judged = judge(status, after, envelope);
        if let Ok(Attempt::Passing(Passing { error: SnowflakeError::Throttled { .. }, after })) = &judged {
            self.limiter.throttled(sent, *after);
        }
        judged
    }

    fn request(&self, call: &Call, headers: HeaderMap, again: bool) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}/api/v2/statements{}", call.path));
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let submits = call.query.iter().any(|(name, _)| *name == "requestId");
        if again && submits {
            url.query_pairs_mut().append_pair("retry", "true");
        }
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .headers(headers)
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip")
            .header(CONTENT_TYPE, "application/json");
        if let Some(body) = &call.body {
            request = request.body(body.clone());
        }
        request
    }
}

/// What a status that is not 200 means.
fn judge(status: StatusCode, after: Option<Duration>, envelope: Envelope) -> Result<Attempt, SnowflakeError> {
    let number = status.as_u16();
    let code = envelope.code();
    let named = envelope.handle().is_ok();
    Ok(match number {
        202 => Attempt::Reply(Reply::Running(envelope)),
        // Some deployments say "still executing" this way.
        429 if named => Attempt::Reply(Reply::Running(envelope)),
        // Without a statement it is a gateway's.
        408 if named => Attempt::Reply(Reply::TimedOut(envelope)),
        422 => Attempt::Reply(Reply::Failed(envelope)),
        401 => Attempt::Rejected { status: number, code },
        403 => return Err(SnowflakeError::Forbidden { code }),
        404 | 405 => return Err(SnowflakeError::WrongAddress { status: number, code }),
        429 => Attempt::Passing(Passing {
            error: SnowflakeError::Throttled { status: number, code, after },
            after,
        }),
        503 if after.is_some() => Attempt::Passing(Passing {
            error: SnowflakeError::Throttled { status: number, code, after },
            after,
        }),
        408 | 500..=599 => {
            Attempt::Passing(Passing { error: SnowflakeError::Server { status: number, code }, after })
        }
        _ => return Err(SnowflakeError::Refused { status: number, code }),
    })
}

/// How often and how long one request is tried again.
struct Patience {
    started: Instant,
    budget: Duration,
    attempts: u32,
    renewed: bool,
    back_off: BackOff,
}

impl Patience {
    fn new(budget: Duration) -> Self {
        Self { started: Instant::now(), budget, attempts: 0, renewed: false, back_off: BackOff::retrying() }
    }

    /// Waits before the next attempt, or gives the error back. A first resubmission is always made unless the
    /// server asks for a long wait: it is the only way to learn the handle of a submit whose answer was lost.
    async fn wait(&mut self, passing: Passing) -> Result<(), SnowflakeError> {
        self.attempts += 1;
        let wait = passing.after.unwrap_or_else(|| self.back_off.delay());
        let first = self.attempts == 1 && passing.after.is_none();
        if self.attempts >= ATTEMPTS_MAX || (!first && self.started.elapsed() + wait > self.budget) {
            return Err(passing.error);
        }
        tracing::debug!(error = %passing.error, wait_ms = wait.as_millis(), "snowflake request is sent again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
