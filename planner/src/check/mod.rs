//! The plan-time checks of a target: everything that would stop a load later is said before any row moves.

pub mod names;

use thaw_config::{Finding, Severity, TableEntry};
use thaw_model::PgIdent;
use thaw_model::plan::{LoadMode, PlannedColumn};
use thaw_postgres::catalog::{ForeignKey, TargetTable, UniqueIndex};
use thaw_worker::encode::{Zone, pair_needs_zone};

use crate::columns::Mapped;
use crate::filter::{self, SentFilter};
use crate::introspect::target;
use crate::load_mode::LoadRefusal;
use crate::strategy::choose;
use crate::watermark::Kind;

/// A fault of one entry, at its path or at a key of it.
pub fn fault(entry: &TableEntry, key: &str, message: impl Into<String>) -> Finding {
    finding(Severity::Error, entry, key, message.into())
}

/// Something a person should look at that does not stop the run.
pub fn warning(entry: &TableEntry, key: &str, message: impl Into<String>) -> Finding {
    finding(Severity::Warning, entry, key, message.into())
}

fn finding(severity: Severity, entry: &TableEntry, key: &str, message: String) -> Finding {
    let path = if key.is_empty() { entry.path.clone() } else { format!("{}.{key}", entry.path) };
    Finding { severity, path, line: None, message }
}

/// What can be said of the target without its rows: kind, row security, grants, references, triggers. `truncated` says
/// whether the same run truncates a table, by schema and name: then one TRUNCATE empties both.
#[must_use]
pub fn relation(
    entry: &TableEntry,
    schema: &PgIdent,
    table: &TargetTable,
    truncated: impl Fn(&PgIdent, &PgIdent) -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = format!("{schema}.{}", entry.target);
    if !table.kind.is_loadable() {
        let message = format!("{name} is a {}; name the table behind it", table.kind.as_str());
        findings.push(fault(entry, "target", message));
        return findings;
    }
    if table.row_security_active {
        let message = format!(
            "row security is active on {name} for this role, so rows could be hidden; use a role with BYPASSRLS"
        );
        findings.push(fault(entry, "target", message));
    }
    if table.has_rules {
        findings.push(fault(
            entry,
            "target",
            format!("{name} has rewrite rules, which COPY passes by; drop them"),
        ));
    }
    for (granted, right) in needed_rights(entry, table) {
        if !granted {
            findings.push(fault(entry, "target", format!("this role may not {right} {name}; grant it")));
        }
    }
    if entry.truncate_onstart {
        let outside = |key: &&ForeignKey| !truncated(&key.from_schema, &key.from_table);
        for key in table.referenced_by.iter().filter(outside) {
            let message = format!(
                "{name} is referenced by {}.{} (constraint {}), which this run does not truncate, so it cannot be \
                 truncated; Thaw never cascades",
                key.from_schema, key.from_table, key.name
            );
            findings.push(fault(entry, "truncate_onstart", message));
        }
    }
    if !table.triggers.is_empty() {
        let message = format!("triggers of {name} fire for every row: {}", table.triggers.join(", "));
        findings.push(warning(entry, "target", message));
    }
    findings
}

/// The unique index that `uniqueness_columns` need, and why those that are there will not do.
#[must_use]
pub fn keys(entry: &TableEntry, schema: &PgIdent, table: &TargetTable, mapped: &Mapped) -> Option<Finding> {
    let keys: Vec<PgIdent> = mapped.keys.iter().map(|(_, target)| target.clone()).collect();
    if entry.truncate_onstart || keys.is_empty() || target::arbiter(table, &keys).is_some() {
        return None;
    }
    let create_index = target::create_arbiter(schema, &entry.target, &keys);
    let mut message = LoadRefusal::NoArbiter { create_index }.to_string();
    for index in &table.unique_indexes {
        let reason = unusable(index, &keys);
        message = format!("{message}; unique index \"{}\" {reason}", index.name);
    }
    Some(fault(entry, "uniqueness_columns", message))
}

fn unusable(index: &UniqueIndex, keys: &[PgIdent]) -> String {
    if !index.valid {
        return "is not valid: its building failed or goes on".to_owned();
    }
    if index.on_expressions {
        return "is on expressions".to_owned();
    }
    let same = index.columns.len() == keys.len() && keys.iter().all(|key| index.columns.contains(key));
    if !same {
        let columns: Vec<&str> = index.columns.iter().map(PgIdent::as_str).collect();
        return format!("is on other columns ({})", columns.join(", "));
    }
    if index.partial { "is partial".to_owned() } else { "is deferrable".to_owned() }
}

/// What is in a target before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetHolds {
    Nothing,
    Rows,
    /// Some that a run of the entry has left which did not complete: that run goes on, or the plan refuses and names it.
    RowsOfUnfinishedRun,
}

