//! Which run a call goes on with, and what becomes of each table: pure decisions over what the status tables know.
//!
//! One rule for every entry that was asked for: it is completed in the run, or goes on with its stored plan, or is
//! planned anew, and what is not obvious is said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thaw_config::Config;
use thaw_model::{PgIdent, RunId, RunState, SfIdent, TableId, TableState};
use thaw_status::RunTable;

use crate::run::reserve::entry_id;
use crate::run::survey::{KnownRun, Part};
use crate::select::Selected;

/// An entry that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub database: String,
    /// Its name over all runs.
    pub entry: String,
    pub source: (SfIdent, SfIdent, SfIdent),
    pub target: (PgIdent, PgIdent),
    /// Of the part of the configuration that changes the plan, and a digest of each of its keys.
    pub hash: String,
    pub keys: BTreeMap<String, String>,
}

impl Wanted {
    #[must_use]
    pub fn of(config: &Config, selected: Selected<'_>) -> Self {
        let Selected { source, entry } = selected;
        let digest = config.plan_digest(source, entry);
        Self {
            database: source.target_database.clone(),
            entry: entry_id(config, selected),
            source: (source.source_database.clone(), source.source_schema.clone(), entry.source.clone()),
            target: (source.target_schema.clone(), entry.target.clone()),
            hash: digest.hash,
            keys: digest.keys.into_iter().map(|(key, digest)| (key.to_owned(), digest)).collect(),
        }
    }

    fn has_target_of(&self, table: &RunTable) -> bool {
        (&self.target.0, &self.target.1) == (&table.target_schema, &table.target_table)
    }

    fn has_ends_of(&self, table: &RunTable) -> bool {
        let (database, schema, name) = &self.source;
        self.has_target_of(table)
            && (database, schema, name) == (&table.source_database, &table.source_schema, &table.source_table)
    }

    /// Keys whose digests differ.
    fn changed_keys(&self, table: &RunTable) -> String {
        let mut keys: Vec<&str> =
            self.keys.keys().chain(table.config_keys.keys()).map(String::as_str).collect();
        keys.retain(|key| self.keys.get(*key) != table.config_keys.get(*key));
        keys.sort_unstable();
        keys.dedup();
        keys.join(", ")
    }

    pub(super) fn name(&self) -> &str {
        self.source.2.as_str()
    }
}

/// What is to be opened in one database. Numbers are places in the list of wanted entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenPart {
    /// `None`: the database has no part in the run yet.
    pub found: Option<RunState>,
    pub supersede: Vec<RunId>,
    /// Tables that go on; with an entry where one is known.
    pub resume: Vec<(TableId, Option<usize>)>,
    /// Entries among them that were never planned.
    pub unplanned: Vec<usize>,
    pub replace: Vec<TableId>,
    /// Never planned, and not planned now either: what waits for them would wait for ever.
    pub abandon: Vec<TableId>,
    pub add: Vec<usize>,
    /// Completed in this run before.
    pub done: Vec<TableId>,
}

/// What a call does first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    pub run: RunId,
    pub is_new: bool,
    pub databases: BTreeMap<String, OpenPart>,
    /// Wanted entries that another incomplete run holds: their turn comes after this run.
    pub later: Vec<usize>,
    /// To be said once the run is open.
    pub notes: Vec<String>,
    /// Some table that was asked for stays unfinished.
    pub leaves_unfinished: bool,
}

/// What is to be done about the wanted entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    Open(Resumption),
    /// A living planner has the run, which holds this target.
    Held {
        database: String,
        target: String,
        run: RunId,
    },
    /// The run that was named cannot go on, for this reason.
    Refused(String),
}

/// How far a call may go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// False: a new run, whatever there is.
    pub may_resume: bool,
    /// Since a run last got on.
    pub max_age: Duration,
}

