//! What all requests share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use emulator_engine::Engine;
use tokio_util::task::TaskTracker;

use crate::adversity::Adversity;
use crate::auth::Directory;
use crate::clock::Clock;
use crate::faults::Faults;
use crate::frozen::Frozen;
use crate::limits::Limits;
use crate::partitions::PartitionLimits;
use crate::prepared::Prepared;
use crate::spool::Spool;
use crate::statements::Statements;

/// One emulated account being served.
#[derive(Debug)]
pub(crate) struct Emulator {
    pub(crate) engine: Engine,
    pub(crate) directory: Directory,
    pub(crate) clock: Clock,
    pub(crate) adversity: Adversity,
    pub(crate) faults: Faults,
    pub(crate) prepared: Prepared,
    pub(crate) frozen: Frozen,
    pub(crate) statements: Statements,
    pub(crate) spool: Arc<Spool>,
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    /// Running statements; awaited at the end so that PostgreSQL hears of their cancellation.
    pub(crate) executions: TaskTracker,
    /// Commits up to here are visible to everybody, whatever the delay: the last one made through the admin endpoint.
    visible_floor_ms: AtomicI64,
}

/// Fixed at the start.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// How long a synchronous submission waits before it is answered 202.
    pub(crate) sync_wait: Duration,
    /// How long a result is kept, on the virtual clock.
    pub(crate) result_lifetime_ms: i64,
    /// How long a commit stays invisible to other requests.
    pub(crate) commit_visibility_ms: i64,
    /// A query is executed once, see [`crate::frozen`].
    pub(crate) freeze: bool,
}

/// The parts an [`Emulator`] is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) directory: Directory,
    pub(crate) adversity: Adversity,
    pub(crate) spool: Spool,
    pub(crate) settings: Settings,
    /// Upper limits of a partition, below what the request asks for; for tests that want many small ones.
    pub(crate) partition_limits: PartitionLimits,
}

impl Emulator {
    /// An emulator nobody has asked anything yet.
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            engine: parts.engine,
            directory: parts.directory,
            clock: Clock::default(),
            adversity: parts.adversity,
            faults: Faults::default(),
            prepared: Prepared::default(),
            frozen: Frozen::default(),
            statements: Statements::default(),
            spool: Arc::new(parts.spool),
            limits: Limits::new(parts.partition_limits),
            settings: parts.settings,
            executions: TaskTracker::new(),
            visible_floor_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// Commits later than this are not yet seen by a request that begins now.
    pub(crate) fn visible_until_ms(&self) -> i64 {
        let delayed = self.clock.now_ms().saturating_sub(self.settings.commit_visibility_ms);
        delayed.max(self.visible_floor_ms.load(Ordering::Relaxed))
    }

    /// Makes every commit up to now visible.
    pub(crate) fn reveal_commits(&self) {
        self.visible_floor_ms.fetch_max(self.clock.now_ms(), Ordering::Relaxed);
    }
}
