//! Which source column is loaded into which target column, by name; and what the entry's other column names mean.
//!
//! Pure: both catalogues in, the mapping or every fault of it out. A fault stops the table before any row moves.

mod pairs;

use std::collections::BTreeMap;

use thaw_config::{Finding, Severity, TableEntry};
use thaw_model::plan::{LeftOut, OnBadRow, PlannedColumn};
use thaw_model::target_type::TextKind;
use thaw_model::{PgIdent, SfIdent, SourceType, TargetType};
use thaw_postgres::catalog::{ColumnType, Identity, TargetColumn, TargetTable};
use thaw_worker::encode::{Zone, pair_is_loadable, pair_needs_zone};

use crate::introspect::source::SourceColumn;

/// The columns of a table's plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// In the source's order.
    pub columns: Vec<PlannedColumn>,
    pub left_out: Vec<LeftOut>,
    /// The uniqueness columns, by both their names.
    pub keys: Vec<(SfIdent, PgIdent)>,
    pub watermark: Option<Watermark>,
    /// The chunking columns: the first makes the ranges, the others only order.
    pub chunking: Vec<(SfIdent, SourceType)>,
    /// A GENERATED ALWAYS identity column is among the columns.
    pub overriding_system_value: bool,
    /// The columns, by their names in the target, that a collation of either side compares by more than their bytes.
    pub loosely_equal: Vec<PgIdent>,
}

/// The watermark column on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watermark {
    pub source: SfIdent,
    pub source_type: SourceType,
    pub target: PgIdent,
    pub target_type: TargetType,
    /// A text that the source does not compare by its bytes.
    pub is_collated: bool,
    /// The target may hold another value than the source: a number that lost digits, NULL for a bad value.
    pub may_change: bool,
}

/// Maps.
///
/// # Errors
/// Every fault at once, each with the path of the entry's key that leads there.
pub fn map(
    entry: &TableEntry,
    source: &[SourceColumn],
    target: &TargetTable,
) -> Result<Mapped, Vec<Finding>> {
    let mut mapper = Mapper { entry, source, target, faults: Vec::new(), left_out: Vec::new() };
    let pairs = mapper.pairs();
    let columns = mapper.plan_columns(&pairs);
    mapper.check_unmatched(&pairs);
    if columns.is_empty() {
        mapper
            .fault("", "source and target have no column in common; name them in column_mapping".to_owned());
    }
    let keys = mapper.keys(&columns);
    let watermark = mapper.watermark(&columns);
    let chunking = mapper.chunking();
    mapper.check_identity(&columns, &keys);
    let always = |column: &PlannedColumn| {
        target.columns.iter().any(|t| t.name == column.target && t.identity == Identity::Always)
    };
    let overriding_system_value = columns.iter().any(always);
    let is_loose = |column: &&PlannedColumn| {
        let of_target = target.columns.iter().any(|t| t.name == column.target && !t.collation_deterministic);
        of_target || source.iter().any(|known| known.name == column.source && known.is_collated)
    };
    let loosely_equal = columns.iter().filter(is_loose).map(|column| column.target.clone()).collect();
    if mapper.faults.is_empty() {
        let left_out = mapper.left_out;
        Ok(Mapped { columns, left_out, keys, watermark, chunking, overriding_system_value, loosely_equal })
    } else {
        Err(mapper.faults)
    }
}

struct Mapper<'a> {
    entry: &'a TableEntry,
    source: &'a [SourceColumn],
    target: &'a TargetTable,
    faults: Vec<Finding>,
    left_out: Vec<LeftOut>,
}

impl<'a> Mapper<'a> {
    fn fault(&mut self, key: &str, message: String) {
        let path =
            if key.is_empty() { self.entry.path.clone() } else { format!("{}.{key}", self.entry.path) };
        self.faults.push(Finding { severity: Severity::Error, path, line: None, message });
    }

