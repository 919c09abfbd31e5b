//! What a run would do, without writing anything anywhere.
//!
//! It plans as a run does, from the same functions; values of rows are never shown, bounds in words only.

use serde_json::{Value, json};
use thaw_config::{Config, Finding, Severity};
use thaw_model::RunId;
use thaw_model::plan::Decision;
use thaw_status::StoreError;
use thaw_status::one_scan::PastScans;

use crate::exit::Exit;
use crate::introspect::source::Reach;
use crate::load_mode;
use crate::output;
use crate::plan::{self, Planned};
use crate::preflight::{Preflight, Ready};
use crate::run::planning::{self, Failure};
use crate::run::reserve::entry_id;
use crate::run::resume::{Choice, OpenPart, Resumption};
use crate::select::Selected;
use crate::session::Session;
use crate::watermark::Asked;

/// What became of one table.
enum Outcome<'a> {
    Planned(&'a Ready<'a>, Box<Planned>, PastScans),
    /// Class and text of each fault.
    Refused(Vec<(String, String)>),
}

/// Plans every table that can be planned and prints the plans: text, or one JSON document. A table that cannot is said
/// and does not keep the others from it.
///
/// Ends as [`Exit::Configuration`] where a look at both ends found an error, as [`Exit::Incomplete`] where planning did.
///
/// # Errors
/// What a target database says.
pub async fn print(
    session: &Session,
    config: &Config,
    (selected, preflight): (&[Selected<'_>], &Preflight<'_>),
    (as_json, choice): (bool, Option<&Choice>),
    asked: &Asked,
) -> Result<Exit, StoreError> {
    let mut exit = if preflight.has_errors() { Exit::Configuration } else { Exit::Completed };
    let mut documents = Vec::new();
    let resumes = choice.and_then(going_on);
    if let Some(line) = choice.filter(|_| !as_json).and_then(opening) {
        output::result(line);
    }
    for selected in selected {
        let findings = Findings::of(*selected, &preflight.findings);
        let outcome = plan(session, config, *selected, (preflight, &findings), asked).await?;
        if let Outcome::Refused(_) = &outcome {
            exit = exit.worse(Exit::Incomplete);
        }
        if as_json {
            documents.push(document(*selected, &outcome, &findings.warnings));
        } else {
            describe(*selected, &outcome, &findings.warnings);
        }
    }
    let general = general(selected, &preflight.findings);
    output::findings(&general);
    if as_json {
        let errors = general.iter().filter(|finding| finding.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        output::result(json!({ "resumes": resumes, "tables": documents, "errors": errors }).to_string());
    }
    Ok(exit)
}

/// The run that the same call without `--dry-run` would go on with.
fn going_on(choice: &Choice) -> Option<RunId> {
    match choice {
        Choice::Open(Resumption { run, is_new: false, .. }) => Some(*run),
        Choice::Open(_) | Choice::Held { .. } | Choice::Refused(_) => None,
    }
}

/// What the call would do before it plans anything; nothing for a run of its own.
fn opening(choice: &Choice) -> Option<String> {
    match choice {
        Choice::Open(Resumption { is_new: true, .. }) => None,
        Choice::Open(found) => {
            let count = |of: fn(&OpenPart) -> usize| found.databases.values().map(of).sum::<usize>();
            Some(format!(
                "goes on with run {}: {} table(s) go on in it, {} are planned anew or added, {} are completed and are not \
                 read again; the plans below are of a new run (--no-resume)",
                found.run,
                count(|part| part.resume.len()),
                count(|part| part.add.len()),
                count(|part| part.done.len()),
            ))
        }
        Choice::Held { database, target, run } => Some(format!(
            "{database}: {target} is being loaded by run {run}, whose planner is alive: a run would end with 3"
        )),
        Choice::Refused(reason) => Some(reason.clone()),
    }
}

async fn plan<'a>(
    session: &Session,
    config: &Config,
    selected: Selected<'_>,
    (preflight, findings): (&'a Preflight<'a>, &Findings),
    asked: &Asked,
) -> Result<Outcome<'a>, StoreError> {
    if !findings.errors.is_empty() {
        let errors = findings.errors.iter().map(|text| ("plan".to_owned(), text.clone()));
        return Ok(Outcome::Refused(errors.collect()));
    }
    let Some(ready) = preflight.ready.iter().find(|ready| ready.selected.entry.path == selected.entry.path)
    else {
        let text = "not looked at, because of an error that concerns more than this table".to_owned();
        return Ok(Outcome::Refused(vec![("plan".to_owned(), text)]));
    };
    match planning::plan(session, config, ready, asked).await {
        Ok(planned) => {
            planning::log_initial_full_load(ready, &planned);
            let past = if planned.plan.one_scan.is_some() {
                past_scans(session, config, selected).await
            } else {
                PastScans::default()
            };
            Ok(Outcome::Planned(ready, Box::new(planned), past))
        }
        Err(Failure::Plan(error)) => {
            let report = planning::report(&error);
            Ok(Outcome::Refused(vec![(report.class, report.text)]))
        }
        Err(Failure::Store(error)) => Err(error),
    }
}

