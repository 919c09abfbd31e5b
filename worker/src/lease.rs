//! Leases: one heartbeat for all chunks this process holds, and word to those that lost theirs.
//!
//! One statement a database and beat, on connections of its own: a heartbeat must not wait behind loads. A chunk
//! that the statement did not extend is looked at before its load is dropped, because a row that is locked just now
//! is skipped as well.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thaw_model::{ChunkId, ErrorReport, Fence, WorkerId};
use thaw_postgres::PoolSet;
use thaw_status::{ClaimedChunk, StoreError, Truth};
use thaw_telemetry::Metrics;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// While nothing is held, the next beat is looked for this often.
const IDLE_BEAT: Duration = Duration::from_millis(500);
/// A chunk claimed just after a beat, under a shorter lease than the others, must not wait for long.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
const BEAT_LIMIT_MIN: Duration = Duration::from_millis(250);

/// The chunks this process holds.
#[derive(Debug, Default)]
pub struct Leases {
    held: Mutex<HashMap<Key, Entry>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    database: String,
    chunk: ChunkId,
}

#[derive(Debug, Clone)]
struct Entry {
    claimed: Arc<ClaimedChunk>,
    lost: CancellationToken,
    commit_sent: Arc<AtomicBool>,
}

/// A chunk that is kept alive until this is dropped.
#[derive(Debug)]
pub struct Held {
    leases: Arc<Leases>,
    key: Key,
    fence: Fence,
    lost: CancellationToken,
    commit_sent: Arc<AtomicBool>,
}

impl Leases {
    /// Keeps the lease of a claimed chunk alive from now on.
    #[must_use]
    pub fn hold(self: &Arc<Self>, database: &str, claimed: &Arc<ClaimedChunk>) -> Held {
        let key = Key { database: database.to_owned(), chunk: claimed.id };
        let entry = Entry {
            claimed: Arc::clone(claimed),
            lost: CancellationToken::new(),
            commit_sent: Arc::new(AtomicBool::new(false)),
        };
        let held = Held {
            leases: Arc::clone(self),
            key: key.clone(),
            fence: claimed.fence,
            lost: entry.lost.clone(),
            commit_sent: Arc::clone(&entry.commit_sent),
        };
        // An earlier claim of this process on the same chunk has lost its fence to this one.
        if let Some(earlier) = self.lock().insert(key, entry) {
            earlier.lost.cancel();
        }
        held
    }

    /// How many chunks are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn of_database(&self, database: &str) -> Vec<Entry> {
        let held = self.lock();
        held.iter().filter(|(key, _)| key.database == database).map(|(_, entry)| entry.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Resolves when the chunk is found in other hands. Cancel-safe.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Set right before the completion is sent: from then on the heartbeat leaves the chunk alone, and nobody may
    /// drop its load without asking the row.
    #[must_use]
    pub fn commit_sent(&self) -> &Arc<AtomicBool> {
        &self.commit_sent
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.leases.lock();
        if held.get(&self.key).is_some_and(|entry| entry.claimed.fence == self.fence) {
            held.remove(&self.key);
        }
    }
}

/// The heartbeat of one database.
#[derive(Debug)]
pub struct Beat {
    pub leases: Arc<Leases>,
    /// Pools that loads do not use.
    pub pools: PoolSet,
    pub database: String,
    pub worker: WorkerId,
    pub metrics: Arc<Metrics>,
}

/// Beats until stopped.
pub async fn beat(beat: Beat, stop: CancellationToken) {
    loop {
        let held = beat.leases.of_database(&beat.database);
        let pause = held.iter().map(|entry| entry.claimed.settings.heartbeat).min().unwrap_or(IDLE_BEAT);
        if !held.is_empty() {
            // A beat that hangs must not cost the next one.
            match timeout(pause.max(BEAT_LIMIT_MIN) * 2, beat.once(&held)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let report = ErrorReport::of(&error);
                    tracing::warn!(database = beat.database, class = %report.class, error = %report.text, "heartbeat failed");
                }
                Err(_) => tracing::warn!(database = beat.database, "heartbeat got no answer in time"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause.min(LONGEST_PAUSE)) => {}
            () = stop.cancelled() => return,
        }
    }
}

impl Beat {
    async fn once(&self, held: &[Entry]) -> Result<(), StoreError> {
        let beating: Vec<&Entry> =
            held.iter().filter(|entry| !entry.commit_sent.load(Ordering::SeqCst)).collect();
        if beating.is_empty() {
            return Ok(());
        }
        let client = self.pools.pool(&self.database)?.get().await?;
        let keys: Vec<(ChunkId, Fence)> =
            beating.iter().map(|entry| (entry.claimed.id, entry.claimed.fence)).collect();
        let extended = thaw_status::heartbeat(&client, &self.worker, &keys).await?;
        for entry in beating {
            if !extended.contains(&entry.claimed.id) {
                self.look_at(&client, entry).await?;
            }
        }
        Ok(())
    }

    /// The row was locked, is completed by ourselves, or belongs to somebody else: only the last drops the load.
    async fn look_at(&self, client: &thaw_postgres::Client, entry: &Entry) -> Result<(), StoreError> {
        match thaw_status::read_chunk(client, &entry.claimed).await? {
            Truth::StillMine => {}
            Truth::Recorded(recorded) if !entry.commit_sent.load(Ordering::SeqCst) => {
                self.metrics.leases_lost.inc();
                tracing::debug!(chunk_id = %entry.claimed.id, outcome = %recorded.outcome(), "lease is lost");
                entry.lost.cancel();
            }
            Truth::Recorded(_) => {}
        }
        Ok(())
    }
}
