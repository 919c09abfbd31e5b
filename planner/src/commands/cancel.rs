//! `planner cancel RUN`: ends a running run in every database it has a part in; what has been loaded stays.
//!
//! Every open chunk is written, fence included: when this returns, no load under way can commit any more, whatever
//! becomes of its worker.

use thaw_config::Config;
use thaw_model::{RunId, RunState};
use thaw_status::{Cancelled, StoreError};
use thaw_worker::one_scan::Withdrawn;

use crate::exit::Exit;
use crate::find_run::{self, RunRef};
use crate::output;
use crate::session::Session;

/// Cancels the run. What was done has been said when this returns; saying it twice changes nothing.
pub async fn execute(wanted: &RunRef, config: &Config) -> Exit {
    let session = match Session::new(config) {
        Ok(session) => session,
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            return Exit::Configuration;
        }
    };
    let run = match find_run::find(&session, wanted).await {
        Ok(run) => run,
        Err(error) => {
            output::complaint(format!("error: {error}"));
            return Exit::Configuration;
        }
    };
    for name in session.pools.databases() {
        match cancel(&session, &name, run).await {
            Ok(Some(done)) => {
                output::result(format!("{name}: {}", describe(run, &done)));
                cancel_statements(&session, config, &name, run).await;
            }
            Ok(None) => {}
            Err(error) => {
                output::complaint(format!("error: database \"{name}\": {error}; repeat the command"));
                return Exit::Configuration;
            }
        }
    }
    Exit::Completed
}

/// `None`: the database has no part in the run.
async fn cancel(session: &Session, name: &str, run: RunId) -> Result<Option<Cancelled>, StoreError> {
    let mut client = session.pools.pool(name)?.get().await?;
    match thaw_status::cancel_run(&mut client, run).await {
        Ok(Cancelled::Unknown) => Ok(None),
        Ok(done) => Ok(Some(done)),
        Err(error) if error.is_schema_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A statement that a table waited for must not run on at cost until a worker notices.
async fn cancel_statements(session: &Session, config: &Config, name: &str, run: RunId) {
    let cancelling = session.scans(config, name).cancel_unwanted(run, &session.planner).await;
    match cancelling {
        Ok(Withdrawn { cancelled, uncertain }) => {
            if cancelled > 0 {
                output::result(format!(
                    "{name}: {cancelled} statement(s) that were waited for are cancelled at the source"
                ));
            }
            if uncertain > 0 {
                output::complaint(format!(
                    "{name}: {uncertain} statement(s) were being sent; who sends one cancels it, and where that process \
                     has died it may run on: look for query tag thaw/{run}"
                ));
            }
        }
        Err(error) => output::complaint(format!(
            "{name}: a statement that was waited for is not cancelled at the source yet: {error}; repeat the command, or \
             leave it to a worker"
        )),
    }
}

fn describe(run: RunId, done: &Cancelled) -> String {
    match done {
        Cancelled::Now { tables, chunks } => format!(
            "run {run} is cancelled: {tables} table(s) and {chunks} chunk(s) were open, nothing of them commits any \
             more; what was loaded stays, indexes that were dropped are built again; `planner retry {run}` goes on \
             with it"
        ),
        Cancelled::Already(RunState::Cancelled) => {
            format!("run {run} is cancelled already; nothing has changed")
        }
        Cancelled::Already(state) => format!("run {run} is {state} already; nothing has changed"),
        Cancelled::Unknown => format!("run {run} is unknown"),
    }
}
