//! The end of a run: what happened to every table, and for what failed the command that repairs it.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use thaw_model::{RunId, RunState, TableId, TableState};
use thaw_status::execution::SNAPSHOT_GONE;
use thaw_status::{StoreError, TableProgress};

use crate::exit::Exit;
use crate::output;
use crate::run::reserve::{ReservedDatabase, ReservedRun};
use crate::run::summary;
use crate::run::wait::End;
use crate::session::Session;

/// Prints the report, writes it as JSON where asked, and says how the planner ends.
///
/// # Errors
/// What a database says.
pub async fn finish(
    session: &Session,
    run: &ReservedRun<'_>,
    report_json: Option<&Path>,
    end: End,
) -> Result<Exit, StoreError> {
    let state = match end {
        End::Interrupted => {
            output::complaint(format!(
                "interrupted; run {} is not over: workers go on with it, and the next `planner run` follows it",
                run.id
            ));
            return Ok(Exit::Interrupted);
        }
        End::Ended(state) => state,
    };
    let (tables, is_whole_run) = asked_for(session, run).await?;
    for (database, table) in &tables {
        describe(database, table, run.id);
    }
    let counts: Vec<_> = tables.iter().map(|(_, table)| table.accounting).collect();
    let rows = summary::rows(&counts);
    let what = if is_whole_run { "is" } else { "has other tables, too; those asked for are" };
    output::result(format!("run {} {what} {state}: {rows}; {} table(s)", run.id, tables.len()));
    let exit = Exit::of(state);
    if let Some(path) = report_json {
        return Ok(write(path, run, state, &tables).map_or_else(|failure| exit.worse(failure), |()| exit));
    }
    Ok(exit)
}

/// The tables of the run that this call is about, with their databases, and whether they are all it has.
async fn asked_for(
    session: &Session,
    run: &ReservedRun<'_>,
) -> Result<(Vec<(String, TableProgress)>, bool), StoreError> {
    let mut names: BTreeSet<&String> = run.databases.iter().map(|database| &database.name).collect();
    names.extend(run.done.iter().map(|(name, _)| name));
    let mut tables = Vec::new();
    let mut is_whole_run = true;
    for name in names {
        let opened = run.databases.iter().filter(|database| database.name == *name);
        let done = run.done.iter().filter(|(database, _)| database == name).map(|(_, table)| *table);
        let asked: BTreeSet<TableId> = opened.flat_map(ReservedDatabase::followed).chain(done).collect();
        let client = session.pools.pool(name)?.get().await?;
        for table in thaw_status::tables_of_run(&client, run.id).await? {
            if asked.contains(&table.table) {
                tables.push((name.clone(), table));
            } else {
                is_whole_run = false;
            }
        }
    }
    Ok((tables, is_whole_run))
}

fn describe(database: &str, table: &TableProgress, run: RunId) {
    let counts = &table.accounting;
    let seconds =
        table.elapsed.map_or_else(String::new, |elapsed| format!(", {:.1} s", elapsed.as_secs_f64()));
    output::result(format!(
        "[{}] {} -> {database}.{}: {} ({}): read {}, inserted {}, updated {}, kept {}, deduplicated {}, quarantined \
         {}{seconds}",
        table.source_name,
        table.source,
        table.target,
        table.state,
        mode(table),
        counts.fetched,
        counts.inserted,
        counts.updated,
        counts.kept,
        counts.deduplicated,
        counts.quarantined,
    ));
    for warning in summary::warnings(table) {
        output::result(format!("    warning: {warning}"));
    }
    if let Some(class) = &table.error_class {
        output::result(format!("    {class}: {}", table.error_text.as_deref().unwrap_or_default()));
    }
    for decision in table.decisions.iter().filter(|decision| summary::is_told(decision)) {
        output::result(format!("    {}: {} ({})", decision.subject, decision.choice, decision.reason));
    }
    match table.state {
        // Says itself what to do: the stored plan would meet the same again.
        TableState::Failed if table.error_class.as_deref() == Some(SNAPSHOT_GONE) => {}
        TableState::Failed | TableState::Partial | TableState::Cancelled => {
            let chunks = match table.chunks.planned {
                0 => String::new(),
                planned => format!("{} of {planned} chunks failed; ", table.chunks.failed),
            };
            output::result(format!("    {chunks}{}", repair(table.state, &table.target, run)));
        }
        TableState::Superseded => {
            output::result(format!("    {}", repair(table.state, &table.target, run)));
        }
        TableState::Planning
        | TableState::Planned
        | TableState::Loading
        | TableState::Finalizing
        | TableState::Completed => {}
    }
}

/// What to do about a table that did not complete. A superseded one never goes on in this run.
fn repair(state: TableState, target: &str, run: RunId) -> String {
    let name = target.rsplit('.').next().unwrap_or(target);
    if state == TableState::Superseded {
        return format!(
            "another run has taken it over, or nobody planned it; load it with `planner run --table {name}`"
        );
    }
    format!(
        "after mending the cause go on with `planner retry {run}`, under its stored plan and snapshot; where columns of the \
         target or rows of the source were mended, begin anew with `planner run --no-resume --table {name}`"
    )
}

fn mode(table: &TableProgress) -> String {
    let decision = table.decisions.iter().find(|decision| decision.subject == "load mode");
    decision.map_or_else(|| "not planned".to_owned(), |found| format!("{}, {}", found.choice, found.reason))
}

fn write(
    path: &Path,
    run: &ReservedRun<'_>,
    state: RunState,
    tables: &[(String, TableProgress)],
) -> Result<(), Exit> {
    let tables: Vec<Value> = tables.iter().map(|(database, table)| document(database, table)).collect();
    let report = json!({ "run": run.id, "state": state.as_str(), "tables": tables });
    std::fs::write(path, format!("{report:#}\n")).map_err(|error| {
        output::complaint(format!("error: --report-json: {} cannot be written: {error}", path.display()));
        Exit::Configuration
    })
}

fn document(database: &str, table: &TableProgress) -> Value {
    json!({
        "source": table.source,
        "target": format!("{database}.{}", table.target),
        "state": table.state.as_str(),
        "mode": mode(table),
        "expected_rows": table.expected_rows,
        "rows": table.accounting,
        "warnings": summary::warnings(table),
        "chunks": {
            "planned": table.chunks.planned,
            "completed": table.chunks.completed,
            "failed": table.chunks.failed,
            "cancelled": table.chunks.cancelled,
        },
        "decisions": table.decisions,
        "seconds": table.elapsed.map(|elapsed| elapsed.as_secs_f64()),
        "error_class": table.error_class,
        "error_text": table.error_text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_is_proposed_where_the_run_can_go_on_with_the_table() {
        let run = RunId::generate();
        for state in [TableState::Failed, TableState::Partial, TableState::Cancelled] {
            let said = repair(state, "public.orders", run);
            assert!(
                said.contains(&format!("planner retry {run}")) && said.contains("--table orders"),
                "{said}"
            );
        }
        let said = repair(TableState::Superseded, "public.orders", run);
        assert!(said.contains("`planner run --table orders`") && !said.contains("retry"), "{said}");
    }
}
