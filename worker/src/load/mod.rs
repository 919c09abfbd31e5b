//! Loads one chunk: its rows and its `completed` status in one transaction, by one of three modes.
//!
//! The transaction opens when the first rows are there and closes with them; the source is never waited for with a
//! transaction open, except between two pieces of a COPY, under a watchdog. One file a mode; every statement is in
//! [`sql`]. It obeys the plan: which mode, which columns, which index is not decided here.

mod copy;
mod error;
mod insert_only;
mod sql;
mod stage;
mod stream;
mod target_changes;
mod upsert;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thaw_model::plan::{LoadMode, OnDuplicate};
use thaw_model::{Accounting, PhaseTimes, TablePlan};
use thaw_postgres::PgError;
use thaw_status::load_tx::QuarantinedRow;
use thaw_status::{ClaimedChunk, LoadTx, Recorded};
use tokio_postgres::Client;

pub use error::LoadError;
use stream::{Opening, Stream};

use crate::encode::{EncodeError, Encoded, EncodedRows};

/// The statements of an upsert of distinct keys into an unpartitioned target: its stage, what the planner learns of it,
/// and the merge. For a person's EXPLAIN, and for the bench. `None`: the plan has no arbiter.
#[must_use]
pub fn merge_statements(plan: &TablePlan) -> Option<[String; 3]> {
    let arbiter = plan.load.arbiter.as_ref()?;
    Some([
        sql::create_stage(plan),
        sql::analyze_stage(arbiter),
        sql::upsert(plan, arbiter, sql::Shape { partitioned: false, repeated: false }),
    ])
}

/// How long a failed load waits for its own roll back.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(10);

/// The way one attempt loads. A plan may name two: COPY first, and another after a duplicate key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    Copy,
    Upsert,
    InsertOnly,
}

impl Way {
    /// What the plan says to do first.
    #[must_use]
    pub fn first(plan: &TablePlan) -> Self {
        match plan.load.mode {
            _ if plan.load.copy_first => Self::Copy,
            LoadMode::Copy => Self::Copy,
            LoadMode::Upsert => Self::Upsert,
            LoadMode::InsertOnly => Self::InsertOnly,
        }
    }

    /// What the plan says to do after 23505 on the arbiter; `None`: the chunk fails.
    #[must_use]
    pub fn after_duplicate(plan: &TablePlan) -> Option<Self> {
        match plan.load.on_duplicate {
            OnDuplicate::Fatal => None,
            OnDuplicate::Upsert => Some(Self::Upsert),
            OnDuplicate::DoNothing => Some(Self::InsertOnly),
        }
    }

    /// The encoder must number the rows: the stage needs an order among equal keys.
    #[must_use]
    pub fn needs_ordinal(self) -> bool {
        match self {
            Self::Copy => false,
            Self::Upsert | Self::InsertOnly => true,
        }
    }
}

/// What to load, and how.
#[derive(Debug, Clone, Copy)]
pub struct LoadRequest<'a> {
    pub plan: &'a TablePlan,
    pub chunk: &'a ClaimedChunk,
    pub way: Way,
    /// The longest silence of the source while a COPY is open.
    pub stall: Duration,
    /// Set before the completion is sent: from then on the heartbeat leaves the chunk out.
    pub completion_sent: &'a AtomicBool,
}

/// A chunk that is committed.
#[derive(Debug)]
pub struct Loaded {
    /// The proof that the message may be acknowledged.
    pub recorded: Recorded,
    pub accounting: Accounting,
    pub times: PhaseTimes,
    pub commit: Duration,
}

/// What became of the rows that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Written {
    inserted: i64,
    updated: i64,
    kept: i64,
    deduplicated: i64,
    ambiguous: i64,
    tied: i64,
    watermark_lost: i64,
}