/// Chooses for the entries numbered `open`; `all` are the entries of the whole configuration, each with its database.
#[must_use]
pub fn choose(
    runs: &[KnownRun],
    wanted: &[Wanted],
    open: &[usize],
    all: &BTreeSet<(String, String)>,
    limits: Limits,
) -> Choice {
    let asked: Vec<(usize, &Wanted)> =
        open.iter().filter_map(|index| Some((*index, wanted.get(*index)?))).collect();
    for run in runs.iter().filter(|run| run.is_held()) {
        if let Some((_, held)) = asked.iter().find(|(_, wanted)| holds(run, wanted)) {
            let target = format!("{}.{}", held.target.0, held.target.1);
            return Choice::Held { database: held.database.clone(), target, run: run.id };
        }
    }
    let may_be_resumed = |run: &&KnownRun| {
        limits.may_resume
            && !run.is_held()
            && run.stalled() <= limits.max_age
            && !run.is_anywhere(RunState::Cancelled)
            && !run.is_anywhere(RunState::Superseded)
            && asked.iter().any(|(_, wanted)| find(run, wanted, all).is_some_and(is_revivable))
    };
    // Of a run that would go on with none of them the next round would choose the same again.
    let waits = |run: &KnownRun, wanted: &Wanted| {
        runs.iter().any(|other| {
            other.id != run.id && !other.is_held() && holds(other, wanted) && may_be_resumed(&other)
        })
    };
    let chosen = runs.iter().find(|run| {
        let goes_on =
            |wanted: &Wanted| find(run, wanted, all).is_some_and(is_revivable) && !waits(run, wanted);
        may_be_resumed(run) && asked.iter().any(|(_, wanted)| goes_on(wanted))
    });
    let mut resumption = match chosen {
        Some(run) => Resumption::of(run),
        None => Resumption::new(),
    };
    for &(index, wanted) in &asked {
        let holder = runs.iter().find(|run| {
            Some(run.id) != chosen.map(|chosen| chosen.id) && !run.is_held() && holds(run, wanted)
        });
        match holder {
            // Without a run to go on with now there would be no end of rounds.
            Some(holder) if chosen.is_some() && may_be_resumed(&holder) => resumption.later.push(index),
            Some(holder) => {
                resumption.supersede(&wanted.database, holder);
                resumption.decide(chosen, index, wanted, all);
            }
            None => resumption.decide(chosen, index, wanted, all),
        }
    }
    resumption.abandon_unplanned(chosen);
    resumption.clear_away(runs, limits.max_age);
    resumption.note_completed();
    Choice::Open(resumption)
}

/// Goes on with a run that was named: its stored plans, whatever its age and its configuration. `only`: no other tables.
#[must_use]
pub fn by_id(
    run: &KnownRun,
    wanted: &[Wanted],
    all: &BTreeSet<(String, String)>,
    is_selected: &dyn Fn(&str, &RunTable, Option<usize>) -> bool,
) -> Choice {
    if let Some((database, part)) = run.parts.iter().find(|(_, part)| part.is_held()) {
        let held = part.tables.iter().find(|table| table.holds_target).or_else(|| part.tables.first());
        let target = held.map_or_else(String::new, target_name);
        return Choice::Held { database: database.clone(), target, run: run.id };
    }
    if run.is_anywhere(RunState::Superseded) {
        return Choice::Refused(format!("run {} was superseded by a later run and cannot go on", run.id));
    }
    if run.parts.values().all(|part| part.progress.state == RunState::Completed) {
        return Choice::Refused(format!("run {} is completed: there is nothing to go on with", run.id));
    }
    let mut resumption = Resumption::of(run);
    for (database, part) in &run.parts {
        for table in &part.tables {
            let index = wanted.iter().position(|wanted| {
                wanted.database == *database
                    && find(run, wanted, all).is_some_and(|found| found.id == table.id)
            });
            if is_selected(database, table, index) && part.emptied.contains(&table.id) {
                resumption.leaves_unfinished = true;
                let name = table.source_table.as_str();
                resumption.notes.push(format!(
                    "[{name}] is left as run {} has it: {EMPTIED}; `planner run` loads it anew",
                    run.id
                ));
            } else if is_selected(database, table, index) {
                resumption.continue_with(
                    database,
                    table,
                    index.zip(index.and_then(|index| wanted.get(index))),
                );
            }
        }
    }
    resumption.note_completed();
    resumption.abandon_unplanned(Some(run));
    if resumption.is_idle() {
        let reason = resumption.notes.join("; ");
        let reason = if reason.is_empty() { "no table of it was asked for".to_owned() } else { reason };
        return Choice::Refused(format!("run {} cannot go on: {reason}", run.id));
    }
    Choice::Open(resumption)
}

fn holds(run: &KnownRun, wanted: &Wanted) -> bool {
    run.parts.get(&wanted.database).is_some_and(|part| {
        part.progress.state == RunState::Running
            && part.tables.iter().any(|table| table.holds_target && wanted.has_target_of(table))
    })
}

