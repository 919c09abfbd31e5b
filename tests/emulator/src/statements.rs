//! The statements the server knows: states, handles, request ids, expiry, and the log of what was asked.
//!
//! A handle belongs to its user. A finished result lives for 24 hours of the virtual clock; afterwards, and for
//! everybody else, the handle is unknown. Knows nothing of HTTP.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::answers::Refusal;
use crate::api::submit::Submission;
use crate::result_set::ResultSet;

/// Older statements leave the log, not the store.
const LOG_CAPACITY: usize = 50_000;

/// Where a statement is.
#[derive(Debug, Clone)]
pub(crate) enum State {
    /// Being executed.
    Running,
    /// Done; the result is kept.
    Succeeded(Arc<ResultSet>),
    /// Ended with an answer that every poll repeats.
    Failed(Refusal),
    /// Done, and its result has been thrown away.
    Gone,
}

/// One submitted statement.
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) handle: Uuid,
    pub(crate) submission: Submission,
    pub(crate) created_ms: i64,
    /// Cancels the execution.
    pub(crate) cancel: CancellationToken,
    state: watch::Sender<State>,
    finished_ms: AtomicI64,
    source_us: AtomicU64,
    tables: Mutex<Option<Vec<String>>>,
    fetches: Mutex<BTreeMap<usize, u64>>,
    resubmitted: AtomicBool,
}

/// All statements.
#[derive(Debug, Default)]
pub(crate) struct Statements(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    by_handle: HashMap<Uuid, Arc<Statement>>,
    by_request: HashMap<(String, Uuid), Uuid>,
    log: VecDeque<Arc<Statement>>,
    /// No statement that is kept ended before this; spares most requests the walk of [`Statements::expire`].
    oldest_ms: i64,
}

/// A line of the log, as `GET /statements` shows it. Times are milliseconds since 1970 by the virtual clock.
#[derive(Debug, Serialize)]
pub(crate) struct LogEntry {
    handle: Uuid,
    sql: String,
    user: String,
    request_id: Option<Uuid>,
    query_tag: Option<String>,
    database: Option<String>,
    schema: Option<String>,
    warehouse: Option<String>,
    role: Option<String>,
    #[serde(rename = "async")]
    asynchronous: bool,
    /// A resubmission with `retry=true` found this execution.
    resubmitted: bool,
    /// `running`, `succeeded`, `failed` or `gone`.
    state: &'static str,
    code: Option<String>,
    created_ms: i64,
    elapsed_ms: Option<i64>,
    rows: Option<u64>,
    partitions: Option<usize>,
    uncompressed_bytes: Option<u64>,
    /// Tables a SELECT reads, views resolved; `null` before that is known.
    pub(crate) tables: Option<Vec<String>>,
    /// Whether it read any.
    scanned: Option<bool>,
    /// How long the database worked for it: a measure of warehouse time. Compressing and storing the result is not in it.
    source_ms: f64,
    /// Rows of those tables, all of which a warehouse reads that cannot prune; asked for with `scan_cost=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_scanned: Option<u64>,
    /// How often each partition was fetched.
    fetches: BTreeMap<usize, u64>,
}

impl Statement {
    /// A running statement with a fresh handle, of the form of Snowflake's query ids.
    pub(crate) fn new(submission: Submission, created_ms: i64) -> Self {
        let mut bytes = *Uuid::new_v4().as_bytes();
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        Self {
            handle: Uuid::from_bytes(bytes),
            submission,
            created_ms,
            cancel: CancellationToken::new(),
            state: watch::Sender::new(State::Running),
            finished_ms: AtomicI64::new(i64::MIN),
            source_us: AtomicU64::new(0),
            tables: Mutex::default(),
            fetches: Mutex::default(),
            resubmitted: AtomicBool::new(false),
        }
    }

    /// Where it is now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until it no longer runs. Cancel-safe.
    pub(crate) async fn ended(&self) -> State {
        let mut receiver = self.state.subscribe();
        match receiver.wait_for(|state| !matches!(state, State::Running)).await {
            Ok(state) => state.clone(),
            // Cannot be: the sender lives as long as `self`.
            Err(_) => State::Gone,
        }
    }

    /// Ends it, once; a later end of the same statement changes nothing.
    pub(crate) fn end(&self, state: State, now_ms: i64) {
        self.state.send_if_modified(|current| {
            let running = matches!(current, State::Running);
            if running {
                self.finished_ms.store(now_ms, Ordering::Relaxed);
                *current = state;
            }
            running
        });
    }

    /// Throws the result away.
    pub(crate) fn forget_result(&self) {
        self.state.send_replace(State::Gone);
    }

    /// Replaces an end that was fine by an error that every later request sees.
    pub(crate) fn fail(&self, refusal: Refusal) {
        self.state.send_replace(State::Failed(refusal));
    }

    /// Notes the tables it reads.
    pub(crate) fn note_tables(&self, tables: Vec<String>) {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = Some(tables);
    }