/// Loads the rows that `feed` encodes and commits them with the chunk's completion.
///
/// `feed` runs inside this future, beside the load, and is dropped when the load fails: a fetch that is cancelled by
/// its drop ends with it. When this returns an error, the transaction has been rolled back (or the connection is
/// gone), so that the chunk may be settled at once.
///
/// # Errors
/// [`LoadError`]. After [`LoadError::redo`] the caller fetches again and calls with that way; the fence is checked
/// again in the new transaction.
pub async fn load<F>(
    client: &mut Client,
    request: &LoadRequest<'_>,
    rows: EncodedRows,
    feed: F,
) -> Result<Loaded, LoadError>
where
    F: Future<Output = Result<Encoded, EncodeError>>,
{
    match drive(consume(client, request, rows), feed).await {
        Ok(loaded) => Ok(loaded),
        Err(error) => {
            wait_for_rollback(client).await;
            let error = name_duplicate(client, request, error).await;
            Err(target_changes::explain(client, (request.plan, request.way), error).await)
        }
    }
}

/// Runs feed and load together. The feed's error is the cause where both fail; a load that fails first ends the feed.
async fn drive<F>(load: impl Future<Output = Result<Loaded, LoadError>>, feed: F) -> Result<Loaded, LoadError>
where
    F: Future<Output = Result<Encoded, EncodeError>>,
{
    let (mut load, mut feed) = (pin!(load), pin!(feed));
    let mut fed = false;
    loop {
        tokio::select! {
            // The load first: an error of the database is not to be hidden by the broken channel it causes.
            biased;
            loaded = &mut load => {
                return match loaded {
                    // The channel ended without a last word: the feed knows why.
                    Err(LoadError::Encode(EncodeError::LoadEnded)) if !fed => match feed.await {
                        Err(error) => Err(error.into()),
                        Ok(_) => Err(EncodeError::LoadEnded.into()),
                    },
                    other => other,
                };
            }
            outcome = &mut feed, if !fed => match outcome {
                Ok(_) | Err(EncodeError::LoadEnded) => fed = true,
                Err(error) => return Err(error.into()),
            },
        }
    }
}

async fn consume(
    client: &mut Client,
    request: &LoadRequest<'_>,
    rows: EncodedRows,
) -> Result<Loaded, LoadError> {
    let began = Instant::now();
    let mut stream = match Stream::open(rows, request.stall).await? {
        Opening::Empty(encoded) => return complete_empty(client, request, &encoded, began).await,
        Opening::Rows(stream) => stream,
    };
    let first_row = Instant::now();
    let tx = LoadTx::begin(client, request.chunk).await?;
    let (encoded, written) = match request.way {
        Way::Copy => copy::load(&tx, request.plan, &mut stream).await?,
        Way::Upsert => upsert::load(&tx, request.plan, &mut stream).await?,
        Way::InsertOnly => insert_only::load(&tx, request.plan, &mut stream).await?,
    };
    check_row_count(request, &encoded)?;
    set_aside(&tx, request, &encoded).await?;
    let times = PhaseTimes {
        fetch_ms: millis(first_row.duration_since(began)),
        decode_ms: millis(encoded.busy),
        load_ms: millis(first_row.elapsed()),
    };
    commit(tx, request, &encoded, (written, times)).await
}

/// The source has no row: nothing but the chunk's status is touched.
async fn complete_empty(
    client: &mut Client,
    request: &LoadRequest<'_>,
    encoded: &Encoded,
    began: Instant,
) -> Result<Loaded, LoadError> {
    check_row_count(request, encoded)?;
    let tx = LoadTx::begin(client, request.chunk).await?;
    let times = PhaseTimes { fetch_ms: millis(began.elapsed()), ..PhaseTimes::default() };
    commit(tx, request, encoded, (Written::default(), times)).await
}

async fn commit(
    tx: LoadTx<'_>,
    request: &LoadRequest<'_>,
    encoded: &Encoded,
    (written, times): (Written, PhaseTimes),
) -> Result<Loaded, LoadError> {
    let accounting = Accounting {
        fetched: encoded.rows,
        inserted: written.inserted,
        updated: written.updated,
        kept: written.kept,
        deduplicated: written.deduplicated,
        quarantined: i64::try_from(encoded.bad_rows.len()).unwrap_or(i64::MAX),
        bytes: encoded.bytes,
        nulled: i64::try_from(encoded.nulled).unwrap_or(i64::MAX),
        ambiguous: written.ambiguous,
        tied: written.tied,
        null_watermarks: encoded.null_watermarks,
        watermark_lost: written.watermark_lost,
    };
    thaw_faults::reach("before_complete");
    request.completion_sent.store(true, Ordering::SeqCst);
    let completed = tx.complete(accounting, times).await?;
    thaw_faults::reach("before_commit");
    let committing = Instant::now();
    let recorded = completed.commit().await?;
    let commit = committing.elapsed();
    thaw_faults::reach("after_commit");
    Ok(Loaded { recorded, accounting, times, commit })
}

