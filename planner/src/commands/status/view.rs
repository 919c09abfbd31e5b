//! A run as one thing, although every database of it has a row of its own.

use std::collections::BTreeMap;

use thaw_model::{RunId, RunState, TableId};
use thaw_status::progress::{ChunkRow, RunProgress, TableProgress};

/// One database's part of a run.
#[derive(Debug, Clone)]
pub(super) struct DatabaseView {
    pub(super) database: String,
    pub(super) run: RunProgress,
    pub(super) tables: Vec<TableProgress>,
    /// Only where ranges were asked for.
    pub(super) chunks: BTreeMap<TableId, Vec<ChunkRow>>,
}

/// A run over all its databases.
#[derive(Debug, Clone)]
pub(super) struct RunView {
    pub(super) run: RunId,
    pub(super) databases: Vec<DatabaseView>,
}

/// Keeps what belongs to the newest run (its id sorts by its start); `None` where there is none.
pub(super) fn join(databases: Vec<DatabaseView>) -> Option<RunView> {
    let run = databases.iter().map(|database| database.run.run).max()?;
    let databases = databases.into_iter().filter(|database| database.run.run == run).collect();
    Some(RunView { run, databases })
}

impl RunView {
    /// Running while one database's part is; then the state they share, or `partial`.
    pub(super) fn state(&self) -> RunState {
        joined(self.databases.iter().map(|database| database.run.state))
    }
}

fn joined(states: impl Iterator<Item = RunState> + Clone) -> RunState {
    if states.clone().any(|state| state == RunState::Running) {
        return RunState::Running;
    }
    let mut states = states;
    let Some(first) = states.next() else { return RunState::Completed };
    if states.all(|state| state == first) { first } else { RunState::Partial }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_runs_while_a_part_of_it_does_and_is_partial_where_its_parts_differ() {
        use RunState::{Completed, Failed, Partial, Running};
        let join = |states: &[RunState]| joined(states.iter().copied());
        assert_eq!(join(&[Completed, Running, Failed]), Running);
        assert_eq!(join(&[Completed, Completed]), Completed);
        assert_eq!(join(&[Completed, Failed]), Partial);
        assert_eq!(join(&[Failed]), Failed);
    }
}