    /// Notes how long the database worked for it.
    pub(crate) fn note_source(&self, time: Duration) {
        self.source_us.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// When its result began to age.
    fn ended_ms(&self) -> Option<i64> {
        Some(self.finished_ms.load(Ordering::Relaxed)).filter(|ms| *ms > i64::MIN)
    }

    /// Notes that a partition was fetched.
    pub(crate) fn note_fetch(&self, partition: usize) {
        *self.fetches.lock().unwrap_or_else(PoisonError::into_inner).entry(partition).or_default() += 1;
    }

    fn log_entry(&self) -> LogEntry {
        let (state, code, result) = match self.state() {
            State::Running => ("running", None, None),
            State::Succeeded(result) => ("succeeded", None, Some(result)),
            State::Failed(refusal) => ("failed", Some(refusal.code().to_owned()), None),
            State::Gone => ("gone", None, None),
        };
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let submission = &self.submission;
        LogEntry {
            handle: self.handle,
            sql: submission.sql.clone(),
            user: submission.user.clone(),
            request_id: submission.request_id,
            query_tag: submission.parameters.query_tag.clone(),
            database: submission.database.clone(),
            schema: submission.schema.clone(),
            warehouse: submission.warehouse.clone(),
            role: submission.role.clone(),
            asynchronous: submission.asynchronous,
            resubmitted: self.resubmitted.load(Ordering::Relaxed),
            state,
            code,
            created_ms: self.created_ms,
            elapsed_ms: self.ended_ms().map(|ended| ended - self.created_ms),
            rows: result.as_ref().map(|result| result.partitions.row_count()),
            partitions: result.as_ref().map(|result| result.partitions.list().len()),
            uncompressed_bytes: result
                .as_ref()
                .map(|result| result.partitions.list().iter().map(|one| one.uncompressed_size).sum()),
            scanned: tables.as_ref().map(|tables| !tables.is_empty()),
            tables,
            source_ms: Duration::from_micros(self.source_us.load(Ordering::Relaxed)).as_secs_f64() * 1000.0,
            rows_scanned: None,
            fetches: self.fetches.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

impl Store {
    /// The execution a resubmission refers to: the last one of that request id which has not failed.
    fn of_request(&self, submission: &Submission) -> Option<Arc<Statement>> {
        let handle = self.by_request.get(&(submission.user.clone(), submission.request_id?))?;
        let statement = self.by_handle.get(handle)?;
        if matches!(statement.state(), State::Failed(_) | State::Gone) {
            return None;
        }
        statement.resubmitted.store(true, Ordering::Relaxed);
        Some(Arc::clone(statement))
    }
}

impl Statements {
    /// Takes a new statement in, unless it is a resubmission of one that is known: that one is given then. One step, so
    /// that two resubmissions at once do not execute twice.
    pub(crate) fn find_or_insert(&self, statement: &Arc<Statement>, retry: bool) -> Option<Arc<Statement>> {
        let mut store = self.lock();
        if retry && let Some(earlier) = store.of_request(&statement.submission) {
            return Some(earlier);
        }
        if let Some(request_id) = statement.submission.request_id {
            let key = (statement.submission.user.clone(), request_id);
            store.by_request.insert(key, statement.handle);
        }
        store.by_handle.insert(statement.handle, Arc::clone(statement));
        store.oldest_ms = store.oldest_ms.min(statement.created_ms);
        if store.log.len() == LOG_CAPACITY {
            store.log.pop_front();
        }
        store.log.push_back(Arc::clone(statement));
        None
    }

    /// The statement of a handle, if `user` may know it.
    pub(crate) fn of_handle(&self, handle: &str, user: &str) -> Option<Arc<Statement>> {
        let handle = Uuid::parse_str(handle).ok()?;
        let store = self.lock();
        let statement = store.by_handle.get(&handle).filter(|statement| statement.submission.user == user)?;
        Some(Arc::clone(statement))
    }

    /// Throws away the results of ended statements that `wanted` takes, as if they had expired; says how many.
    pub(crate) fn expire_now(&self, wanted: impl Fn(&Statement) -> bool) -> usize {
        let store = self.lock();
        let ended = |statement: &&Arc<Statement>| matches!(statement.state(), State::Succeeded(_));
        let expired = store.by_handle.values().filter(|statement| wanted(statement)).filter(ended);
        expired.map(|statement| statement.forget_result()).count()
    }

    /// Forgets the handles of statements that ended before `before_ms`; their results go with them.
    pub(crate) fn expire(&self, before_ms: i64) {
        let mut store = self.lock();
        if store.oldest_ms >= before_ms {
            return;
        }
        let Store { by_handle, by_request, oldest_ms, .. } = &mut *store;
        *oldest_ms = i64::MAX;
        by_handle.retain(|_, statement| {
            let ended_ms = statement.ended_ms();
            let keep = ended_ms.is_none_or(|ended| ended >= before_ms);
            if keep {
                *oldest_ms = ended_ms.unwrap_or(statement.created_ms).min(*oldest_ms);
            } else {
                statement.forget_result();
            }
            keep
        });
        by_request.retain(|_, handle| by_handle.contains_key(handle));
    }

    /// The statements of the log that `wanted` takes, oldest first.
    pub(crate) fn log(&self, wanted: impl Fn(&Statement) -> bool) -> Vec<LogEntry> {
        let statements: Vec<_> =
            self.lock().log.iter().filter(|statement| wanted(statement)).cloned().collect();
        statements.iter().map(|statement| statement.log_entry()).collect()
    }

    /// Empties the log; handles stay valid.
    pub(crate) fn clear_log(&self) {
        self.lock().log.clear();
    }

    /// Cancels whatever runs.
    pub(crate) fn cancel_all(&self) {
        for statement in self.lock().by_handle.values() {
            statement.cancel.cancel();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