/// Under a snapshot, and of a result, the count of the plan is exact: another number of rows is another set of rows.
fn check_row_count(request: &LoadRequest<'_>, encoded: &Encoded) -> Result<(), LoadError> {
    let is_exact = request.plan.source.snapshot.is_some() || request.plan.one_scan.is_some();
    match request.chunk.expected_rows {
        Some(expected) if is_exact && expected != encoded.rows => {
            Err(LoadError::WrongRowCount { expected, fetched: encoded.rows })
        }
        _ => Ok(()),
    }
}

/// Bad rows beside their chunk, up to the limit of the table, which no chunk passes: the one that would is refused.
async fn set_aside(tx: &LoadTx<'_>, request: &LoadRequest<'_>, encoded: &Encoded) -> Result<(), LoadError> {
    if encoded.bad_rows.is_empty() {
        return Ok(());
    }
    let limit = request.plan.bad_rows.max_bad_rows;
    let here = i64::try_from(encoded.bad_rows.len()).unwrap_or(i64::MAX);
    let elsewhere = tx.quarantined_elsewhere().await.map_err(|error| match error.is_lock_timeout() {
        true => LoadError::BadRowsBusy,
        false => error.into(),
    })?;
    let found = elsewhere.saturating_add(here);
    if found > i64::from(limit) {
        return Err(LoadError::TooManyBadRows { limit, found });
    }
    Ok(tx.quarantine(&quarantined(encoded), encoded.statement.as_deref()).await?)
}

fn quarantined(encoded: &Encoded) -> Vec<QuarantinedRow> {
    encoded
        .bad_rows
        .iter()
        .map(|bad| QuarantinedRow {
            ordinal: bad.ordinal,
            column: bad.column.as_str().to_owned(),
            reason: bad.reason.to_string(),
            keys: bad.values.as_ref().and_then(|values| values.keys.clone()),
            row: bad.values.as_ref().map(|values| values.row.clone()),
        })
        .collect()
}

/// The dropped transaction's ROLLBACK is queued on the connection; an answer to something behind it means that it is
/// done. A connection that does not answer is of no more use, and the server ends its transaction with it.
async fn wait_for_rollback(client: &Client) {
    match tokio::time::timeout(ROLLBACK_LIMIT, client.batch_execute("")).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::debug!(error = %PgError::from(error), "the connection ended with its load");
        }
        Err(_) => tracing::warn!("a failed load was not rolled back in time; its connection is given up"),
    }
}

/// Recognises 23505 on the arbiter under COPY. The error names a partition's own index where the target has
/// partitions, so that one is traced to its root. Any other unique index stays what it is: fatal, and named.
async fn name_duplicate(client: &Client, request: &LoadRequest<'_>, error: LoadError) -> LoadError {
    let LoadError::Postgres(PgError::Server(server)) = &error else { return error };
    let (Some(arbiter), Some(redo), Way::Copy) =
        (&request.plan.load.arbiter, Way::after_duplicate(request.plan), request.way)
    else {
        return error;
    };
    let (Some(index), "23505") = (&server.constraint, server.sqlstate.as_str()) else { return error };
    let same = index == arbiter.index.as_str() || {
        let schema = server.schema.as_deref().unwrap_or(request.plan.target.schema.as_str());
        let root = client.query_opt(sql::ROOT_INDEX, &[&schema, index]).await;
        let root = root.ok().flatten().and_then(|row| row.try_get::<_, String>(0).ok());
        root.as_deref() == Some(arbiter.index.as_str())
    };
    if same { LoadError::DuplicateKey { index: index.clone(), redo } } else { error }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
