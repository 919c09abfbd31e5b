//! `planner status`: one run over all its databases, joined.

mod render;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{RunId, RunState};
use thaw_status::{StoreError, progress};
use tokio::time::MissedTickBehavior;

use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::find_run;
use crate::output;
use crate::session::Session;
use view::RunView;

/// How often `--watch` looks.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Chunks of a table that `--show-ranges` lists: those that are not completed come first.
const CHUNKS_SHOWN: i64 = 200;

/// Shows the run. Without `--watch` the exit code says only whether there was something to show.
pub async fn execute(args: &StatusArgs, config: &Config) -> Exit {
    let session = match Session::new(config) {
        Ok(session) => session,
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            return Exit::Configuration;
        }
    };
    let mut tick = tokio::time::interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wanted = match &args.run {
        Some(named) => match find_run::find(&session, named).await {
            Ok(run) => Some(run),
            Err(error) => {
                output::complaint(format!("error: {error}"));
                return Exit::Configuration;
            }
        },
        None => None,
    };
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            // No handler can be installed: then the signal ends the process by itself.
            Ok(()) = tokio::signal::ctrl_c() => return Exit::Interrupted,
        }
        let view = match look(&session, wanted).await {
            Ok(Some(view)) => view,
            Ok(None) => {
                let what = wanted.map_or_else(|| "no run yet".to_owned(), |run| format!("no run {run}"));
                output::complaint(format!("{what} in the status tables of the configured databases"));
                return Exit::Configuration;
            }
            Err((database, error)) => {
                output::complaint(format!("error: database \"{database}\": {error}"));
                return Exit::Configuration;
            }
        };
        let view = if args.show_ranges { with_ranges(&session, view).await } else { Ok(view) };
        let view = match view {
            Ok(view) => view,
            Err(error) => {
                output::complaint(format!("error: {error}"));
                return Exit::Configuration;
            }
        };
        output::result(if args.json { render::json(&view) } else { render::text(&view) });
        if !args.watch {
            return Exit::Completed;
        }
        if view.state() != RunState::Running {
            return Exit::of(view.state());
        }
        // A newer run must not slip in between two looks.
        wanted = Some(view.run);
    }
}

/// The run that was asked for, or the newest one; `None` where no database has it.
async fn look(session: &Session, wanted: Option<RunId>) -> Result<Option<RunView>, (String, StoreError)> {
    let names = session.pools.databases();
    let mut databases = Vec::new();
    for name in names {
        match look_at(session, &name, wanted).await {
            Ok(found) => databases.extend(found),
            // A database that no run has touched yet.
            Err(StoreError::SchemaMissing { .. }) => {}
            Err(error) => return Err((name, error)),
        }
    }
    Ok(view::join(databases))
}

/// Adds the chunks of every table.
async fn with_ranges(session: &Session, mut view: RunView) -> Result<RunView, StoreError> {
    for database in &mut view.databases {
        let client = session.pools.pool(&database.database)?.get().await?;
        for table in &database.tables {
            let chunks = progress::chunks_of_table(&client, table.table, CHUNKS_SHOWN).await?;
            database.chunks.insert(table.table, chunks);
        }
    }
    Ok(view)
}

async fn look_at(
    session: &Session,
    name: &str,
    wanted: Option<RunId>,
) -> Result<Option<view::DatabaseView>, StoreError> {
    let client = session.pools.pool(name)?.get().await?;
    thaw_status::check_version(&client).await?;
    let run = match wanted {
        Some(run) => progress::read_run(&client, run).await?,
        None => progress::list_runs(&client, 1).await?.into_iter().next(),
    };
    let Some(run) = run else { return Ok(None) };
    let tables = progress::tables_of_run(&client, run.run).await?;
    Ok(Some(view::DatabaseView { database: name.to_owned(), run, tables, chunks: BTreeMap::new() }))
}