/// The run's row of the entry: by its name, else by its ends where its filter has changed since.
fn find<'a>(run: &'a KnownRun, wanted: &Wanted, all: &BTreeSet<(String, String)>) -> Option<&'a RunTable> {
    let tables = &run.parts.get(&wanted.database)?.tables;
    let live = || tables.iter().filter(|table| table.state != TableState::Superseded);
    live().find(|table| table.entry == wanted.entry).or_else(|| {
        live().find(|table| {
            wanted.has_ends_of(table) && !all.contains(&(wanted.database.clone(), table.entry.clone()))
        })
    })
}

const EMPTIED: &str = "its target has been emptied since";

fn is_emptied(run: &KnownRun, database: &str, table: &RunTable) -> bool {
    run.parts.get(database).is_some_and(|part| part.emptied.contains(&table.id))
}

fn is_revivable(table: &RunTable) -> bool {
    let is_over = matches!(table.state, TableState::Completed | TableState::Superseded);
    !is_over && !table.pruned && table.later_run.is_none()
}

/// Only a planner that is asked for it can lead it on.
fn is_unplanned(table: &RunTable) -> bool {
    table.state == TableState::Planning && !table.has_plan
}

fn target_name(table: &RunTable) -> String {
    format!("{}.{}", table.target_schema, table.target_table)
}

impl OpenPart {
    /// Something is to be written.
    #[must_use]
    pub fn is_to_be_opened(&self) -> bool {
        !self.is_idle() || !self.supersede.is_empty() || !self.abandon.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.resume.is_empty() && self.add.is_empty()
    }

    fn go_on(&mut self, table: &RunTable, number: Option<usize>) {
        self.resume.push((table.id, number));
        if !table.has_plan {
            self.unplanned.extend(number);
        }
    }
}

impl Resumption {
    fn new() -> Self {
        Self {
            run: RunId::generate(),
            is_new: true,
            databases: BTreeMap::new(),
            later: Vec::new(),
            notes: Vec::new(),
            leaves_unfinished: false,
        }
    }

    fn of(run: &KnownRun) -> Self {
        let found = |part: &Part| OpenPart { found: Some(part.progress.state), ..OpenPart::default() };
        let databases = run.parts.iter().map(|(name, part)| (name.clone(), found(part))).collect();
        Self { run: run.id, is_new: false, databases, ..Self::new() }
    }

    fn part(&mut self, database: &str) -> &mut OpenPart {
        self.databases.entry(database.to_owned()).or_default()
    }

    /// Nothing would be done.
    fn is_idle(&self) -> bool {
        self.databases.values().all(OpenPart::is_idle)
    }

    fn supersede(&mut self, database: &str, run: &KnownRun) {
        let part = self.part(database);
        if !part.supersede.contains(&run.id) {
            part.supersede.push(run.id);
            // Planners that meet the same runs lock them in one order.
            part.supersede.sort_unstable();
            let hours = run.stalled().as_secs_f64() / 3600.0;
            self.notes.push(format!(
                "run {} in {database}, whose planner has left and which last got on {hours:.1} h ago, is superseded",
                run.id
            ));
        }
    }

    fn decide(
        &mut self,
        chosen: Option<&KnownRun>,
        index: usize,
        wanted: &Wanted,
        all: &BTreeSet<(String, String)>,
    ) {
        let (run, name) = (self.run, wanted.name());
        let Some(table) = chosen.and_then(|chosen| find(chosen, wanted, all)) else {
            if !self.is_new {
                self.notes.push(format!("[{name}] is not in run {run} yet: it is added"));
            }
            return self.part(&wanted.database).add.push(index);
        };
        let is_emptied = chosen.is_some_and(|chosen| is_emptied(chosen, &wanted.database, table));
        let has_changed = table.config_hash != wanted.hash;
        let keys = wanted.changed_keys(table);
        if table.state == TableState::Completed {
            if has_changed {
                self.notes.push(format!(
                    "[{name}] is completed in run {run}, but its configuration has changed since ({keys}): loaded again"
                ));
                return self.part(&wanted.database).add.push(index);
            }
            if is_emptied {
                self.notes.push(format!("[{name}] is completed in run {run}, but {EMPTIED}: loaded again"));
                return self.part(&wanted.database).add.push(index);
            }
            return self.part(&wanted.database).done.push(table.id);
        }
        let reason = match table.later_run {
            Some(later) if table.loaded_since => {
                self.notes.push(format!(
                    "[{name}] is left as run {run} has it: the later run {later} has completed it; --no-resume reads it again"
                ));
                return;
            }
            Some(later) => format!("the later run {later} has started its target"),
            None if table.pruned => "its chunks were pruned".to_owned(),
            None if is_emptied => EMPTIED.to_owned(),
            None if has_changed => format!("its configuration has changed since ({keys})"),
            None => return self.part(&wanted.database).go_on(table, Some(index)),
        };
        self.notes.push(format!(
            "[{name}] cannot go on in run {run}: {reason}; what it had is superseded, it is planned anew"
        ));
        let part = self.part(&wanted.database);
        // An entry that was split into several has one row for all of them.
        if !part.replace.contains(&table.id) {
            part.replace.push(table.id);
        }
        part.add.push(index);
    }

