//! What one call works through: runs, one after another, until nothing of what was asked for is left. Mostly one.
//!
//! A second round is for entries that another incomplete run holds, and for those that wait until another entry of the
//! same target has been loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use thaw_config::{Config, Finding};
use thaw_model::{RunId, TableId};
use thaw_status::{RunTable, StoreError};

use crate::output;
use crate::preflight::{self, Ready};
use crate::run::reserve::{self, Reserved, ReservedRun};
use crate::run::resume::{self, Choice, Limits, Resumption, Wanted};
use crate::run::survey;
use crate::select::{self, Selected};
use crate::session::Session;

/// Looks at the status tables before a planner gives up because they change each time.
const ATTEMPTS: usize = 8;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);

/// What was asked for, and what is still to be done of it.
#[derive(Debug)]
pub struct Rounds<'a> {
    session: &'a Session,
    config: &'a Config,
    selected: Vec<Selected<'a>>,
    wanted: Vec<Wanted>,
    all: BTreeSet<(String, String)>,
    limits: Limits,
    /// The run that was named, and whether only selected entries of it go on.
    named: Option<(RunId, bool)>,
    /// Numbers of wanted entries.
    open: Vec<usize>,
    /// Of a named run: only these tables.
    only: Option<BTreeSet<(String, TableId)>>,
    /// Of the last round: they wait until another entry of their target has ended.
    deferred: Vec<Deferred>,
    ready: BTreeMap<usize, Ready<'a>>,
}

/// Database, table, and the number of the wanted entry where there is one.
type Deferred = (String, TableId, Option<usize>);

/// The next thing to do.
#[derive(Debug)]
pub enum Round<'a> {
    /// This planner's run, to be planned, followed and reported.
    Run {
        run: ReservedRun<'a>,
        is_new: bool,
        leaves_unfinished: bool,
    },
    /// A living planner has it.
    Held {
        database: String,
        target: String,
        run: RunId,
    },
    Refused(String),
    /// What would stop a load.
    Faults(Vec<Finding>),
    /// The status tables changed at every look.
    Busy,
}

