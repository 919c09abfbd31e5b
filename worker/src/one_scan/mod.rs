//! Tables that one statement reads: the statement is sent, looked at now and then, and cut into chunks when it ends.
//!
//! It holds no slot of a worker, and needs no planner: the statement follows from the stored plan, and the cutter is
//! pure. A waiting planner and every worker run the same loop; each look is a short lease on the statement's row, so a
//! dead poller is replaced. `planner` writes a table's first statement down, everything after that is here.

mod again;
pub mod cut;
mod finish;
mod statement;

use std::time::Duration;

use futures_util::future::join_all;
use thaw_model::{Classify as _, Disposition, ErrorReport, Job, RunId, TableId, WorkerId};
use thaw_postgres::PoolSet;
use thaw_queue::Publisher;
use thaw_snowflake::{Client, Polled, RequestId, SnowflakeError, SqlFault, StatementHandle, Submitted};
use thaw_status::one_scan::{self, Again, Looked, ScanClaim, Stored};
use thaw_status::{StoreError, end_run};
use tokio_util::sync::CancellationToken;

pub use statement::new_statement;

use crate::fetch::SourceSession;
use crate::start;

/// Statements that one process looks at at a time.
const AT_A_TIME: i64 = 8;
/// A short statement is ready at the first look; a long one is not asked more often than this.
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Where the other side asks for patience and names no time.
const SNOOZE: Duration = Duration::from_secs(5);
/// Looks in vain, one after the other, before the table fails.
const TRIES: i32 = 12;
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What sending and looking need.
#[derive(Debug, Clone)]
pub struct Scans {
    pub pools: PoolSet,
    pub database: String,
    pub snowflake: Client,
    pub session: SourceSession,
}

/// One database's loop.
#[derive(Debug, Clone)]
pub struct Tender<P> {
    pub scans: Scans,
    pub publisher: P,
    /// This process.
    pub name: WorkerId,
}

/// Why a statement does not get on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Source(#[from] SnowflakeError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statement is of no use any more; another one is needed.
    #[error("{}", .0.text)]
    Lost(ErrorReport),
    /// No statement would help.
    #[error("{}", .0.text)]
    Final(ErrorReport),
}

/// Statements that nobody waits for any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withdrawn {
    pub cancelled: usize,
    /// Sent by somebody who has not noted the handle: whoever that is cancels it; died, and it runs on.
    pub uncertain: usize,
}

/// Why a statement could not be cancelled.
#[derive(Debug, thiserror::Error)]
#[error("{}", text(.0))]
pub struct ScanError(Trouble);

impl From<StoreError> for ScanError {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<thaw_postgres::PgError> for Trouble {
    fn from(error: thaw_postgres::PgError) -> Self {
        Self::Store(error.into())
    }
}

impl Scans {
    async fn client(&self) -> Result<thaw_postgres::Client, StoreError> {
        Ok(self.pools.pool(&self.database)?.get().await?)
    }

    /// Sends a statement that was written down and is in our hands, and stores its handle. What fails here is tried again
    /// by whoever looks next, under the same request id: the statement runs once.
    pub async fn submit(&self, claim: &ScanClaim) {
        if let Err(trouble) = self.try_submit(claim).await {
            tracing::warn!(table_id = %claim.table, error = %text(&trouble), "statement is not submitted yet; trying again");
            self.leave(claim, Looked::InVain, FIRST_LOOK).await;
        }
    }

