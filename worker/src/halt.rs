//! Halting: while something is wrong that would fail every chunk alike, take nothing, probe, go on when it works.
//!
//! It decides nothing about chunks; it only knows whether the worker may take more of them.

use std::sync::Arc;
use std::time::Duration;

use thaw_model::{Classify, ErrorReport};
use thaw_postgres::{PgError, PoolSet};
use thaw_queue::LinkState;
use thaw_snowflake::{Client, Statement};
use thaw_status::StoreError;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Probes come after 1, 2, 4, 8, 16 and then every 30 seconds.
const FIRST_PROBE: Duration = Duration::from_secs(1);
const LAST_PROBE: Duration = Duration::from_secs(30);
const PROBE_LIMIT: Duration = Duration::from_secs(20);
/// Trouble that stays away for so long is over, though no chunk came by to show it.
const QUIET: Duration = Duration::from_secs(120);

/// What does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The source rejects us.
    Source,
    /// A target database is unreachable, full, or not ours to read.
    Database(String),
    /// The broker rejects our login.
    Queue,
}

/// Why the worker takes no chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halted {
    pub cause: Cause,
    pub reason: String,
    /// When the trouble began; chunks that succeed end it, probes do not.
    pub since: Instant,
}

/// Whether the worker may take chunks. Clones share the answer.
#[derive(Debug, Clone)]
pub struct Halt {
    state: Arc<watch::Sender<Option<Halted>>>,
    /// Trouble that no success has ended yet.
    trouble: Arc<watch::Sender<Option<Trouble>>>,
}

#[derive(Debug, Clone, Copy)]
struct Trouble {
    since: Instant,
    last_seen: Instant,
}

impl Default for Halt {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::new(None)), trouble: Arc::new(watch::Sender::new(None)) }
    }
}

impl Halt {
    /// Takes no more chunks until a probe succeeds. The first cause stays until it is over.
    pub fn raise(&self, cause: Cause, error: &(impl Classify + ?Sized)) {
        self.raise_for(cause, ErrorReport::of(error));
    }

    /// Halts while the broker refuses our login, which the consumer goes on trying; for as long as it is polled.
    pub async fn follow_login(self, mut link: watch::Receiver<LinkState>) {
        loop {
            let refused = link.wait_for(|state| matches!(state, LinkState::LoginRefused { .. })).await;
            let Ok(report) = refused.map(|state| refusal(&state)) else { return };
            self.raise_for(Cause::Queue, report);
            if link.changed().await.is_err() {
                return;
            }
        }
    }

    fn raise_for(&self, cause: Cause, report: ErrorReport) {
        let since = self.note_trouble();
        self.state.send_if_modified(|state| {
            let is_new = state.is_none();
            if is_new {
                tracing::error!(?cause, class = %report.class, error = %report.text, "worker halted: no chunk is taken");
                *state = Some(Halted { cause, reason: report.text, since });
            }
            is_new
        });
    }

    /// Returns when the trouble began.
    fn note_trouble(&self) -> Instant {
        let now = Instant::now();
        let mut since = now;
        self.trouble.send_modify(|trouble| {
            let known = trouble.filter(|known| now.duration_since(known.last_seen) < QUIET);
            since = known.map_or(now, |known| known.since);
            *trouble = Some(Trouble { since, last_seen: now });
        });
        since
    }

    /// A chunk was loaded: whatever was wrong is over.
    pub fn succeeded(&self) {
        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
    }

    /// Why no chunk is taken, or `None`.
    #[must_use]
    pub fn current(&self) -> Option<Halted> {
        self.state.borrow().clone()
    }

    /// Follows the answer.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Halted>> {
        self.state.subscribe()
    }

    fn clear(&self) {
        if let Some(halted) = self.state.send_replace(None) {
            tracing::info!(cause = ?halted.cause, "the probe succeeded, worker goes on");
        }
    }
}

fn refusal(state: &LinkState) -> ErrorReport {
    ErrorReport { class: "queue_login_refused".to_owned(), text: state.to_string() }
}

/// Probes while halted; resolves only when the trouble has lasted longer than `grace`, or when stopped (`false`).
pub async fn probe_until_hopeless(
    halt: Halt,
    probes: Probes,
    grace: Duration,
    stop: CancellationToken,
) -> bool {
    let mut state = halt.watch();
    let mut pause = FIRST_PROBE;
    loop {
        let halted = tokio::select! {
            () = stop.cancelled() => return false,
            halted = state.wait_for(Option::is_some) => match halted {
                Ok(halted) => halted.clone(),
                Err(_) => return false,
            },
        };
        let Some(halted) = halted else { continue };
        if halted.since.elapsed() >= grace {
            return true;
        }
        let left = grace.saturating_sub(halted.since.elapsed());
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(pause.min(left)) => {}
        }
        pause = (pause * 2).min(LAST_PROBE);
        match probes.probe(&halted.cause).await {
            Ok(()) => {
                halt.clear();
                // Trouble that comes back at once is probed as seldom as before.
                if halt.trouble.borrow().is_none() {
                    pause = FIRST_PROBE;
                }
            }
            Err(report) => {
                halt.note_trouble();
                tracing::warn!(class = %report.class, error = %report.text, "still halted");
            }
        }
    }
}

/// How to find out whether a cause is over.
#[derive(Debug, Clone)]
pub struct Probes {
    pub pools: PoolSet,
    pub snowflake: Client,
    /// The consumer's connection; it tries again by itself.
    pub link: watch::Receiver<LinkState>,
}

impl Probes {
    async fn probe(&self, cause: &Cause) -> Result<(), ErrorReport> {
        let answered = match cause {
            Cause::Source => timeout(PROBE_LIMIT, self.probe_source()).await,
            Cause::Queue => return self.look_at_link(),
            Cause::Database(database) => timeout(PROBE_LIMIT, self.probe_database(database)).await,
        };
        answered.unwrap_or_else(|_| {
            Err(ErrorReport { class: "timeout".into(), text: format!("no answer within {PROBE_LIMIT:?}") })
        })
    }

    fn look_at_link(&self) -> Result<(), ErrorReport> {
        let state = self.link.borrow();
        if state.is_connected() { Ok(()) } else { Err(refusal(&state)) }
    }

    async fn probe_source(&self) -> Result<(), ErrorReport> {
        self.snowflake
            .query(&Statement::new("select 1"))
            .await
            .map(drop)
            .map_err(|error| ErrorReport::of(&error))
    }

    async fn probe_database(&self, database: &str) -> Result<(), ErrorReport> {
        let client = self.connect(database).await.map_err(|error| ErrorReport::of(&error))?;
        match thaw_status::check_version(&client).await {
            // Nothing was ever planned here; a planner will make the tables.
            Ok(()) | Err(StoreError::SchemaMissing { .. }) => Ok(()),
            Err(error) => Err(ErrorReport::of(&error)),
        }
    }

    async fn connect(&self, database: &str) -> Result<thaw_postgres::Client, PgError> {
        self.pools.pool(database)?.get().await
    }
}