/// What depends on whether the target holds rows.
#[must_use]
pub fn rows(entry: &TableEntry, table: &TargetTable, mapped: &Mapped, holds: TargetHolds) -> Vec<Finding> {
    let is_empty = holds == TargetHolds::Nothing;
    let mut findings = Vec::new();
    if !entry.timezone_is_set && !entry.truncate_onstart {
        for column in mixed(mapped) {
            let message = format!(
                "column \"{}\" is {} at the source and {} in the target, so it is converted",
                column.target, column.source_type, column.target_type
            );
            findings.push(if is_empty {
                let advice =
                    "in UTC; set timezone to say so, or to another zone: the next run will not guess";
                warning(entry, "timezone", format!("{message} {advice}"))
            } else {
                let advice = "and the target holds rows already; set timezone to the zone in which they were";
                fault(entry, "timezone", format!("{message}, {advice}"))
            });
        }
    }
    if is_empty {
        return findings;
    }
    let can_tell = !mapped.keys.is_empty()
        || entry.truncate_onstart
        || entry.append
        || mapped.watermark.is_some()
        || target::primary_key(table).is_some();
    if !can_tell && holds == TargetHolds::Rows {
        findings.push(fault(entry, "", LoadRefusal::WouldDouble.to_string()));
    }
    findings
}

/// The columns that are converted in the entry's time zone.
fn mixed(mapped: &Mapped) -> impl Iterator<Item = &PlannedColumn> {
    mapped.columns.iter().filter(|column| pair_needs_zone(column.source_type, &column.target_type))
}

fn needed_rights(entry: &TableEntry, table: &TargetTable) -> Vec<(bool, &'static str)> {
    let rights = table.privileges;
    let upserts = !entry.uniqueness_columns.is_empty();
    let has_watermark = entry.source_watermark.is_some() || entry.target_watermark.is_some();
    let replaces = !upserts && !entry.truncate_onstart && has_watermark;
    vec![
        (rights.usage, "use (USAGE) the schema of"),
        (rights.select, "SELECT from"),
        (rights.insert, "INSERT into"),
        (rights.update || !upserts, "UPDATE"),
        (rights.delete || !replaces, "DELETE from"),
        (rights.truncate || !entry.truncate_onstart, "TRUNCATE"),
        (rights.create_temp || !upserts, "create temporary tables in the database of"),
        (rights.owner || !entry.disable_index, "drop the indexes (disable_index) of"),
    ]
}

/// The entry's filter and watermark; `server_time` is the source's clock.
#[must_use]
pub fn source(entry: &TableEntry, mapped: Option<&Mapped>, server_time: &str) -> Vec<Finding> {
    let mut findings = entry.source_filter.as_deref().map_or_else(Vec::new, |text| {
        match filter::freeze(text, server_time, &entry.timezone) {
            Ok(sent) => questionable(entry, &sent),
            Err(error) => vec![fault(entry, "source_filter", error.to_string())],
        }
    });
    if Zone::named(&entry.timezone).is_none() {
        let message = "is no time zone that is known here; use UTC or an IANA name such as Europe/Berlin";
        findings.push(fault(entry, "timezone", message));
    }
    if let Some(mapped) = mapped
        && let Some(watermark) = &mapped.watermark
        && Kind::of(watermark, &entry.timezone, !mapped.keys.is_empty()).is_none()
    {
        let message = format!(
            "{} cannot be a bound for {}; every row is read every run",
            watermark.target_type, watermark.source_type
        );
        findings.push(warning(entry, "source_watermark", message));
    }
    if let Some(mapped) = mapped
        && let Err(error) = choose::choose(entry, &mapped.chunking)
    {
        findings.push(fault(entry, "strategy", error.to_string()));
    }
    findings
}

/// What a filter does that a person should know of.
fn questionable(entry: &TableEntry, sent: &SentFilter) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !sent.volatile.is_empty() {
        let message = format!(
            "uses {}, which selects other rows for every statement; only a plan of one chunk is allowed, and its rows \
             are not counted beforehand",
            sent.volatile.join(", ")
        );
        findings.push(warning(entry, "source_filter", message));
    }
    if sent.has_subquery {
        let message =
            "reads other tables, which are not under the snapshot: chunks may see them at different times";
        findings.push(warning(entry, "source_filter", message));
    }
    findings
}

/// The rows of a batch, by the mode the table loads in.
#[must_use]
pub fn batch_size(entry: &TableEntry, mode: LoadMode) -> u64 {
    match mode {
        LoadMode::Copy => entry.batch_size_copy_mode.into(),
        LoadMode::Upsert | LoadMode::InsertOnly => entry.batch_size.into(),
    }
}

#[cfg(test)]
mod tests;
