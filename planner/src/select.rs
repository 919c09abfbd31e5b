//! Which entries of the configuration a command is about.

use thaw_config::{Config, Finding, Severity, Source, TableEntry};
use thaw_model::PgIdent;

/// One enabled entry and the source it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Selected<'a> {
    pub source: &'a Source,
    pub entry: &'a TableEntry,
}

/// The enabled entries, narrowed to named sources and tables where any are named. A table may be named as the source
/// or as the target spells it, in quotes exactly so.
///
/// # Errors
/// A name that selects nothing, and a selection that is empty.
pub fn select<'a>(
    config: &'a Config,
    sources: &[String],
    tables: &[String],
) -> Result<Vec<Selected<'a>>, Vec<Finding>> {
    let enabled = config.sources.iter().filter(|source| source.enabled);
    let all: Vec<Selected<'a>> = enabled
        .flat_map(|source| {
            let entries = source.tables.iter().filter(|entry| entry.enabled);
            entries.map(move |entry| Selected { source, entry })
        })
        .collect();
    let unknown_sources = sources
        .iter()
        .filter(|name| !all.iter().any(|selected| selected.is_of_source(name)))
        .map(|name| finding("--source", format!("no enabled source is named `{name}`")));
    let unknown_tables = tables
        .iter()
        .filter(|name| !all.iter().any(|selected| selected.is_table(name)))
        .map(|name| finding("--table", format!("no enabled table is named `{name}`")));
    let mut findings: Vec<Finding> = unknown_sources.chain(unknown_tables).collect();
    let selected: Vec<Selected<'a>> = all
        .into_iter()
        .filter(|selected| sources.is_empty() || sources.iter().any(|name| selected.is_of_source(name)))
        .filter(|selected| tables.is_empty() || tables.iter().any(|name| selected.is_table(name)))
        .collect();
    if selected.is_empty() && findings.is_empty() {
        findings.push(finding("sources", "no enabled table is left to load".to_owned()));
    }
    if findings.is_empty() { Ok(selected) } else { Err(findings) }
}

impl Selected<'_> {
    fn is_of_source(&self, name: &str) -> bool {
        self.source.name == name
    }

    fn is_table(&self, name: &str) -> bool {
        let (source, target) = (&self.entry.source, &self.entry.target);
        [source.as_str(), target.as_str()].iter().any(|one| one.eq_ignore_ascii_case(name))
            || source.quoted() == name
            || target.quoted() == name
    }

    /// A finding about this entry, or about a key of it.
    #[must_use]
    pub fn is_about(&self, finding: &Finding) -> bool {
        let rest = finding.path.strip_prefix(self.entry.path.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    /// Truncates this table of the database that `source` loads into.
    #[must_use]
    pub fn truncates(&self, source: &Source, (schema, table): (&PgIdent, &PgIdent)) -> bool {
        self.entry.truncate_onstart
            && self.source.target_database == source.target_database
            && self.source.target_schema == *schema
            && self.entry.target == *table
    }

    /// Another enabled entry of the configuration loads the same target.
    #[must_use]
    pub fn shares_target(&self, config: &Config) -> bool {
        let enabled = config.sources.iter().filter(|source| source.enabled);
        enabled.flat_map(|source| source.tables.iter().map(move |entry| Selected { source, entry })).any(
            |other| {
                other.entry.enabled && other.entry.path != self.entry.path && self.shares_target_with(&other)
            },
        )
    }

    /// Loads into the same target as `other`.
    #[must_use]
    pub fn shares_target_with(&self, other: &Selected<'_>) -> bool {
        self.source.target_database == other.source.target_database
            && self.source.target_schema == other.source.target_schema
            && self.entry.target == other.entry.target
    }
}

fn finding(path: &str, message: String) -> Finding {
    Finding { severity: Severity::Error, path: path.to_owned(), line: None, message }
}
