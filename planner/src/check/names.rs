//! Names and types of the configuration that the columns of a table do not bear out. Nothing of it stops a run: the types
//! that the source gives win.

use std::collections::BTreeMap;

use thaw_config::{DeclaredType, Finding, TableEntry};
use thaw_model::SourceType;

use super::warning;
use crate::columns::Mapped;

/// Types of chunking columns that are not what the source says.
#[must_use]
pub fn declared(entry: &TableEntry, mapped: &Mapped) -> Vec<Finding> {
    let mut findings = Vec::new();
    for column in &entry.chunking_columns {
        let Some(declared) = column.declared_type else { continue };
        let Some((name, found)) = mapped.chunking.iter().find(|(name, _)| *name == column.name) else {
            continue;
        };
        if !fits(declared, *found) {
            let message = format!(
                "column \"{name}\" is {found} at the source and declared as {}; the source's type counts",
                declared.as_str()
            );
            findings.push(warning(entry, "chunking_column_types", message));
        }
    }
    findings
}

/// A text may hold ids of any form; every integer alias is one type at the source.
const fn fits(declared: DeclaredType, found: SourceType) -> bool {
    match declared {
        DeclaredType::Int | DeclaredType::Bigint | DeclaredType::Integer => {
            matches!(found, SourceType::Number { scale: 0, .. })
        }
        DeclaredType::Number | DeclaredType::Numeric => {
            matches!(found, SourceType::Number { .. } | SourceType::Float | SourceType::DecFloat)
        }
        DeclaredType::Date => matches!(found, SourceType::Date),
        DeclaredType::Timestamp => matches!(
            found,
            SourceType::TimestampNtz { .. }
                | SourceType::TimestampLtz { .. }
                | SourceType::TimestampTz { .. }
        ),
        DeclaredType::TimestampNtz => matches!(found, SourceType::TimestampNtz { .. }),
        DeclaredType::TimestampLtz => matches!(found, SourceType::TimestampLtz { .. }),
        DeclaredType::TimestampTz => matches!(found, SourceType::TimestampTz { .. }),
        DeclaredType::Uuid => matches!(found, SourceType::Uuid | SourceType::Text { .. }),
        DeclaredType::Varchar | DeclaredType::String | DeclaredType::Text | DeclaredType::VarcharNumeric => {
            matches!(found, SourceType::Text { .. })
        }
    }
}

/// Names under `lossy` that no table which lists them loads. They may stand there for all tables at once, so that one
/// table that has the column is enough.
#[must_use]
pub fn lossy(looked_at: &[(&TableEntry, &Mapped)]) -> Vec<Finding> {
    let mut unknown: BTreeMap<&str, &TableEntry> = BTreeMap::new();
    for (entry, _) in looked_at {
        unknown.extend(entry.lossy.iter().map(|name| (name.as_str(), *entry)));
    }
    for (entry, mapped) in looked_at {
        for column in &mapped.columns {
            for name in [column.source.as_str(), column.target.as_str()] {
                if entry.lossy.iter().any(|listed| listed == name) {
                    unknown.remove(name);
                }
            }
        }
    }
    let finding = |(name, entry): (&str, &TableEntry)| {
        warning(
            entry,
            "lossy",
            format!("no column \"{name}\" is loaded; names are exact, as source or target spells them"),
        )
    };
    unknown.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use thaw_config::ChunkingColumn;
    use thaw_model::SfIdent;

    use super::*;
    use crate::columns::map;
    use crate::columns::tests::{column, entry, source, target};

    #[test]
    fn a_declared_type_that_the_source_contradicts_is_said() {
        let mut entry = entry();
        let declare = |declared_type| vec![ChunkingColumn { name: SfIdent::exact("ID"), declared_type }];
        let table = target(vec![column("id")]);
        for (declared_type, findings) in [
            (None, 0),
            (Some(DeclaredType::String), 0),
            (Some(DeclaredType::Uuid), 0),
            (Some(DeclaredType::Bigint), 1),
            (Some(DeclaredType::Date), 1),
        ] {
            entry.chunking_columns = declare(declared_type);
            let mapped = map(&entry, &source(&["ID"]), &table).expect("maps");
            let said = declared(&entry, &mapped);
            assert_eq!(said.len(), findings, "{declared_type:?}: {said:?}");
        }
    }

    #[test]
    fn a_lossy_column_that_no_table_has_is_said_once() {
        let mut entry = entry();
        entry.lossy = vec!["ID".to_owned(), "AMONUT".to_owned()];
        let mapped = map(&entry, &source(&["ID"]), &target(vec![column("id")])).expect("maps");
        let said = lossy(&[(&entry, &mapped), (&entry, &mapped)]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].message.contains("AMONUT"), "{said:?}");
    }
}
