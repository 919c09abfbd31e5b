//! SQL about the target that the catalogue does not already have.

use thaw_model::{PgIdent, TargetType};

/// `None` for numbers: they know no future.
pub(super) fn not_in_the_future(column: &PgIdent, target_type: &TargetType) -> Option<String> {
    match target_type {
        TargetType::Date | TargetType::Timestamp { .. } | TargetType::Timestamptz { .. } => {
            Some(format!("{} <= now()", column.quoted()))
        }
        _ => None,
    }
}

pub(super) fn create_unique_index(schema: &PgIdent, table: &PgIdent, keys: &[PgIdent]) -> String {
    let columns: Vec<String> = keys.iter().map(PgIdent::quoted).collect();
    format!("create unique index on {}.{} ({})", schema.quoted(), table.quoted(), columns.join(", "))
}
