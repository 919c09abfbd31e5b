//! What must hold between entries: who may share a target. Only enabled entries count.

use thaw_model::{PgIdent, SfIdent};

use crate::config::{Source, TableEntry};
use crate::scope::{Context, Place, Scope};

/// Reports entries that get in each other's way. `global` gives the lines.
pub(crate) fn check(global: &Scope<'_>, sources: &[Source]) {
    let cx = global.cx;
    let entries: Vec<Entry<'_>> = sources
        .iter()
        .filter(|source| source.enabled)
        .flat_map(|source| {
            source.tables.iter().filter(|table| table.enabled).map(move |table| Entry { source, table })
        })
        .collect();
    for (index, later) in entries.iter().enumerate() {
        let line = line_of(global, &later.table.path);
        let place = Place { path: format!("{}.target", later.table.path), line };
        let earlier = entries.iter().take(index).filter(|earlier| earlier.target() == later.target());
        report(cx, &place, later, &earlier.collect::<Vec<_>>());
    }
    let mut names: Vec<&str> = Vec::new();
    for source in sources {
        if names.contains(&source.name.as_str()) {
            let place =
                Place { path: format!("{}.source_name", source.path), line: line_of(global, &source.path) };
            cx.warn(&place, format!("`{}` names two sources; --source takes both", source.name));
        }
        names.push(&source.name);
    }
    if entries.is_empty() && !sources.is_empty() {
        cx.warn(&global.at("sources"), "no table is enabled: nothing will be loaded");
    }
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    source: &'a Source,
    table: &'a TableEntry,
}

impl<'a> Entry<'a> {
    fn target(self) -> (&'a str, &'a PgIdent, &'a PgIdent) {
        (&self.source.target_database, &self.source.target_schema, &self.table.target)
    }

    fn origin(self) -> (&'a SfIdent, &'a SfIdent, &'a SfIdent, Option<&'a str>) {
        let filter = self.table.source_filter.as_deref();
        (&self.source.source_database, &self.source.source_schema, &self.table.source, filter)
    }
}

fn report(cx: &Context<'_>, place: &Place, later: &Entry<'_>, earlier: &[&Entry<'_>]) {
    if let Some(same) = earlier.iter().find(|entry| entry.origin() == later.origin()) {
        let message =
            format!("repeats {}: same source, filter and target; remove one or disable it", same.table.path);
        cx.error(place, message);
        return;
    }
    let Some(first) = earlier.first() else { return };
    let truncating =
        earlier.iter().copied().chain(std::iter::once(later)).find(|entry| entry.table.truncate_onstart);
    if let Some(truncating) = truncating {
        let message = format!(
            "is also the target of {}, and {} truncates it (truncate_onstart); give it a target of its own or load without truncating",
            first.table.path, truncating.table.path
        );
        cx.error(place, message);
    }
}

/// The line of `sources[0]` or `sources[0].tables[3]`.
fn line_of(global: &Scope<'_>, path: &str) -> u32 {
    let lines = global.lines_of_entries();
    lines.iter().find(|(known, _)| known == path).map_or(global.place.line, |(_, line)| *line)
}