    async fn try_submit(&self, claim: &ScanClaim) -> Result<(), Trouble> {
        let Some(statement) = self.statement(claim).await? else { return Ok(()) };
        let Some(submits) = one_scan::begin_submit(&*self.client().await?, claim).await? else {
            return Ok(());
        };
        thaw_faults::reach("before_submit");
        let is_again = submits > 1;
        if is_again {
            tracing::warn!(
                table_id = %claim.table, execution = claim.execution, request_id = %claim.request_id, submits,
                "statement is submitted again under the same request id, so that it runs once"
            );
        }
        let request =
            if is_again { RequestId::Again(claim.request_id) } else { RequestId::First(claim.request_id) };
        let handle = match self.snowflake.submit(&statement, request).await? {
            Submitted::Running(handle) => handle,
            // The first look finds its end.
            Submitted::Finished(result) => result.handle,
        };
        thaw_faults::reach("after_submit");
        let is_noted =
            one_scan::note_handle(&*self.client().await?, claim, handle.as_str(), FIRST_LOOK).await?;
        if is_noted {
            tracing::info!(
                table_id = %claim.table, execution = claim.execution, query_id = %handle,
                "one statement reads the table; waiting for its end"
            );
        }
        thaw_faults::reach("after_handle");
        // Open, it is in the hands of somebody who sends the same; ended, nobody else knows its handle.
        if !is_noted && one_scan::is_ended(&*self.client().await?, claim).await? {
            self.snowflake.cancel(&handle).await?;
            tracing::info!(table_id = %claim.table, query_id = %handle, "statement was cancelled: nobody waits for it any more");
        }
        Ok(())
    }

    /// As it was, or would have been, sent. `None`: the table has no plan any more.
    async fn statement(&self, claim: &ScanClaim) -> Result<Option<thaw_snowflake::Statement>, Trouble> {
        let stored = thaw_status::read_plan(&*self.client().await?, claim.table).await?;
        let Some(stored) = stored.filter(|stored| stored.execution == claim.execution) else {
            return Ok(None);
        };
        let statement =
            statement::of_plan(&self.session, &stored.plan, (claim.run, claim.table, claim.execution))?;
        if statement::digest(&statement.sql) != claim.digest {
            let text =
                "this program gives the plan another statement than was written down; another one is begun"
                    .to_owned();
            return Err(Trouble::Lost(ErrorReport { class: "statement_changed".to_owned(), text }));
        }
        Ok(Some(statement))
    }

    /// Nobody waits for it any more: a run that was cancelled or superseded, or a table that went on without it.
    async fn withdraw(&self, claim: &ScanClaim) -> Result<Withdrawn, Trouble> {
        let handle =
            claim.handle.as_deref().map(StatementHandle::parse).transpose().map_err(SnowflakeError::from)?;
        let (withdrawn, said) = match &handle {
            Some(handle) => {
                self.snowflake.cancel(handle).await?;
                tracing::info!(table_id = %claim.table, query_id = %handle, "statement was cancelled: nobody waits for it any more");
                (Withdrawn { cancelled: 1, uncertain: 0 }, "cancelled: nobody waits for it any more")
            }
            None if claim.submits > 0 => {
                tracing::warn!(
                    table_id = %claim.table, request_id = %claim.request_id,
                    "statement may run on: it was sent, its handle was never stored, and nobody waits for it any more"
                );
                (Withdrawn { cancelled: 0, uncertain: 1 }, "it may run on: its handle was never stored")
            }
            None => (Withdrawn::default(), "it was never sent"),
        };
        let report = ErrorReport { class: "not_wanted".to_owned(), text: said.to_owned() };
        one_scan::withdraw(&*self.client().await?, claim, &report).await?;
        Ok(withdrawn)
    }

    /// Cancels the statements of a run that nobody waits for any more, at once.
    ///
    /// # Errors
    /// The first trouble of either side; what is left is cancelled by whoever looks next.
    pub async fn cancel_unwanted(&self, run: RunId, by: &WorkerId) -> Result<Withdrawn, ScanError> {
        let claims = one_scan::take_unwanted(&*self.client().await?, by, run).await?;
        let (mut all, mut first_trouble) = (Withdrawn::default(), None);
        for claim in &claims {
            match self.withdraw(claim).await {
                Ok(Withdrawn { cancelled, uncertain }) => {
                    all.cancelled += cancelled;
                    all.uncertain += uncertain;
                }
                Err(trouble) => {
                    self.leave(claim, Looked::InVain, FIRST_LOOK).await;
                    first_trouble.get_or_insert(trouble);
                }
            }
        }
        first_trouble.map_or(Ok(all), |trouble| Err(ScanError(trouble)))
    }

