//! Reads what belongs to columns: their names, their mapping, and the pair of watermarks.

use std::collections::BTreeMap;

use thaw_model::{PgIdent, SfIdent};

use crate::scope::Scope;

/// A list of the source's columns, exact; one that stands twice is an error.
pub(crate) fn columns(scope: &Scope<'_>, key: &str) -> Vec<SfIdent> {
    let mut names: Vec<SfIdent> = Vec::new();
    for text in scope.names(key) {
        let name = SfIdent::exact(text.value.as_str());
        if names.contains(&name) {
            scope.cx.error(&text.place, format!("{} stands here twice; remove one", text.shown()));
        } else {
            names.push(name);
        }
    }
    names
}

/// `column_mapping` as written.
pub(crate) fn explicit(scope: &Scope<'_>) -> BTreeMap<SfIdent, PgIdent> {
    let mut mapping: BTreeMap<SfIdent, PgIdent> = BTreeMap::new();
    for (place, source, node) in scope.members_of("column_mapping") {
        let Some(text) = scope.text_at(place, node) else { continue };
        let target = PgIdent::exact(text.value.as_str());
        if source.is_empty() || text.value.is_empty() {
            scope.cx.error(
                &text.place,
                "maps an empty name; give both columns exactly as the databases spell them",
            );
            continue;
        }
        if let Some((other, _)) =
            mapping.iter().find(|(other, known)| **known == target && other.as_str() != source)
        {
            let message =
                format!("{} is the target of `{other}` already; map each target column once", text.shown());
            scope.cx.error(&text.place, message);
        }
        mapping.insert(SfIdent::exact(source), target);
    }
    mapping
}

/// The pair of watermarks; where only one is named, the other is the column it is mapped to or its namesake. A pair
/// of different names becomes part of the mapping.
pub(crate) fn watermarks(
    scope: &Scope<'_>,
    mapping: &mut BTreeMap<SfIdent, PgIdent>,
) -> (Option<SfIdent>, Option<PgIdent>) {
    let source = scope.optional("source_watermark");
    let target = scope.optional("target_watermark");
    let (source, target) = match (source, target) {
        (None, None) => return (None, None),
        (Some(source), None) => {
            let source = SfIdent::exact(source.value);
            let target = mapping.get(&source).cloned().unwrap_or_else(|| PgIdent::exact(source.as_str()));
            return (Some(source), Some(target));
        }
        (None, Some(target)) => {
            let place = target.place.clone();
            let target = PgIdent::exact(target.value);
            let mapped =
                mapping.iter().find(|(_, known)| **known == target).map(|(source, _)| source.clone());
            let source = mapped.unwrap_or_else(|| SfIdent::exact(target.as_str()));
            scope.cx.warn(
                &place,
                "has no source_watermark beside it; the source column of the same name is taken, name it",
            );
            return (Some(source), Some(target));
        }
        (Some(source), Some(target)) => (source, target),
    };
    let from = SfIdent::exact(source.value.as_str());
    let to = PgIdent::exact(target.value.as_str());
    match mapping.get(&from) {
        Some(mapped) if *mapped != to => {
            let message = "contradicts column_mapping, which maps source_watermark to another column; make both the same";
            scope.cx.error(&target.place, message);
        }
        Some(_) => {}
        None => {
            if let Some((other, _)) = mapping.iter().find(|(_, known)| **known == to) {
                let message = format!(
                    "is the target of `{other}` in column_mapping, but of another source_watermark here"
                );
                scope.cx.error(&target.place, message);
            } else if from.as_str() != to.as_str() {
                mapping.insert(from.clone(), to.clone());
            }
        }
    }
    (Some(from), Some(to))
}
