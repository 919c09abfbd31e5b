//! Which source column goes to which target column, by their names alone.
//!
//! Names are compared as the catalogues spell them. PostgreSQL keeps 63 bytes of a name, so a longer one is compared
//! as it would have cut it.

use std::collections::BTreeMap;

use thaw_config::TableEntry;
use thaw_model::plan::LeftOut;
use thaw_model::{PgIdent, SfIdent};
use thaw_postgres::catalog::TargetTable;

use super::{find_source, same_source};
use crate::introspect::source::SourceColumn;

/// NAMEDATALEN of PostgreSQL, without the byte that ends it.
const NAME_BYTES_MAX: usize = 63;

/// The pairs, and what is wrong with them: key of the entry, message.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a> {
    /// Target column to source column.
    pub(super) found: BTreeMap<PgIdent, &'a SourceColumn>,
    pub(super) faults: Vec<(&'static str, String)>,
    pub(super) left_out: Vec<LeftOut>,
}

/// Pairs by `column_mapping` first; what it does not name is paired by its own name.
pub(super) fn pair<'a>(entry: &TableEntry, source: &'a [SourceColumn], target: &TargetTable) -> Pairs<'a> {
    let mut pairs = Pairs::default();
    pairs.by_mapping(entry, source, target);
    let mapped: Vec<PgIdent> = pairs.found.keys().cloned().collect();
    let is_mapped = |name: &SfIdent| entry.column_mapping.keys().any(|from| same_source(from, name));
    for column in source.iter().filter(|column| !is_mapped(&column.name)) {
        let Some(name) = same_named(&column.name, source, target) else {
            pairs.leave_out(&column.name, "the target has no such column");
            continue;
        };
        match pairs.found.get(&name) {
            None => drop(pairs.found.insert(name, column)),
            Some(_) if mapped.contains(&name) => {
                pairs.leave_out(&column.name, "another column is mapped to its target");
            }
            Some(other) => {
                let message = format!(
                    "source columns \"{}\" and \"{}\" both have the name \"{name}\" in the target (PostgreSQL keeps \
                     {NAME_BYTES_MAX} bytes of a name); map one of them",
                    other.name, column.name
                );
                pairs.faults.push(("column_mapping", message));
            }
        }
    }
    pairs
}

impl<'a> Pairs<'a> {
    fn by_mapping(&mut self, entry: &TableEntry, source: &'a [SourceColumn], target: &TargetTable) {
        for (from, to) in &entry.column_mapping {
            let is_watermark =
                entry.source_watermark.as_ref() == Some(from) && entry.target_watermark.as_ref() == Some(to);
            let (of_source, of_target) = if is_watermark {
                ("source_watermark", "target_watermark")
            } else {
                ("column_mapping", "column_mapping")
            };
            let column = find_source(source, from);
            let is_there = column.is_some() && find_target(target, to.as_str()).is_some();
            // What truncate_onstart ignores need not exist.
            if is_watermark && entry.truncate_onstart && !is_there {
                continue;
            }
            if column.is_none() {
                self.faults.push((of_source, format!("the source has no column \"{from}\"")));
            }
            let Some(name) = find_target(target, to.as_str()) else {
                self.faults.push((of_target, format!("the target has no column \"{to}\"")));
                continue;
            };
            let Some(column) = column else { continue };
            if let Some((other, _)) = self.found.iter().find(|(_, known)| known.name == column.name) {
                let message =
                    format!("source column \"{}\" is mapped to \"{other}\" and \"{name}\"", column.name);
                self.faults.push(("column_mapping", message));
                continue;
            }
            if let Some(other) = self.found.insert(name.clone(), column) {
                let message =
                    format!("\"{}\" and \"{}\" are both mapped to \"{name}\"", other.name, column.name);
                self.faults.push(("column_mapping", message));
            }
        }
    }

    fn leave_out(&mut self, column: &SfIdent, reason: &str) {
        self.left_out.push(LeftOut { column: column.as_str().to_owned(), reason: reason.to_owned() });
    }
}

/// The target column of the same name: exactly, or as each database folds an unquoted one. The exact name of
/// another source column is not taken away from it.
fn same_named(name: &SfIdent, source: &[SourceColumn], target: &TargetTable) -> Option<PgIdent> {
    if let Some(found) = find_target(target, name.as_str()) {
        return Some(found);
    }
    let folded = name.as_str().to_lowercase();
    let is_unquoted = name.as_str() == name.as_str().to_uppercase();
    let taken = source.iter().any(|column| column.name.as_str() == folded);
    if is_unquoted && !taken { find_target(target, &folded) } else { None }
}

fn find_target(target: &TargetTable, name: &str) -> Option<PgIdent> {
    let has = |text: &str| target.columns.iter().any(|column| column.name.as_str() == text);
    [name, cut(name)].into_iter().find(|text| has(text)).map(PgIdent::exact)
}

/// What PostgreSQL keeps of a name: whole characters up to its limit.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}