    /// Gives the statement back; where that fails its lease runs out.
    async fn leave(&self, claim: &ScanClaim, looked: Looked, pause: Duration) {
        let left = match self.client().await {
            Ok(client) => one_scan::look_again(&client, claim, looked, pause).await,
            Err(error) => Err(error),
        };
        if let Err(error) = left {
            tracing::debug!(table_id = %claim.table, error = %error, "statement is not given back; its lease runs out");
        }
    }
}

impl<P: Publisher> Tender<P> {
    /// Looks after the statements of the database until stopped, at least every `longest`.
    pub async fn run(self, longest: Duration, stop: CancellationToken) {
        loop {
            let next = tokio::select! {
                next = self.tick() => next,
                () = stop.cancelled() => return,
            };
            let pause = match next {
                Ok(next) => next.unwrap_or(longest).clamp(FIRST_LOOK.min(longest), longest),
                Err(error) => {
                    self.report(&error);
                    longest
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look at everything that is due. Until when the next is due; `None`: nothing is open.
    ///
    /// # Errors
    /// What the status store says.
    pub async fn tick(&self) -> Result<Option<Duration>, StoreError> {
        let client = self.scans.client().await?;
        let claims = one_scan::take(&client, &self.name, AT_A_TIME).await?;
        let lost = one_scan::scans_to_prepare(&client, AT_A_TIME).await;
        drop(client);
        let lost = lost.unwrap_or_else(|error| {
            self.report(&error);
            Vec::new()
        });
        let prepare = lost.iter().map(async |scan| {
            if let Some(claim) = self.prepare(scan).await {
                self.tend(&claim).await;
            }
        });
        tokio::join!(join_all(prepare), join_all(claims.iter().map(|claim| self.tend(claim))));
        one_scan::next_look(&*self.scans.client().await?).await
    }

    /// One step of one statement, under its lease.
    async fn tend(&self, claim: &ScanClaim) {
        tokio::select! {
            () = self.step(claim) => {}
            () = self.lost(claim) => {}
        }
    }

    /// Keeps the statement in our hands; resolves when it is in others'. Beside the step: what that writes may hold the
    /// statement's row for a while.
    async fn lost(&self, claim: &ScanClaim) {
        loop {
            tokio::time::sleep(claim.settings.heartbeat).await;
            let held = match self.scans.client().await {
                Ok(client) => one_scan::extend(&client, claim).await,
                Err(error) => Err(error),
            };
            match held {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.report(&error),
            }
        }
    }

    async fn step(&self, claim: &ScanClaim) {
        let stepped = match &claim.handle {
            _ if !claim.is_wanted => self.scans.withdraw(claim).await.map(drop),
            None => self.scans.try_submit(claim).await,
            Some(handle) => self.look(claim, handle).await,
        };
        if let Err(trouble) = stepped {
            let decided = self.decide(claim, trouble).await;
            if let Err(error) = decided {
                self.report(&error);
            }
        }
    }

    async fn look(&self, claim: &ScanClaim, handle: &str) -> Result<(), Trouble> {
        let handle = StatementHandle::parse(handle).map_err(SnowflakeError::from)?;
        let result = match self.scans.snowflake.poll(&handle).await? {
            Polled::Finished(result) => result,
            Polled::Running => {
                let pause = (claim.age / 8).clamp(FIRST_LOOK, LONGEST_PAUSE);
                self.scans.leave(claim, Looked::Running, pause).await;
                return Ok(());
            }
            Polled::Gone => {
                let text = format!(
                    "nothing is known of the statement {handle}: its result has expired, or is another user's"
                );
                return Err(Trouble::Lost(ErrorReport { class: "result_gone".to_owned(), text }));
            }
        };
        thaw_faults::reach("before_cut");
        let mut client = self.scans.client().await?;
        let stored = thaw_status::read_plan(&client, claim.table).await?;
        let Some(stored) = stored.filter(|stored| stored.execution == claim.execution) else { return Ok(()) };
        let cut = finish::cut_result(stored.plan, &result)?;
        let (rows, chunks) = (cut.rows, cut.chunks.len());
        let is_empty = cut.chunks.is_empty();
        let stored = one_scan::store_partitions(&mut client, claim, &cut).await?;
        drop(client);
        if stored == Stored::Left {
            return Ok(());
        }
        tracing::info!(
            table_id = %claim.table, execution = claim.execution, query_id = %handle, row_count = rows,
            partition_count = cut.partitions, chunk_count = chunks, "statement has ended and is cut into chunks"
        );
        thaw_faults::reach("after_cut");
        self.hand_on(claim, stored, is_empty).await;
        Ok(())
    }

    /// What fails here is late, not lost: redispatch takes it up.
    async fn hand_on(&self, claim: &ScanClaim, stored: Stored, is_empty: bool) {
        let (pools, database) = (&self.scans.pools, self.scans.database.as_str());
        let table = (claim.run, claim.table);
        let started = match stored {
            Stored::Loading => start::publish_chunks(pools, &self.publisher, database, claim.table).await,
            _ => start::start_and_publish(pools, &self.publisher, database, table).await,
        };
        if let Err(error) = started {
            tracing::warn!(table_id = %claim.table, error = %error, "table is not started yet; redispatch will try again");
        }
        let hint = Job::Table { database: database.to_owned(), run: claim.run, table: claim.table };
        if is_empty {
            start::publish(&self.publisher, &[hint]).await;
        }
    }

    /// What the trouble means for the statement and its table.
    async fn decide(&self, claim: &ScanClaim, trouble: Trouble) -> Result<(), StoreError> {
        let report = ErrorReport { class: class(&trouble), text: text(&trouble) };
        let verdict = verdict(claim, &trouble);
        // Nothing is to be had any more for a table that has gone on.
        let verdict =
            if claim.is_wanted || matches!(verdict, Verdict::Look { .. }) { verdict } else { Verdict::Drop };
        let (table, execution) = (claim.table, claim.execution);
        match verdict {
            Verdict::Look { looked, pause } => {
                tracing::warn!(table_id = %table, class = %report.class, error = %report.text, "statement could not be looked at; trying again");
                self.scans.leave(claim, looked, pause).await;
                Ok(())
            }
            Verdict::Drop => one_scan::withdraw(&*self.scans.client().await?, claim, &report).await,
            Verdict::Again => {
                let mut client = self.scans.client().await?;
                match one_scan::begin_again(&mut client, claim, &report).await? {
                    Again::Execution(next) => tracing::warn!(
                        table_id = %table, execution, next, class = %report.class, error = %report.text,
                        "statement is lost: the table is read by another one"
                    ),
                    Again::Failed => self.failed(&mut client, claim, &report).await?,
                    Again::Left => return Ok(()),
                }
                self.stop(claim, &trouble).await;
                Ok(())
            }
            Verdict::Fail => {
                let mut client = self.scans.client().await?;
                if one_scan::fail(&mut client, claim, &report).await? {
                    self.failed(&mut client, claim, &report).await?;
                    self.stop(claim, &trouble).await;
                }
                Ok(())
            }
        }
    }

    /// A statement that was given up, and that nothing says has ended, must not run on at cost.
    async fn stop(&self, claim: &ScanClaim, trouble: &Trouble) {
        let may_run = match trouble {
            Trouble::Source(error) => !error.statement_has_ended(),
            Trouble::Store(_) => true,
            Trouble::Lost(_) | Trouble::Final(_) => false,
        };
        let handle = claim.handle.as_deref().filter(|_| may_run).map(StatementHandle::parse);
        let Some(Ok(handle)) = handle else { return };
        match self.scans.snowflake.cancel(&handle).await {
            Ok(()) => {
                tracing::info!(table_id = %claim.table, query_id = %handle, "statement that was given up is cancelled");
            }
            Err(error) => {
                let report = ErrorReport::of(&error);
                tracing::warn!(
                    table_id = %claim.table, query_id = %handle, error = %report.text,
                    "statement that was given up may run on"
                );
            }
        }
    }

    async fn failed(
        &self,
        client: &mut tokio_postgres::Client,
        claim: &ScanClaim,
        report: &ErrorReport,
    ) -> Result<(), StoreError> {
        self.say_failed(claim.table, report);
        end_run(client, claim.run).await.map(drop)
    }

    fn say_failed(&self, table: TableId, report: &ErrorReport) {
        tracing::error!(table_id = %table, class = %report.class, error = %report.text, "table failed: its statement cannot be had");
    }

    fn report(&self, error: &StoreError) {
        // No planner has been here yet.
        if error.is_schema_missing() {
            return;
        }
        let report = ErrorReport::of(error);
        tracing::warn!(database = self.scans.database, class = %report.class, error = %report.text, "statements were not looked after");
    }
}

/// What to do about a statement that does not get on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Look (or send) again.
    Look { looked: Looked, pause: Duration },
    /// Another statement.
    Again,
    /// The table fails.
    Fail,
    /// Nobody waits for it.
    Drop,
}

fn verdict(claim: &ScanClaim, trouble: &Trouble) -> Verdict {
    let again = |disposition| look_again(claim, disposition);
    match trouble {
        Trouble::Lost(_) => Verdict::Again,
        Trouble::Final(_) => Verdict::Fail,
        Trouble::Store(error) => again(error.disposition()),
        Trouble::Source(SnowflakeError::Sql {
            fault: SqlFault::HandleExpired | SqlFault::SnapshotGone,
            ..
        }) => Verdict::Again,
        // The statement itself has failed: looking at it again says the same.
        Trouble::Source(error) if error.statement_has_ended() => match error.disposition() {
            Disposition::Retry | Disposition::Snooze { .. } => Verdict::Again,
            Disposition::HaltWorker => again(Disposition::HaltWorker),
            Disposition::Interrupted
            | Disposition::Abandon
            | Disposition::Unknown
            | Disposition::Fatal
            | Disposition::HaltTable => Verdict::Fail,
        },
        Trouble::Source(error) => again(error.disposition()),
    }
}

fn look_again(claim: &ScanClaim, disposition: Disposition) -> Verdict {
    match disposition {
        Disposition::Snooze { after } => {
            Verdict::Look { looked: Looked::Waiting, pause: after.unwrap_or(SNOOZE) }
        }
        // Somebody has to mend it; the workers halt over it, the statement waits.
        Disposition::HaltWorker => Verdict::Look { looked: Looked::Waiting, pause: SNOOZE },
        Disposition::Fatal | Disposition::HaltTable => Verdict::Fail,
        Disposition::Retry | Disposition::Interrupted | Disposition::Abandon | Disposition::Unknown => {
            if claim.failures + 1 >= TRIES {
                return Verdict::Fail;
            }
            let doublings = u32::try_from(claim.failures).unwrap_or(0).min(16);
            let pause = FIRST_LOOK.saturating_mul(1 << doublings).min(LONGEST_RETRY);
            Verdict::Look { looked: Looked::InVain, pause }
        }
    }
}

fn class(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Source(error) => error.class(),
        Trouble::Store(error) => error.class(),
        Trouble::Lost(report) | Trouble::Final(report) => report.class.clone(),
    }
}

fn text(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Source(error @ SnowflakeError::Sql { fault: SqlFault::ResultTooLarge, .. }) => format!(
            "{}; name chunking_columns and a strategy that reads the table in ranges, or filter it",
            ErrorReport::of(error).text
        ),
        Trouble::Source(error) => ErrorReport::of(error).text,
        Trouble::Store(error) => ErrorReport::of(error).text,
        Trouble::Lost(report) | Trouble::Final(report) => report.text.clone(),
    }
}