    /// Target column to source column. A mapped column wins over a same-named one.
    fn pairs(&mut self) -> BTreeMap<PgIdent, &'a SourceColumn> {
        let pairs = pairs::pair(self.entry, self.source, self.target);
        for (key, message) in pairs.faults {
            self.fault(key, message);
        }
        self.left_out.extend(pairs.left_out);
        pairs.found
    }

    fn leave_out(&mut self, column: &str, reason: &str) {
        self.left_out.push(LeftOut { column: column.to_owned(), reason: reason.to_owned() });
    }

    fn plan_columns(&mut self, pairs: &BTreeMap<PgIdent, &SourceColumn>) -> Vec<PlannedColumn> {
        let mut planned = Vec::new();
        for column in self.source {
            let Some((target, _)) = pairs.iter().find(|(_, source)| source.name == column.name) else {
                continue;
            };
            let Some(target) = self.target.columns.iter().find(|t| &t.name == target) else { continue };
            if target.generated {
                self.leave_out(column.name.as_str(), "the target column is generated");
                continue;
            }
            self.check_xml(target);
            match types_of(column, target, &self.entry.timezone) {
                Ok((source_type, target_type)) => planned.push(PlannedColumn {
                    source: column.name.clone(),
                    source_type,
                    target: target.name.clone(),
                    target_type,
                    nullable: target.nullable,
                    lossy: self
                        .entry
                        .lossy
                        .iter()
                        .any(|name| name == column.name.as_str() || name == target.name.as_str()),
                }),
                Err(reason) => self.fault("", format!("column \"{}\": {reason}", target.name)),
            }
        }
        planned
    }

    /// `DO UPDATE SET` of a GENERATED ALWAYS identity column is refused by the server (428C9); keys are never set.
    fn check_identity(&mut self, columns: &[PlannedColumn], keys: &[(SfIdent, PgIdent)]) {
        if keys.is_empty() || self.entry.insert_only || self.entry.truncate_onstart {
            return;
        }
        let target = self.target;
        for identity in target.columns.iter().filter(|column| column.identity == Identity::Always) {
            let is_loaded = columns.iter().any(|column| column.target == identity.name);
            if is_loaded && !keys.iter().any(|(_, key)| key == &identity.name) {
                let message = format!(
                    "column \"{}\" is GENERATED ALWAYS AS IDENTITY and no key, so an upsert cannot set it; make it \
                     GENERATED BY DEFAULT, or leave it to its sequence by a view without it at the source",
                    identity.name
                );
                self.fault("", message);
            }
        }
    }

    /// The server alone parses xml: what it refuses fails the chunk, whatever the policy says.
    fn check_xml(&mut self, target: &TargetColumn) {
        let xml = TargetType::Text { kind: TextKind::Xml, max_chars: None };
        if target.column_type == ColumnType::Loadable(xml) && self.entry.bad_rows.on_bad_row != OnBadRow::Fail
        {
            let message = format!(
                "column \"{}\" is xml, which only the server can check, so that a bad row would fail its chunk; make \
                 the column text, or set on_bad_row to fail",
                target.name
            );
            self.fault("on_bad_row", message);
        }
    }

    fn check_unmatched(&mut self, pairs: &BTreeMap<PgIdent, &SourceColumn>) {
        for column in self.target.columns.iter().filter(|column| !pairs.contains_key(&column.name)) {
            let fills_itself = column.has_default || column.generated || column.identity != Identity::No;
            if !column.nullable && !fills_itself {
                let message = format!(
                    "target column \"{}\" is NOT NULL, has no default, and no source column is mapped to it; add it \
                     to column_mapping or give it a default",
                    column.name
                );
                self.fault("", message);
            } else if !column.generated {
                let reason = if fills_itself {
                    "no source column: filled by its default"
                } else {
                    "no source column: left NULL"
                };
                self.leave_out(column.name.as_str(), reason);
            }
        }
    }

    fn keys(&mut self, columns: &[PlannedColumn]) -> Vec<(SfIdent, PgIdent)> {
        let mut keys = Vec::new();
        for name in &self.entry.uniqueness_columns {
            match find_planned(columns, name.as_str()) {
                Some(column) => {
                    if let Some(reason) = self.may_collapse(column) {
                        let message = format!(
                            "key column \"{}\": {reason}, so two keys of the source could become one row; widen the \
                             target's column",
                            column.target
                        );
                        self.fault("uniqueness_columns", message);
                    }
                    let key = (column.source.clone(), column.target.clone());
                    if keys.contains(&key) {
                        self.fault(
                            "uniqueness_columns",
                            format!("\"{name}\" is a column that stands there already"),
                        );
                    } else {
                        keys.push(key);
                    }
                }
                None if self.entry.truncate_onstart => return Vec::new(),
                None => self.fault("uniqueness_columns", format!("\"{name}\" is no column that is loaded")),
            }
        }
        keys
    }

    /// Why two different values of the source may be equal in the target. Digits of a second and blanks at the end that
    /// the column would take from a key are looked for in every value: sources declare nanoseconds and long texts by
    /// default and hardly use them, so the worker takes a key that would change for a bad row.
    fn may_collapse(&self, column: &PlannedColumn) -> Option<&'static str> {
        if self.entry.truncate_onstart {
            return None;
        }
        let target = self.target.columns.iter().find(|target| target.name == column.target)?;
        match column.target_type {
            _ if column.lossy => Some("it is listed in lossy"),
            _ if !target.collation_deterministic => Some("its collation takes different texts for equal"),
            TargetType::Text { kind: TextKind::Citext, .. } => Some("citext ignores case"),
            TargetType::Timestamp { .. } | TargetType::Timestamptz { .. }
                if pair_needs_zone(column.source_type, &column.target_type)
                    && Zone::named(&self.entry.timezone).is_some_and(|zone| !zone.is_utc()) =>
            {
                Some("its zone shows an hour twice, or skips one, when clocks are moved")
            }
            _ => None,
        }
    }

    fn watermark(&mut self, columns: &[PlannedColumn]) -> Option<Watermark> {
        if self.entry.truncate_onstart {
            return None;
        }
        let (key, name) = match (&self.entry.source_watermark, &self.entry.target_watermark) {
            (Some(source), _) => ("source_watermark", source.as_str()),
            (None, Some(target)) => ("target_watermark", target.as_str()),
            (None, None) => return None,
        };
        let Some(column) = find_planned(columns, name) else {
            self.fault(key, format!("\"{name}\" is no column that is loaded"));
            return None;
        };
        Some(Watermark {
            source: column.source.clone(),
            source_type: column.source_type,
            target: column.target.clone(),
            target_type: column.target_type.clone(),
            is_collated: self.source.iter().any(|known| known.name == column.source && known.is_collated),
            may_change: column.lossy || self.entry.bad_rows.on_bad_row == OnBadRow::Null,
        })
    }

    fn chunking(&mut self) -> Vec<(SfIdent, SourceType)> {
        let mut columns = Vec::new();
        for column in &self.entry.chunking_columns {
            let Some(found) = find_source(self.source, &column.name) else {
                self.fault("chunking_columns", format!("the source has no column \"{}\"", column.name));
                continue;
            };
            match found.source_type {
                Some(source_type) => columns.push((found.name.clone(), source_type)),
                None => {
                    let message = format!("\"{}\" is {}, which cannot be cut", found.name, found.type_name);
                    self.fault("chunking_columns", message);
                }
            }
        }
        columns
    }
}

