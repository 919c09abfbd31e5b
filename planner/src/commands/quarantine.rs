//! `planner quarantine list` and `planner quarantine retry`: the rows that no target could hold.
//!
//! A retry is a full run of their tables. What would make such a row loadable, another value at the source or another
//! column at the target, needs a new plan and a new snapshot; and a run that read single chunks at a later moment than
//! their neighbours would leave the watermark bound above rows that nobody has read. Rows that have not changed cost a
//! comparison, no write. How a table is loaded again, and that it cannot be, is decided where every run decides it.

use std::collections::BTreeSet;
use std::sync::Arc;

use thaw_config::Config;
use thaw_status::StoreError;
use thaw_status::quarantine::{SetAside, Wanted, list_quarantined};

use super::run::{self, RunOptions};
use crate::cli::{ListArgs, RetryArgs};
use crate::exit::Exit;
use crate::output;

use crate::select;
use crate::session::Session;
use crate::watermark::Asked;

/// Enough to find every table that has any: `max_bad_rows` ends at so many.
const ALL: i64 = 1_000_000;

/// Prints them, newest table first, one a line.
pub async fn list(args: &ListArgs, config: &Config) -> Exit {
    let wanted = Wanted { table: args.table.as_deref(), settled: args.all, limit: args.limit };
    let Some(found) = look(config, &wanted).await else { return Exit::Configuration };
    let count = found.len();
    if count == 0 && !is_known(config, args.table.as_slice()) {
        return Exit::Configuration;
    }
    for (database, mut row) in found {
        if !args.show_values {
            row.keys = None;
            row.row = None;
        }
        output::result(if args.json { json(&database, &row) } else { text(&database, &row) });
    }
    if !args.json {
        output::result(match count {
            0 => "no row is set aside".to_owned(),
            _ => format!("{count} row(s); `planner quarantine retry` loads their tables again"),
        });
    }
    Exit::Completed
}

/// Loads the tables again that have rows set aside; the exit code is that of the run.
pub async fn retry(args: &RetryArgs, config: &Arc<Config>) -> Exit {
    let wanted = |table| Wanted { table, settled: false, limit: ALL };
    let mut found = Vec::new();
    let names: Vec<Option<&str>> = if args.table.is_empty() {
        vec![None]
    } else {
        args.table.iter().map(|name| Some(name.as_str())).collect()
    };
    for name in names {
        let Some(rows) = look(config, &wanted(name)).await else { return Exit::Configuration };
        found.extend(rows);
    }
    if found.is_empty() {
        if !is_known(config, &args.table) {
            return Exit::Configuration;
        }
        output::result("no row is set aside: there is nothing to load again");
        return Exit::Completed;
    }
    let Some((sources, tables)) = entries(config, &found) else { return Exit::Configuration };
    output::result(format!("{} row(s) are set aside; loading again: {}", found.len(), tables.join(", ")));
    let options = RunOptions {
        sources,
        tables: tables.clone(),
        local: args.local,
        report_json: args.report_json.clone(),
        asked: Asked { full: true, since: None },
        ..RunOptions::default()
    };
    let exit = Box::pin(run::execute(&options, config)).await;
    for table in &tables {
        let Some(rows) = look(config, &wanted(Some(table.as_str()))).await else { continue };
        output::result(format!("{table}: {} row(s) are set aside now", rows.len()));
    }
    exit
}

/// Whether the configuration has the tables, whose rows nobody has set aside; a name that is mistyped is said.
fn is_known(config: &Config, tables: &[String]) -> bool {
    match select::select(config, &[], tables) {
        Ok(_) => true,
        Err(findings) => {
            output::findings(&findings);
            false
        }
    }
}

/// The entries of the configuration that the rows belong to: names of sources, names of targets. What the
/// configuration does not load any more is said, and ends the command: nothing could bring those rows.
fn entries(config: &Config, found: &[(String, SetAside)]) -> Option<(Vec<String>, Vec<String>)> {
    let selected = match select::select(config, &[], &[]) {
        Ok(selected) => selected,
        Err(findings) => {
            output::findings(&findings);
            return None;
        }
    };
    let (mut sources, mut tables, mut missing) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (database, row) in found {
        let entry = selected.iter().find(|one| {
            one.source.name == row.source_name
                && one.source.target_database == *database
                && one.source.target_schema.as_str() == row.target_schema
                && one.entry.target.as_str() == row.target_table
        });
        match entry {
            Some(entry) => {
                sources.insert(entry.source.name.clone());
                tables.insert(row.target_table.clone());
            }
            None => drop(missing.insert(format!("{database}.{}.{}", row.target_schema, row.target_table))),
        }
    }
    for table in &missing {
        output::complaint(format!(
            "error: {table} has rows set aside, but no enabled entry of the configuration loads it; name the others \
             with --table"
        ));
    }
    missing.is_empty().then(|| (sources.into_iter().collect(), tables.into_iter().collect()))
}

/// The rows of every database, or `None` after a complaint.
async fn look(config: &Config, wanted: &Wanted<'_>) -> Option<Vec<(String, SetAside)>> {
    let session = match Session::new(config) {
        Ok(session) => session,
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            return None;
        }
    };
    let mut found = Vec::new();
    for name in session.pools.databases() {
        match look_at(&session, &name, wanted).await {
            Ok(rows) => found.extend(rows.into_iter().map(|row| (name.clone(), row))),
            Err(error) if error.is_schema_missing() => {}
            Err(error) => {
                output::complaint(format!("error: database \"{name}\": {error}"));
                return None;
            }
        }
    }
    Some(found)
}

async fn look_at(session: &Session, name: &str, wanted: &Wanted<'_>) -> Result<Vec<SetAside>, StoreError> {
    let client = session.pools.pool(name)?.get().await?;
    thaw_status::check_version(&client).await?;
    list_quarantined(&client, wanted).await
}

fn json(database: &str, row: &SetAside) -> String {
    let mut document = serde_json::json!(row);
    if let Some(members) = document.as_object_mut() {
        members.insert("database".into(), database.into());
    }
    document.to_string()
}

fn text(database: &str, row: &SetAside) -> String {
    let statement = row.statement.as_deref().unwrap_or("unknown");
    let mut line = format!(
        "[{}] {} -> {database}.{}.{}: chunk {}, row {}, column \"{}\": {} (query {statement}, {} UTC, run {})",
        row.source_name,
        row.source,
        row.target_schema,
        row.target_table,
        row.chunk,
        row.ordinal,
        row.column,
        row.reason,
        row.set_aside_at,
        row.run,
    );
    for (name, value) in [("keys", &row.keys), ("row", &row.row)] {
        if let Some(value) = value {
            line.push_str(&format!("\n    {name} {value}"));
        }
    }
    line
}
