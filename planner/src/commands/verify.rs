//! `planner verify`: whether both sides hold the same, as far as counts, NULLs and the ends of keys and watermark tell.

use futures_util::{StreamExt as _, stream};
use serde_json::json;
use thaw_config::{Config, Finding, Severity};
use thaw_status::StoreError;
use thaw_status::quarantine::{Wanted, list_quarantined};

use crate::cli::VerifyArgs;
use crate::exit::Exit;
use crate::output;
use crate::preflight::{self, Preflight, Ready};
use crate::select;
use crate::session::{PLANNING_CONCURRENCY, Session};
use crate::verify::{self, Found, Verified};

/// Compares the selected tables; exit code 2 where one differs.
pub async fn execute(args: &VerifyArgs, config: &Config) -> Exit {
    let selected = match select::select(config, &args.source, &args.table) {
        Ok(selected) => selected,
        Err(findings) => {
            output::findings(&findings);
            return Exit::Configuration;
        }
    };
    let session = match Session::new(config) {
        Ok(session) => session,
        Err(error) => {
            output::complaint(format!("error: snowflake: {error}"));
            return Exit::Configuration;
        }
    };
    let looked = preflight::preflight(&session, config, &selected).await;
    let blind = blind(&looked);
    output::findings(&blind);
    let verified = stream::iter(&looked.ready)
        .map(async |ready| (ready, verify::verify(&session, config, ready).await))
        .buffered(PLANNING_CONCURRENCY);
    let mut verified = std::pin::pin!(verified);
    let mut exit = if blind.is_empty() { Exit::Completed } else { Exit::Configuration };
    while let Some((ready, outcome)) = verified.next().await {
        exit = exit.worse(match outcome {
            Ok(verified) => {
                let reported = report(args, ready, &verified);
                if reported != Exit::Completed && !args.json {
                    tell_set_aside(&session, ready).await;
                }
                reported
            }
            Err(error) => {
                output::complaint(format!("error: {}: {error}", name(ready)));
                Exit::Incomplete
            }
        });
    }
    exit
}

/// The errors in the way of a comparison. What only a load would meet is none: rows that it would double, an index or a
/// right that it would need.
fn blind(looked: &Preflight<'_>) -> Vec<Finding> {
    let is_blind = |finding: &&Finding| {
        finding.severity == Severity::Error
            && !looked.ready.iter().any(|ready| ready.selected.is_about(finding))
    };
    looked.findings.iter().filter(is_blind).cloned().collect()
}

/// Rows that are missing for a known reason. Without status tables there are none.
async fn tell_set_aside(session: &Session, ready: &Ready<'_>) {
    let (source, target) = (ready.selected.source, ready.selected.entry.target.as_str());
    let look = async {
        let client = session.pools.pool(&source.target_database)?.get().await?;
        list_quarantined(&client, &Wanted { table: Some(target), settled: false, limit: i64::MAX }).await
    };
    let Ok(rows): Result<_, StoreError> = look.await else { return };
    let count = rows.iter().filter(|row| row.target_schema == source.target_schema.as_str()).count();
    if count > 0 {
        output::result(format!(
            "  {count} row(s) of the table are set aside: `planner quarantine list --table {target}`"
        ));
    }
}

fn report(args: &VerifyArgs, ready: &Ready<'_>, verified: &Verified) -> Exit {
    if args.json {
        output::result(document(args, ready, verified).to_string());
    } else {
        lines(args, ready, verified);
    }
    if verified.differences.is_empty() { Exit::Completed } else { Exit::Incomplete }
}

fn lines(args: &VerifyArgs, ready: &Ready<'_>, verified: &Verified) {
    let Verified { source_rows, target_rows, .. } = verified;
    let verdict = match (verified.differences.is_empty(), &verified.at_least) {
        (true, None) => "equal",
        (true, Some(_)) => "holds at least what the source does",
        (false, _) => "differs",
    };
    output::result(format!(
        "{}: {verdict}, {source_rows} rows at the source, {target_rows} here",
        name(ready)
    ));
    for found in &verified.differences {
        let (source, target) = shown(args, found);
        let values = source.zip(target).map(|(source, target)| format!(": source {source}, target {target}"));
        output::result(format!("  {} differs{}", found.aggregate, values.unwrap_or_default()));
    }
    if let Some(reason) = &verified.at_least {
        output::result(format!("  only held to be the source's or more: {reason}"));
    }
    for column in &verified.not_compared {
        output::result(format!("  least and greatest not compared: {column}"));
    }
}

/// Counts, and values of columns only where they were asked for: keys are data.
fn shown(args: &VerifyArgs, found: &Found) -> (Option<String>, Option<String>) {
    if found.is_value && !args.show_values {
        return (None, None);
    }
    let text = |value: &Option<String>| Some(value.clone().unwrap_or_else(|| "none".to_owned()));
    (text(&found.source), text(&found.target))
}

fn document(args: &VerifyArgs, ready: &Ready<'_>, verified: &Verified) -> serde_json::Value {
    let differences: Vec<_> = verified
        .differences
        .iter()
        .map(|found| {
            let (source, target) = shown(args, found);
            json!({ "aggregate": found.aggregate, "source": source, "target": target })
        })
        .collect();
    json!({
        "table": name(ready),
        "equal": verified.differences.is_empty(),
        "snapshot": verified.snapshot,
        "source_rows": verified.source_rows,
        "target_rows": verified.target_rows,
        "differences": differences,
        "at_least": verified.at_least,
        "not_compared": verified.not_compared,
    })
}

fn name(ready: &Ready<'_>) -> String {
    let (source, entry) = (ready.selected.source, ready.selected.entry);
    format!(
        "{}.{}.{} -> {}.{}.{}",
        source.source_database,
        source.source_schema,
        entry.source,
        source.target_database,
        source.target_schema,
        entry.target
    )
}