    fn continue_with(&mut self, database: &str, table: &RunTable, wanted: Option<(usize, &Wanted)>) {
        let (run, name) = (self.run, table.source_table.as_str());
        match table.state {
            TableState::Superseded => return,
            TableState::Completed => return self.part(database).done.push(table.id),
            TableState::Planning
            | TableState::Planned
            | TableState::Loading
            | TableState::Finalizing
            | TableState::Partial
            | TableState::Failed
            | TableState::Cancelled => {}
        }
        let reason = match (table.later_run, wanted) {
            (Some(later), _) => format!("the later run {later} has started its target"),
            (None, _) if table.pruned => "its chunks were pruned".to_owned(),
            (None, wanted) if table.has_plan => {
                return self.part(database).go_on(table, wanted.map(|(index, _)| index));
            }
            (None, Some((index, wanted))) if wanted.hash == table.config_hash => {
                return self.part(database).go_on(table, Some(index));
            }
            (None, Some((index, wanted))) => {
                let keys = wanted.changed_keys(table);
                self.notes.push(format!(
                    "[{name}] was never planned in run {run}: it is planned under today's configuration ({keys} changed)"
                ));
                let part = self.part(database);
                part.replace.push(table.id);
                return part.add.push(index);
            }
            (None, None) => {
                "it was never planned, and the configuration has no enabled entry for it".to_owned()
            }
        };
        self.leaves_unfinished = true;
        if is_unplanned(table) && table.later_run.is_none() && !table.pruned {
            // Said where it is taken out of the run.
            return;
        }
        self.notes.push(format!("[{name}] is left as run {run} has it: {reason}"));
    }

    /// Nobody plans them any more: neither this call, nor one that finds the run ended.
    fn abandon_unplanned(&mut self, chosen: Option<&KnownRun>) {
        let run = self.run;
        for (database, part) in chosen.iter().flat_map(|chosen| &chosen.parts) {
            for table in part.tables.iter().filter(|table| is_unplanned(table)) {
                let mine = self.part(database);
                if mine.replace.contains(&table.id) || mine.resume.iter().any(|(id, _)| *id == table.id) {
                    continue;
                }
                mine.abandon.push(table.id);
                self.notes.push(format!(
                    "[{}] was never planned in run {run} and is not planned by this call: it is taken out of the run",
                    table.source_table.as_str()
                ));
            }
        }
    }

    /// Runs that nobody goes on with and that cannot end, because some of their tables were never planned.
    fn clear_away(&mut self, runs: &[KnownRun], max_age: Duration) {
        let is_abandoned = |run: &&KnownRun| run.id != self.run && !run.is_held() && run.stalled() > max_age;
        let abandoned: Vec<&KnownRun> = runs.iter().filter(is_abandoned).collect();
        for run in abandoned {
            for (database, part) in &run.parts {
                let cannot_end =
                    part.progress.state == RunState::Running && part.tables.iter().any(is_unplanned);
                // In passing only: no part of a run is opened for this.
                if cannot_end && self.databases.get(database).is_some_and(|mine| !mine.is_idle()) {
                    self.supersede(database, run);
                }
            }
        }
    }

    fn note_completed(&mut self) {
        let done: usize = self.databases.values().map(|part| part.done.len()).sum();
        if done > 0 {
            self.notes.push(format!(
                "{done} table(s) of run {} are completed and are not read again; use --no-resume to read them again",
                self.run
            ));
        }
    }
}

#[cfg(test)]
mod tests;