fn types_of(
    column: &SourceColumn,
    target: &TargetColumn,
    timezone: &str,
) -> Result<(SourceType, TargetType), String> {
    let ColumnType::Loadable(target_type) = &target.column_type else {
        return Err(format!("no value can be loaded into type {}", target.type_text));
    };
    let Some(source_type) = column.source_type else {
        return Err(format!("type {} of the source cannot be read; cast it in a view", column.type_name));
    };
    pair_is_loadable(source_type, target_type).map_err(|refusal| {
        format!("{source_type} cannot be loaded into {}: {}", target.type_text, refusal.reason)
    })?;
    if pair_needs_zone(source_type, target_type) && Zone::named(timezone).is_none() {
        return Err(format!(
            "{source_type} into {} is converted in the entry's timezone, and \"{timezone}\" is no zone of the tz \
             database",
            target.type_text
        ));
    }
    Ok((source_type, target_type.clone()))
}

/// A source column by its exact name, else by the name an unquoted spelling folds to.
fn find_source<'a>(columns: &'a [SourceColumn], name: &SfIdent) -> Option<&'a SourceColumn> {
    columns
        .iter()
        .find(|column| &column.name == name)
        .or_else(|| columns.iter().find(|column| same_source(name, &column.name)))
}

fn same_source(spelled: &SfIdent, column: &SfIdent) -> bool {
    spelled == column || column.as_str() == spelled.as_str().to_uppercase()
}

/// A loaded column by the source's exact name, the target's exact name, or the name either folds to.
fn find_planned<'a>(columns: &'a [PlannedColumn], name: &str) -> Option<&'a PlannedColumn> {
    let by = |matches: &dyn Fn(&PlannedColumn) -> bool| columns.iter().find(|column| matches(column));
    by(&|column| column.source.as_str() == name)
        .or_else(|| by(&|column| column.target.as_str() == name))
        .or_else(|| by(&|column| column.source.as_str() == name.to_uppercase()))
        .or_else(|| by(&|column| column.target.as_str() == name.to_lowercase()))
}

#[cfg(test)]
pub(crate) mod tests;
