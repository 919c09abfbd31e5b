//! What a run would do, without writing anything anywhere.

use serde_json::json;
use thaw_config::Config;
use thaw_status::StoreError;

use crate::exit::Exit;
use crate::load_mode;
use crate::output;
use crate::plan::Planned;
use crate::preflight::Ready;
use crate::run::planning::{self, Failure};
use crate::session::Session;
use crate::watermark::Asked;

/// Plans every table and prints the plans: text, or one JSON document.
///
/// # Errors
/// What a target database says.
pub async fn print(
    session: &Session,
    config: &Config,
    ready: &[Ready<'_>],
    as_json: bool,
    asked: &Asked,
) -> Result<Exit, StoreError> {
    let mut exit = Exit::Completed;
    let mut documents = Vec::new();
    for table in ready {
        match planning::plan(session, config, table, asked).await {
            Ok(planned) if as_json => documents.push(document(table, &planned)),
            Ok(planned) => describe(table, &planned),
            Err(Failure::Plan(error)) => {
                exit = exit.worse(Exit::Incomplete);
                let report = planning::report(&error);
                if as_json {
                    documents.push(json!({
                        "source": name(table), "target": target(table),
                        "error": { "class": report.class, "text": report.text },
                    }));
                } else {
                    output::result(format!(
                        "{} -> {}: cannot be planned: {}",
                        name(table),
                        target(table),
                        report.text
                    ));
                }
            }
            Err(Failure::Store(error)) => return Err(error),
        }
    }
    if as_json {
        output::result(json!({ "tables": documents }).to_string());
    }
    Ok(exit)
}

fn name(table: &Ready<'_>) -> String {
    let source = table.selected.source;
    format!("{}.{}.{}", source.source_database, source.source_schema, table.selected.entry.source)
}

fn target(table: &Ready<'_>) -> String {
    let source = table.selected.source;
    format!("{}.{}.{}", source.target_database, source.target_schema, table.selected.entry.target)
}

/// Rows of the smallest, the median and the largest chunk.
fn sizes(planned: &Planned) -> Option<(u64, u64, u64)> {
    let mut rows: Vec<u64> = planned.chunks.iter().map(|chunk| chunk.expected_rows).collect();
    rows.sort_unstable();
    Some((*rows.first()?, *rows.get(rows.len() / 2)?, *rows.last()?))
}

fn describe(table: &Ready<'_>, planned: &Planned) {
    output::result(format!("{} -> {}", name(table), target(table)));
    for decision in &planned.plan.decisions {
        output::result(format!("  {}: {} ({})", decision.subject, decision.choice, decision.reason));
    }
    let chunks = match sizes(planned) {
        Some((smallest, median, largest)) => {
            format!(
                "{} (rows: smallest {smallest}, median {median}, largest {largest})",
                planned.chunks.len()
            )
        }
        None => "none, the table is up to date".to_owned(),
    };
    output::result(format!("  rows: {}", planned.counts.rows));
    output::result(format!("  chunks: {chunks}"));
    for left_out in &planned.plan.left_out {
        output::result(format!("  left out: {} ({})", left_out.column, left_out.reason));
    }
}

fn document(table: &Ready<'_>, planned: &Planned) -> serde_json::Value {
    let (smallest, median, largest) = sizes(planned).unwrap_or_default();
    json!({
        "source": name(table),
        "target": target(table),
        "mode": load_mode::mode_name(planned.plan.load.mode),
        "snapshot": planned.plan.source.snapshot,
        "rows": planned.counts.rows,
        "chunks": {
            "count": planned.chunks.len(), "smallest": smallest, "median": median, "largest": largest,
        },
        "decisions": planned.plan.decisions,
        "left_out": planned.plan.left_out,
    })
}