/// What earlier runs took; nothing where the status tables are not there, or cannot be asked.
async fn past_scans(session: &Session, config: &Config, selected: Selected<'_>) -> PastScans {
    let Ok(pool) = session.pools.pool(&selected.source.target_database) else { return PastScans::default() };
    let Ok(client) = pool.get().await else { return PastScans::default() };
    thaw_status::one_scan::past_scans(&client, &entry_id(config, selected)).await.unwrap_or_default()
}

/// What one scan saves, and took in earlier runs.
fn saving(planned: &Planned, past: PastScans) -> Option<String> {
    planned.plan.one_scan?;
    let pages = expected_chunks(planned);
    let mut line =
        format!("one statement instead of {pages} pages, each of which would scan and sort the table");
    if let Some((time, count)) = past.pages {
        line = format!(
            "{line}; {count} pages took {:.0} s of the source's time in an earlier run",
            time.as_secs_f64()
        );
    }
    if let Some(time) = past.statement {
        line = format!("{line}; its last statement took {:.0} s", time.as_secs_f64());
    }
    Some(line)
}

/// What the look at both ends found about one entry.
struct Findings {
    errors: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn of(selected: Selected<'_>, all: &[Finding]) -> Self {
        let mine = |severity| {
            let mine = all.iter().filter(move |found| found.severity == severity && selected.is_about(found));
            mine.map(|found| format!("{}: {}", found.path, found.message)).collect()
        };
        Self { errors: mine(Severity::Error), warnings: mine(Severity::Warning) }
    }
}

/// What concerns no single table: a connection, a schema.
fn general(selected: &[Selected<'_>], findings: &[Finding]) -> Vec<Finding> {
    let is_general = |finding: &&Finding| !selected.iter().any(|selected| selected.is_about(finding));
    findings.iter().filter(is_general).cloned().collect()
}

fn name(selected: Selected<'_>) -> String {
    let Selected { source, entry } = selected;
    format!("{}.{}.{}", source.source_database, source.source_schema, entry.source)
}

fn target(selected: Selected<'_>) -> String {
    let Selected { source, entry } = selected;
    format!("{}.{}.{}", source.target_database, source.target_schema, entry.target)
}

/// Rows of the smallest, the median and the largest chunk.
fn sizes(planned: &Planned) -> Option<(u64, u64, u64)> {
    let mut rows: Vec<u64> = planned.chunks.iter().map(|chunk| chunk.expected_rows).collect();
    rows.sort_unstable();
    Some((*rows.first()?, *rows.get(rows.len() / 2)?, *rows.last()?))
}

/// Chunks, where there are no partitions yet to cut them from: as if each were full.
fn expected_chunks(planned: &Planned) -> u64 {
    planned.plan.one_scan.map_or(0, |scan| planned.counts.rows.div_ceil(scan.rows_per_chunk.max(1)))
}

/// Statements that scan the source: to plan, and to read.
fn statements(ready: &Ready<'_>, planned: &Planned) -> (usize, usize) {
    let was_refused = planned.plan.source.snapshot.is_none() && ready.time_travel.kind.reach() != Reach::None;
    let reading = if planned.plan.one_scan.is_some() { 1 } else { planned.chunks.len() };
    (1 + usize::from(was_refused), reading)
}

/// What happens to the target before its first chunk.
fn start(planned: &Planned) -> Vec<&'static str> {
    let start = &planned.plan.start;
    let steps = [
        (start.truncate, "the target is truncated"),
        (start.replace_tail.is_some(), "the target's rows from the bound on are deleted"),
        (start.drop_indexes, "indexes are dropped, and rebuilt at the end"),
    ];
    steps.into_iter().filter_map(|(is_done, step)| is_done.then_some(step)).collect()
}

fn warnings(planned: &Planned, found: &[String]) -> Vec<String> {
    let decided = planned.plan.decisions.iter().filter(|decision| planning::is_warning(decision));
    let decided =
        decided.map(|Decision { subject, choice, reason }| format!("{subject}: {choice} ({reason})"));
    found.iter().cloned().chain(decided).collect()
}