impl<'a> Rounds<'a> {
    /// For the selected entries; `ready` are those that were looked at already.
    #[must_use]
    pub fn new(
        session: &'a Session,
        config: &'a Config,
        selected: Vec<Selected<'a>>,
        ready: Vec<Ready<'a>>,
        limits: Limits,
    ) -> Self {
        let entry = |selected: Selected<'_>| {
            (selected.source.target_database.clone(), reserve::entry_id(config, selected))
        };
        let wanted: Vec<Wanted> = selected.iter().map(|selected| Wanted::of(config, *selected)).collect();
        let all = select::select(config, &[], &[]).unwrap_or_default();
        Self {
            session,
            config,
            open: (0..wanted.len()).collect(),
            wanted,
            all: all.into_iter().map(entry).collect(),
            limits,
            named: None,
            only: None,
            deferred: Vec::new(),
            ready: by_number(&selected, ready),
            selected,
        }
    }

    /// Instead: goes on with this run and its stored plans. `is_narrowed`: with its selected entries only.
    #[must_use]
    pub fn of_run(mut self, run: RunId, is_narrowed: bool) -> Self {
        self.named = Some((run, is_narrowed));
        self
    }

    /// Nothing is left of what was asked for.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match self.named {
            Some(_) => self.only.as_ref().is_some_and(BTreeSet::is_empty),
            None => self.open.is_empty(),
        }
    }

    /// For a planner that does not wait: gives up what has to wait until another entry of its target has ended, and says
    /// what that is. What other runs hold stays to be done.
    pub fn leave_deferred(&mut self) -> Vec<String> {
        self.only = Some(BTreeSet::new());
        give_up(&mut self.open, &std::mem::take(&mut self.deferred), &self.wanted)
    }

    /// Decides and opens.
    ///
    /// # Errors
    /// What a database says.
    pub async fn next(&mut self) -> Result<Round<'a>, StoreError> {
        for _ in 0..ATTEMPTS {
            let resumption = match self.choose().await? {
                Choice::Open(resumption) => resumption,
                Choice::Held { database, target, run } => return Ok(Round::Held { database, target, run }),
                Choice::Refused(reason) => return Ok(Round::Refused(reason)),
            };
            if let Err(findings) = self.look_at_what_is_planned(&resumption).await {
                return Ok(Round::Faults(findings));
            }
            if let Some(reserved) = reserve::open(self.session, self.config, &resumption, &self.ready).await?
            {
                return Ok(self.begin(resumption, reserved));
            }
            tokio::time::sleep(BETWEEN_ATTEMPTS).await;
        }
        Ok(Round::Busy)
    }

    /// What is to be done, written nowhere.
    ///
    /// # Errors
    /// What a database says.
    pub async fn choose(&self) -> Result<Choice, StoreError> {
        let Some((id, is_narrowed)) = self.named else {
            let databases = self.wanted.iter().map(|wanted| wanted.database.clone()).collect();
            let runs = survey::incomplete(self.session, &databases).await?;
            return Ok(resume::choose(&runs, &self.wanted, &self.open, &self.all, self.limits));
        };
        let databases = self.session.pools.databases().into_iter().collect();
        let Some(run) = survey::one(self.session, &databases, id).await? else {
            return Ok(Choice::Refused(format!(
                "no run {id} in the status tables of the configured databases"
            )));
        };
        let is_selected = |database: &str, table: &RunTable, index: Option<usize>| {
            (!is_narrowed || index.is_some())
                && self.only.as_ref().is_none_or(|only| only.contains(&(database.to_owned(), table.id)))
        };
        Ok(resume::by_id(&run, &self.wanted, &self.all, &is_selected))
    }

    /// Both ends of every table that has to be planned, as they are now.
    async fn look_at_what_is_planned(&mut self, resumption: &Resumption) -> Result<(), Vec<Finding>> {
        let parts = resumption.databases.values();
        let numbers: BTreeSet<usize> = parts
            .flat_map(|part| part.add.iter().chain(&part.unplanned).copied())
            .filter(|number| !self.ready.contains_key(number))
            .collect();
        let selected: Vec<Selected<'a>> =
            numbers.iter().filter_map(|number| self.selected.get(*number).copied()).collect();
        if selected.is_empty() {
            return Ok(());
        }
        let preflight = preflight::preflight(self.session, self.config, &selected).await;
        if preflight.has_errors() {
            return Err(preflight.findings);
        }
        output::findings(&preflight.findings);
        self.ready.extend(by_number(&self.selected, preflight.ready));
        Ok(())
    }

    fn begin(&mut self, resumption: Resumption, reserved: Reserved<'a>) -> Round<'a> {
        if !resumption.is_new {
            output::complaint(format!("going on with run {}", resumption.run));
        }
        for note in &resumption.notes {
            output::complaint(note);
        }
        // Time passes until the next round: what is planned then is looked at again.
        self.ready.clear();
        self.open = resumption.later;
        self.open.extend(reserved.deferred.iter().filter_map(|(_, _, number)| *number));
        self.only = Some(reserved.deferred.iter().map(|(name, table, _)| (name.clone(), *table)).collect());
        self.deferred = reserved.deferred;
        let leaves_unfinished = resumption.leaves_unfinished;
        Round::Run { run: reserved.run, is_new: resumption.is_new, leaves_unfinished }
    }
}

/// Takes the deferred entries from the open ones and names them.
fn give_up(open: &mut Vec<usize>, deferred: &[Deferred], wanted: &[Wanted]) -> Vec<String> {
    open.retain(|number| !deferred.iter().any(|(_, _, deferred)| *deferred == Some(*number)));
    let name = |(database, table, number): &Deferred| {
        let entry = number.and_then(|number| wanted.get(number));
        entry.map_or_else(|| format!("table {table} in {database}"), |entry| format!("[{}]", entry.name()))
    };
    deferred.iter().map(name).collect()
}

fn by_number<'a>(selected: &[Selected<'a>], ready: Vec<Ready<'a>>) -> BTreeMap<usize, Ready<'a>> {
    ready
        .into_iter()
        .filter_map(|ready| {
            let path = &ready.selected.entry.path;
            let number = selected.iter().position(|selected| selected.entry.path == *path)?;
            Some((number, ready))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use thaw_model::{PgIdent, SfIdent};

    use super::*;

    fn wanted(name: &str) -> Wanted {
        Wanted {
            database: "db".into(),
            entry: name.into(),
            source: (SfIdent::exact("D"), SfIdent::exact("S"), SfIdent::exact(name)),
            target: (PgIdent::exact("public"), PgIdent::exact(name)),
            hash: String::new(),
            keys: BTreeMap::new(),
        }
    }

    #[test]
    fn who_leaves_names_what_waits_for_its_target_and_goes_on_with_the_rest() {
        let mut open = vec![1, 2];
        let deferred = [("db".to_owned(), TableId(7), Some(2)), ("db".to_owned(), TableId(8), None)];
        let wanted = [wanted("A"), wanted("B"), wanted("C")];
        assert_eq!(give_up(&mut open, &deferred, &wanted), ["[C]", "table 8 in db"]);
        assert_eq!(open, [1]);
    }
}
