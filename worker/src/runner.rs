//! The life of a chunk: receive, claim, execute, settle, acknowledge, look whether the table is done.
//!
//! It owns the order of these steps and nothing else: what an error is worth is `settle`'s, how rows are loaded
//! `execute`'s, and what is written the status store's.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use thaw_model::{ChunkId, Classify as _, ErrorReport, Job, RunId, TableId, WorkerId};
use thaw_queue::{Delivery, Publisher, Rejection};
use thaw_status::{Claim, ClaimedChunk, Outcome, Recorded, StoreError};
use thaw_telemetry::{Metrics, Stage};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument as _;

use crate::chunk_error::ChunkError;
use crate::databases::{Databases, TABLES_AT_A_TIME};
use crate::execute::Executor;
use crate::halt::{Cause, Halt};
use crate::lease::{Held, Leases};
use crate::load::Loaded;
use crate::record;
use crate::table_gate::TableGate;
use crate::table_work::{self, Occasion};

/// How long a COMMIT that is on its way is waited for at shutdown.
const COMMIT_LIMIT: Duration = Duration::from_secs(10);
/// A claim is tried so often before the database counts as unreachable.
const CLAIM_TRIES: u32 = 3;
const CLAIM_PAUSE: Duration = Duration::from_millis(200);

/// What is done about tables at a time: a start must not wait behind index builds of hours.
#[derive(Debug)]
pub struct Gates {
    pub start: TableGate,
    pub finalize: TableGate,
}

impl Default for Gates {
    fn default() -> Self {
        Self { start: TableGate::new(TABLES_AT_A_TIME), finalize: TableGate::new(TABLES_AT_A_TIME) }
    }
}

/// What every slot of a worker shares.
#[derive(Debug)]
pub struct Runner<P> {
    pub worker: WorkerId,
    pub publisher: P,
    pub databases: Databases,
    pub executor: Executor,
    pub leases: Arc<Leases>,
    pub halt: Halt,
    pub metrics: Arc<Metrics>,
    /// True while the consumer is paused.
    pub paused: watch::Sender<bool>,
    /// Cancelled when the grace period is over: running attempts are dropped and handed back.
    pub interrupt: CancellationToken,
    /// Finalizing and starting tables, outside the slots.
    pub background: TaskTracker,
    /// How many of either at a time.
    pub gates: Gates,
}

impl<P: Publisher> Runner<P> {
    /// One delivery, from receipt to its end. Never fails: every error is settled, or the message is handed back.
    pub async fn receive(self: Arc<Self>, delivery: Delivery) {
        thaw_faults::reach("after_receive");
        let job = match delivery.job() {
            Ok(job) => job.clone(),
            Err(undecodable) => {
                let (error, byte_count) = (&undecodable.error, undecodable.length);
                tracing::warn!(%error, byte_count, "message cannot be read");
                return self.reject(delivery, Rejection::Undecodable).await;
            }
        };
        if !self.databases.knows(job.database()) {
            tracing::warn!(
                database = job.database(),
                "message names a database this configuration does not know"
            );
            return self.reject(delivery, Rejection::UnknownDatabase).await;
        }
        match job {
            Job::Chunk { database, run, chunk } => {
                let span = tracing::info_span!("chunk", run_id = %run, chunk_id = %chunk);
                self.run_chunk(delivery, &database, (run, chunk)).instrument(span).await;
            }
            Job::Table { database, run, table } => {
                let span = tracing::info_span!("table", run_id = %run, table_id = %table);
                self.run_table(delivery, &database, (run, table)).instrument(span).await;
            }
        }
    }

