//! The next statement of a table whose last one is lost: what still loads is ended, what is there is dealt with as the
//! table loads, and the statement is written down. No planner is needed: it follows from the plan before.

use std::time::Duration;

use thaw_model::plan::{Decision, LoadMode, OneScanPlan};
use thaw_model::{ErrorReport, TablePlan};
use thaw_queue::Publisher;
use thaw_status::execution::{self, SNAPSHOT_GONE};
use thaw_status::one_scan::{self, ScanClaim, ScanToPrepare};
use thaw_status::{StoreError, end_run};
use tokio::time::timeout;

use super::{Tender, statement};

/// What sessions of the old chunks may take to end before the next look.
const END_LIMIT: Duration = Duration::from_secs(20);
/// Decided again for each execution.
const DECIDED_AGAIN: [&str; 2] = ["snapshot", "execution"];

impl<P: Publisher> Tender<P> {
    /// `None`: not now, or somebody else was faster.
    pub(super) async fn prepare(&self, scan: &ScanToPrepare) -> Option<ScanClaim> {
        match timeout(END_LIMIT, self.try_prepare(scan)).await {
            Ok(Ok(claim)) => claim,
            Ok(Err(error)) => {
                self.report(&error);
                None
            }
            Err(_) => {
                tracing::warn!(table_id = %scan.table, "sessions of the old chunks do not end; looking again");
                None
            }
        }
    }

    async fn try_prepare(&self, scan: &ScanToPrepare) -> Result<Option<ScanClaim>, StoreError> {
        let mut client = self.scans.client().await?;
        let mut rows_there = 0;
        if scan.was_started {
            for zombie in execution::end_backends(&client, scan.table, scan.execution - 1).await? {
                tracing::info!(chunk_id = %zombie.chunk, pid = zombie.pid, "session of a chunk that loads again was told to end");
            }
            rows_there = execution::rows_of_executions(&client, scan.table, scan.execution).await?;
        }
        thaw_faults::reach("before_prepare");
        let prepared = next_plan(&scan.plan, rows_there, scan.was_started).map(|plan| {
            let statement = statement::new_statement(&plan);
            statement.map(|statement| (plan, statement)).map_err(|error| ErrorReport::of(&error))
        });
        let refused = match prepared {
            Ok(Ok((plan, statement))) => {
                let claim = one_scan::prepare(&mut client, scan, &plan, &statement, &self.name).await?;
                if claim.is_some() {
                    tracing::warn!(
                        table_id = %scan.table, execution = scan.execution, rows_there,
                        "the whole table is read again by another statement"
                    );
                }
                return Ok(claim);
            }
            Ok(Err(report)) | Err(report) => report,
        };
        if one_scan::fail_unprepared(&mut client, scan, &refused).await? {
            self.say_failed(scan.table, &refused);
            end_run(&mut client, scan.run).await?;
        }
        Ok(None)
    }
}

/// The plan of the next execution, over the rows that the ones before have brought. It reads the present: the old
/// snapshot is older than the result was kept, and one statement is one moment anyway.
fn next_plan(earlier: &TablePlan, rows_there: i64, was_started: bool) -> Result<TablePlan, ErrorReport> {
    let Some(load) = earlier.load.over_rows(&earlier.start, rows_there) else {
        let text = format!(
            "the result is lost in the middle of the load; {rows_there} rows of this run are in the target, and without \
             uniqueness_columns, a bound or truncate_onstart nothing tells them from the rows that would load again: \
             empty the table (or delete what this run has added) and load it with `planner run --full`, or set \
             truncate_onstart"
        );
        return Err(ErrorReport { class: SNAPSHOT_GONE.to_owned(), text });
    };
    let mut plan = earlier.clone();
    plan.decisions.retain(|decision| !DECIDED_AGAIN.contains(&decision.subject.as_str()));
    let is_removed = earlier.start.truncate || earlier.start.replace_tail.is_some();
    let reason = match rows_there {
        0 => "the statement of the one before is lost; it had loaded no row".to_owned(),
        rows if is_removed => {
            format!("the statement of the one before is lost; the {rows} rows it had loaded are removed")
        }
        rows => format!(
            "the statement of the one before is lost; the {rows} rows it had loaded are matched by their keys, those \
             that the source has deleted since stay"
        ),
    };
    plan.decisions.push(Decision {
        subject: DECIDED_AGAIN[0].into(),
        choice: "none".into(),
        reason: "one statement reads the present, which is one moment".into(),
    });
    plan.decisions.push(Decision {
        subject: DECIDED_AGAIN[1].into(),
        choice: "a fresh one, every chunk loads again".into(),
        reason,
    });
    if load.mode != earlier.load.mode {
        plan.decisions.retain(|decision| decision.subject != "load mode");
        plan.decisions.push(Decision {
            subject: "load mode".into(),
            choice: match load.mode {
                LoadMode::Copy => "copy",
                LoadMode::Upsert => "upsert",
                LoadMode::InsertOnly => "insert_only",
            }
            .into(),
            reason: "a fresh execution over rows that are there already".into(),
        });
    }
    plan.load = load;
    plan.source.snapshot = None;
    plan.one_scan =
        earlier.one_scan.map(|scan| OneScanPlan { counted: None, is_over_rows: was_started, ..scan });
    Ok(plan)
}
