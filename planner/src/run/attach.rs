//! A run whose planner has left holds a target: it is followed to its end, or, when it was never planned to the end,
//! put aside so that this one can begin.

use thaw_model::RunState;
use thaw_status::{Holder, StoreError};

use crate::run::reserve::{ReservedDatabase, ReservedRun};
use crate::session::Session;

/// What became of the run that holds a target.
#[derive(Debug)]
pub enum Attached<'a> {
    /// Its planner lives: hands off.
    Alive,
    /// It is planned; this planner has taken it over and follows it.
    Following(ReservedRun<'a>),
    /// It has just ended, or somebody else has just taken it over.
    Gone,
    /// Its planner died before every table had its plan: it is superseded, and the targets are free.
    Superseded,
}

/// Takes the holder's run over in every database that has it, or supersedes it in all of them where one was left
/// without plans: half a run cannot be followed to an end.
///
/// # Errors
/// What a database says.
pub async fn attach<'a>(session: &Session, holder: &Holder) -> Result<Attached<'a>, StoreError> {
    if holder.planner_alive {
        return Ok(Attached::Alive);
    }
    let mut databases = Vec::new();
    let mut is_planned = true;
    for name in session.pools.databases() {
        let client = session.pools.pool(&name)?.get().await?;
        match thaw_status::read_run(&client, holder.run).await {
            Ok(Some(run)) if run.state == RunState::Running => {
                is_planned &= run.planned;
                databases.push(name);
            }
            // A database without status tables has no run.
            Ok(_) | Err(StoreError::SchemaMissing { .. }) => {}
            Err(StoreError::Postgres(error)) if error.sqlstate() == Some("42P01") => {}
            Err(error) => return Err(error),
        }
    }
    if !is_planned {
        for name in databases {
            let mut client = session.pools.pool(&name)?.get().await?;
            thaw_status::supersede_run(&mut client, holder.run).await?;
        }
        return Ok(Attached::Superseded);
    }
    let mut run = ReservedRun { id: holder.run, databases: Vec::new() };
    for name in databases {
        let client = session.pools.pool(&name)?.get().await?;
        let taken = thaw_status::take_over_run(&client, holder.run, &session.planner, session.lease).await?;
        if let Some(planner) = taken {
            run.databases.push(ReservedDatabase { name, planner, tables: Vec::new() });
        }
    }
    // Another planner was faster, or the run has ended meanwhile: the next look tells.
    Ok(if run.databases.is_empty() { Attached::Gone } else { Attached::Following(run) })
}