fn describe(selected: Selected<'_>, outcome: &Outcome<'_>, found: &[String]) {
    let (name, target) = (name(selected), target(selected));
    let (ready, planned, past) = match outcome {
        Outcome::Planned(ready, planned, past) => (ready, planned, *past),
        Outcome::Refused(errors) => {
            for (_, text) in errors {
                output::result(format!("{name} -> {target}: cannot be planned: {text}"));
            }
            return;
        }
    };
    output::result(format!("{name} -> {target}"));
    for decision in &planned.plan.decisions {
        output::result(format!("  {}: {} ({})", decision.subject, decision.choice, decision.reason));
    }
    let start = start(planned);
    if !start.is_empty() {
        output::result(format!("  start: {}", start.join("; ")));
    }
    let chunks = match sizes(planned) {
        _ if planned.plan.one_scan.is_some() => {
            let expected = expected_chunks(planned);
            format!("about {expected}, cut from the partitions of one result")
        }
        Some((smallest, median, largest)) => format!(
            "{} (rows: smallest {smallest}, median {median}, largest {largest})",
            planned.chunks.len()
        ),
        None => "none, the table is up to date".to_owned(),
    };
    output::result(format!("  rows: {}", planned.counts.rows));
    output::result(format!("  chunks: {chunks}"));
    let (planning, reading) = statements(ready, planned);
    output::result(format!("  statements that scan the source: {planning} to plan, {reading} to read"));
    if let Some(saving) = saving(planned, past) {
        output::result(format!("  one scan: {saving}"));
    }
    output::result(format!("  columns: {}", planned.plan.columns.len()));
    for left_out in &planned.plan.left_out {
        output::result(format!("  left out: {} ({})", left_out.column, left_out.reason));
    }
    for warning in warnings(planned, found) {
        output::result(format!("  warning: {warning}"));
    }
}

fn document(selected: Selected<'_>, outcome: &Outcome<'_>, found: &[String]) -> Value {
    let (ready, planned, past) = match outcome {
        Outcome::Planned(ready, planned, past) => (ready, planned, *past),
        Outcome::Refused(errors) => {
            let errors: Vec<Value> =
                errors.iter().map(|(class, text)| json!({ "class": class, "text": text })).collect();
            return json!({
                "source": name(selected), "target": target(selected),
                // The first, for who reads only one.
                "error": errors.first(), "errors": errors, "warnings": found,
            });
        }
    };
    let table_plan = &planned.plan;
    let decided = |subject: &str| {
        let decision = table_plan.decisions.iter().find(|decision| decision.subject == subject);
        decision.map(|decision| json!({ "choice": decision.choice, "reason": decision.reason }))
    };
    let (smallest, median, largest) = sizes(planned).unwrap_or_default();
    let (planning, reading) = statements(ready, planned);
    let chunks = planned.chunks.len().max(usize::try_from(expected_chunks(planned)).unwrap_or(usize::MAX));
    json!({
        "source": name(selected),
        "target": target(selected),
        "mode": load_mode::mode_name(table_plan.load.mode),
        "load_mode": decided("load mode"),
        "strategy": decided("strategy"),
        "snapshot": table_plan.source.snapshot,
        "snapshot_decision": decided("snapshot"),
        "bound": decided("bound"),
        "has_bound": table_plan.source.watermark.is_some(),
        "initial_full_load": planned.is_initial_full_load,
        "smart_configuration": decided("smart configuration"),
        "indexes": decided("indexes"),
        "start": start(planned),
        "rows": planned.counts.rows,
        "chunks": {
            "count": chunks, "smallest": smallest, "median": median, "largest": largest,
        },
        "statements": { "planning": planning, "reading": reading },
        "one_scan": saving(planned, past),
        "lost_result": decided(plan::LOST_RESULT),
        "columns": table_plan.columns.len(),
        "left_out": table_plan.left_out,
        "decisions": table_plan.decisions,
        "warnings": warnings(planned, found),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_run_that_would_go_on_is_named() {
        let run = RunId::generate();
        let part = OpenPart { add: vec![0, 1], ..OpenPart::default() };
        let found = Resumption {
            run,
            is_new: false,
            databases: BTreeMap::from([("db".to_owned(), part)]),
            later: Vec::new(),
            notes: Vec::new(),
            leaves_unfinished: false,
        };
        let new = Choice::Open(Resumption { is_new: true, ..found.clone() });
        let old = Choice::Open(found);
        assert_eq!((going_on(&new), opening(&new)), (None, None));
        assert_eq!(going_on(&old), Some(run));
        let line = opening(&old).expect("a line");
        assert!(
            line.starts_with(&format!("goes on with run {run}: 0 table(s) go on in it, 2 are planned")),
            "{line}"
        );
    }
}