    async fn run_chunk(self: &Arc<Self>, delivery: Delivery, database: &str, (run, chunk): (RunId, ChunkId)) {
        let claimed = match self.claim(database, run, chunk).await {
            Ok(Claim::Claimed(claimed)) => Arc::new(*claimed),
            Ok(Claim::NotClaimable(proof)) => {
                tracing::debug!(outcome = %proof.outcome(), "chunk is not ours to load");
                self.acknowledge(delivery, proof.clone()).await;
                return self.look_at_table(database, (run, chunk.table), &proof, Occasion::CappedChunkEnded);
            }
            Err(error) => return self.hand_back(delivery, database, &error).await,
        };
        thaw_faults::reach("after_claim");
        let held = self.leases.hold(database, &claimed);
        self.metrics.inflight_chunks.inc();
        let attempted = self.attempt(database, &claimed, &held).await;
        self.metrics.inflight_chunks.dec();
        let proof = match attempted {
            Ok(loaded) => Some(self.loaded(&claimed, loaded)),
            Err(error) => record::record(self, database, &claimed, error).await,
        };
        drop(held);
        match proof {
            // Pending after our own shutdown: another worker should not have to wait for redispatch.
            Some(proof) if self.interrupt.is_cancelled() && proof.outcome() == Outcome::Pending => {
                self.requeue(delivery).await;
            }
            Some(proof) => {
                self.acknowledge(delivery, proof.clone()).await;
                let occasion = self.occasion(database, &claimed).await;
                self.look_at_table(database, (run, chunk.table), &proof, occasion);
            }
            None => self.requeue(delivery).await,
        }
    }

