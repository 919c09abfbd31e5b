//! Reads `sources[]` and their tables.

use thaw_model::{PgIdent, SfIdent};

use crate::config::{ChunkingColumn, DECLARED_TYPES, DeclaredType, Source, TableEntry};
use crate::keys::nearest_word;
use crate::mapping::{columns, watermarks};
use crate::scope::{Scope, Text};
use crate::shared::Shared;

/// PostgreSQL cuts longer names off in silence (NAMEDATALEN - 1).
const PG_NAME_BYTES_MAX: usize = 63;
/// docs.snowflake.com/en/sql-reference/identifiers: 255 characters.
const SF_NAME_CHARS_MAX: usize = 255;

/// Reads every source; what could not be read was reported and is left out.
pub(crate) fn sources(global: &Scope<'_>, shared: &Shared) -> Vec<Source> {
    let Some(scopes) = global.list("sources") else { return Vec::new() };
    if scopes.is_empty() {
        global.cx.error(&global.at("sources"), "is empty; name at least one source with its tables");
    }
    scopes.iter().filter_map(|scope| source(scope, shared)).collect()
}

fn source(scope: &Scope<'_>, shared: &Shared) -> Option<Source> {
    let name = scope.required("source_name");
    let enabled = scope.flag("enabled").unwrap_or(true);
    let source_database = scope.required("source_sf_database").and_then(|text| sf_name(scope, &text));
    let source_schema = scope.required("source_sf_schema").and_then(|text| sf_name(scope, &text));
    let target_database = scope.required("target_pg_database");
    let target_schema = scope.required("target_pg_schema").and_then(|text| pg_name(scope, &text));
    let scopes = scope.list("tables");
    if scopes.as_ref().is_some_and(Vec::is_empty) {
        scope.cx.warn(&scope.at("tables"), "is empty: this source loads nothing");
    }
    let tables = scopes?.iter().filter_map(|scope| table(scope, shared)).collect();
    Some(Source {
        path: scope.place.path.clone(),
        name: name?.value.trim().to_owned(),
        enabled,
        source_database: source_database?,
        source_schema: source_schema?,
        target_database: target_database?.value.trim().to_owned(),
        target_schema: target_schema?,
        tables,
    })
}

fn table(scope: &Scope<'_>, outer: &Shared) -> Option<TableEntry> {
    let enabled = scope.flag("enabled").unwrap_or(true);
    let source = scope.required("source").and_then(|text| sf_name(scope, &text));
    let target = scope.required("target").and_then(|text| pg_name(scope, &text));
    let source_filter = scope.optional("source_filter").map(|text| text.value.trim().to_owned());
    let chunking_columns = chunking_columns(scope);
    let uniqueness_columns = columns(scope, "uniqueness_columns");
    let mut column_mapping = crate::mapping::explicit(scope);
    let (source_watermark, target_watermark) = watermarks(scope, &mut column_mapping);
    let truncate_onstart = scope.flag("truncate_onstart").unwrap_or(false);
    let disable_index = scope.flag("disable_index").unwrap_or(false);
    let parallel_threads = scope.integer("parallel_threads").and_then(|threads| u16::try_from(threads).ok());
    let shared = Shared::read(scope, outer);
    Some(TableEntry {
        path: scope.place.path.clone(),
        enabled,
        source: source?,
        target: target?,
        source_filter,
        chunking_columns,
        uniqueness_columns,
        source_watermark,
        target_watermark,
        column_mapping,
        truncate_onstart,
        insert_only: shared.insert_only,
        disable_index,
        parallel_threads,
        batch_size: shared.batch_size,
        batch_size_copy_mode: shared.batch_size_copy_mode.unwrap_or(shared.batch_size),
        strategy: shared.strategy,
        timezone: shared.timezone_or_default(),
        timezone_is_set: shared.timezone.is_some(),
        watermark_lookback: shared.watermark_lookback,
        bad_rows: shared.bad_rows,
        lossy: shared.lossy,
        allow_empty_source: shared.allow_empty_source,
        append: shared.append,
        offset_sub_chunks_max: shared.offset_sub_chunks_max,
    })
}

/// The bare name of a name that may be in double quotes, after the checks that hold for both databases.
fn check_name(scope: &Scope<'_>, text: &Text, is_long: fn(&str) -> bool) -> Option<()> {
    let name = text.value.trim();
    let is_quoted = name.len() >= 2 && name.starts_with('"') && name.ends_with('"');
    let inner = if is_quoted { name.trim_matches('"') } else { name };
    let message = if inner.is_empty() || inner.contains('\0') {
        "is no name"
    } else if !is_quoted && name.contains('"') {
        "has a lone double quote; write an exact name as \"\\\"Name\\\"\""
    } else if !is_quoted && name.contains('.') {
        "holds a dot; database and schema have keys of their own, and an exact name with a dot is written \"\\\"a.b\\\"\""
    } else if is_long(inner) {
        "is longer than the database allows"
    } else {
        return Some(());
    };
    scope.cx.error(&text.place, message);
    None
}

fn sf_name(scope: &Scope<'_>, text: &Text) -> Option<SfIdent> {
    check_name(scope, text, |name| name.chars().count() > SF_NAME_CHARS_MAX)?;
    Some(SfIdent::folded(text.value.trim()))
}

fn pg_name(scope: &Scope<'_>, text: &Text) -> Option<PgIdent> {
    check_name(scope, text, |name| name.len() > PG_NAME_BYTES_MAX)?;
    Some(PgIdent::folded(text.value.trim()))
}

fn chunking_columns(scope: &Scope<'_>) -> Vec<ChunkingColumn> {
    let names = columns(scope, "chunking_columns");
    let types = scope.names("chunking_column_types");
    if types.is_empty() {
        return names.into_iter().map(|name| ChunkingColumn { name, declared_type: None }).collect();
    }
    let place = scope.at("chunking_column_types");
    let declared: Vec<Option<DeclaredType>> = types.iter().map(|text| declared_type(scope, text)).collect();
    if names.is_empty() {
        if scope.node("chunking_columns").is_none() {
            scope.cx.warn(&place, "has no effect without chunking_columns");
        }
        return Vec::new();
    }
    if names.len() != declared.len() {
        let message = format!(
            "names {} types for {} chunking_columns; give one type a column",
            declared.len(),
            names.len()
        );
        scope.cx.error(&place, message);
    }
    let declared = declared.into_iter().chain(std::iter::repeat(None));
    names
        .into_iter()
        .zip(declared)
        .map(|(name, declared_type)| ChunkingColumn { name, declared_type })
        .collect()
}

/// The source's own type wins, so a strange word is only a warning, unless `varchar_numeric` may have been meant.
fn declared_type(scope: &Scope<'_>, text: &Text) -> Option<DeclaredType> {
    let word = text.value.split('(').next().unwrap_or_default().trim();
    if let Some((_, found)) = DECLARED_TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Some(*found);
    }
    if nearest_word(["varchar_numeric"].into_iter(), word).is_some() {
        scope.cx.error(&text.place, "unknown type; did you mean `varchar_numeric`?");
    } else {
        scope.cx.warn(&text.place, "unknown type, ignored: the source's own type decides; remove it");
    }
    None
}