    /// Claims; a database that stumbles is asked again.
    async fn claim(&self, database: &str, run: RunId, chunk: ChunkId) -> Result<Claim, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let claimed = match self.databases.client(database).await {
                Ok(client) => thaw_status::claim(&client, run, chunk, &self.worker).await,
                Err(error) => Err(error.into()),
            };
            match claimed {
                Err(error) if tries < CLAIM_TRIES && !error.is_schema_missing() => {
                    tracing::debug!(error = %error, "claim failed, trying again");
                    tokio::time::sleep(CLAIM_PAUSE * tries).await;
                }
                claimed => return claimed,
            }
        }
    }

    /// One attempt in a task of its own, so that its panic is its own, under lease and shutdown.
    async fn attempt(
        &self,
        database: &str,
        claimed: &Arc<ClaimedChunk>,
        held: &Held,
    ) -> Result<Loaded, ChunkError> {
        let (executor, chunk) = (self.executor.clone(), Arc::clone(claimed));
        let (database, sent) = (database.to_owned(), Arc::clone(held.commit_sent()));
        let work = async move { executor.execute(&database, &chunk, &sent).await };
        let mut task = AbortOnDropHandle::new(tokio::spawn(work.in_current_span()));
        let reason = tokio::select! {
            joined = &mut task => return outcome_of(joined, ChunkError::Interrupted),
            () = held.lost() => ChunkError::LeaseLost,
            () = self.interrupt.cancelled() => ChunkError::Interrupted,
        };
        if held.commit_sent().load(Ordering::SeqCst)
            && let Ok(joined) = timeout(COMMIT_LIMIT, &mut task).await
        {
            return outcome_of(joined, reason);
        }
        task.abort();
        let was_sent = Arc::clone(held.commit_sent());
        // Awaited, so that its connection is closed before anybody settles.
        let joined = task.await;
        let reason = if was_sent.load(Ordering::SeqCst) { ChunkError::DroppedInCommit } else { reason };
        outcome_of(joined, reason)
    }

    fn loaded(&self, claimed: &ClaimedChunk, loaded: Loaded) -> Recorded {
        self.halt.succeeded();
        let rows = loaded.accounting.inserted + loaded.accounting.updated;
        self.metrics.rows_loaded(u64::try_from(rows).unwrap_or(0));
        for (outcome, rows) in loaded.accounting.outcomes() {
            self.metrics.rows_accounted(outcome, u64::try_from(rows).unwrap_or(0));
        }
        for (reason, rows) in loaded.accounting.doubts() {
            self.metrics.rows_doubtful(reason, u64::try_from(rows).unwrap_or(0));
        }
        self.metrics.bytes_copied(Stage::Load, u64::try_from(loaded.accounting.bytes).unwrap_or(0));
        self.metrics.chunk_settled(loaded.recorded.outcome().as_str());
        for (stage, millis) in [
            (Stage::Fetch, loaded.times.fetch_ms),
            (Stage::Decode, loaded.times.decode_ms),
            (Stage::Load, loaded.times.load_ms),
        ] {
            self.metrics.stage_took(stage, Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
        }
        self.metrics.stage_took(Stage::Commit, loaded.commit);
        tracing::info!(
            fence = %claimed.fence,
            fetched = loaded.accounting.fetched,
            inserted = loaded.accounting.inserted,
            updated = loaded.accounting.updated,
            kept = loaded.accounting.kept,
            deduplicated = loaded.accounting.deduplicated,
            quarantined = loaded.accounting.quarantined,
            fetch_ms = loaded.times.fetch_ms,
            load_ms = loaded.times.load_ms,
            "chunk completed"
        );
        loaded.recorded
    }

    /// The hint about a table is spent once its row was read: what follows is leased in the store.
    async fn run_table(self: &Arc<Self>, delivery: Delivery, database: &str, (run, table): (RunId, TableId)) {
        let read = match self.databases.client(database).await {
            Ok(client) => thaw_status::start::read_table(&client, run, table).await,
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(proof) => {
                self.acknowledge(delivery, proof).await;
                self.spawn_table_work(database, (run, table), Occasion::Hint);
            }
            Err(error) => self.hand_back(delivery, database, &error).await,
        }
    }

    /// Whether the table's plan caps its chunks; from memory, the attempt has just read it.
    async fn occasion(&self, database: &str, claimed: &ClaimedChunk) -> Occasion {
        match self.databases.plan(database, claimed).await {
            Ok(Some(plan)) if plan.parallel_cap.is_none() => Occasion::ChunkEnded,
            Ok(_) | Err(_) => Occasion::CappedChunkEnded,
        }
    }

    /// After a chunk of it has ended: publish the next hint of a capped table, finalize it if this was the last.
    fn look_at_table(
        self: &Arc<Self>,
        database: &str,
        table: (RunId, TableId),
        proof: &Recorded,
        occasion: Occasion,
    ) {
        match proof.outcome() {
            Outcome::Completed | Outcome::Failed | Outcome::Closed => {
                self.spawn_table_work(database, table, occasion);
            }
            Outcome::Pending | Outcome::Held | Outcome::Table(_) | Outcome::NotOurs => {}
        }
    }

    fn spawn_table_work(self: &Arc<Self>, database: &str, table: (RunId, TableId), occasion: Occasion) {
        let (runner, database) = (Arc::clone(self), database.to_owned());
        let work = async move { table_work::look(&runner, &database, table, occasion).await };
        self.background.spawn(work.in_current_span());
    }

    async fn acknowledge(&self, delivery: Delivery, proof: Recorded) {
        if let Err(error) = delivery.ack(proof).await {
            tracing::debug!(error = %error, "message was not acknowledged and will come again");
        }
    }

    async fn requeue(&self, delivery: Delivery) {
        if let Err(error) = delivery.requeue().await {
            tracing::debug!(error = %error, "message was not handed back, its connection will be");
        }
    }

    async fn reject(&self, delivery: Delivery, why: Rejection) {
        self.metrics.error(Stage::Receive, why.as_str());
        if let Err(error) = delivery.reject(why).await {
            tracing::debug!(error = %error, "message was not rejected and will come again");
        }
    }

    /// The status store cannot be asked: take nothing more until it can, then let the message come again. A store
    /// that does not exist is no trouble of this worker's: an old message about it must stop nobody.
    async fn hand_back(&self, delivery: Delivery, database: &str, error: &StoreError) {
        if error.is_schema_missing() {
            tracing::warn!(database, "message names a database without status tables");
            return self.reject(delivery, Rejection::NoStatusTables).await;
        }
        self.metrics.error(Stage::Claim, error.disposition().as_str());
        tracing::warn!(database, error = %ErrorReport::of(error).text, "status store cannot be asked");
        self.halt.raise(Cause::Database(database.to_owned()), error);
        let mut paused = self.paused.subscribe();
        // Not before the consumer is paused, or the message would circle.
        if timeout(COMMIT_LIMIT, paused.wait_for(|paused| *paused)).await.is_err() {
            tracing::debug!("consumer is not paused yet");
        }
        self.requeue(delivery).await;
    }
}

/// What a joined attempt gave; `dropped` where it was dropped.
fn outcome_of(
    joined: Result<Result<Loaded, ChunkError>, tokio::task::JoinError>,
    dropped: ChunkError,
) -> Result<Loaded, ChunkError> {
    match joined {
        Ok(outcome) => outcome,
        Err(error) if error.is_panic() => Err(ChunkError::Panicked),
        Err(_) => Err(dropped),
    }
}
