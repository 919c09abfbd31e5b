//! Whether the target is still what the plan was made for. Binary COPY carries no types: eight bytes of a bigint would
//! become a double without a word. So each load compares columns and index under the lock that it holds anyway.
//!
//! It knows the plan and the catalogue, never a row.

use thaw_model::target_type::TextKind;
use thaw_model::{TablePlan, TargetType};
use thaw_postgres::PgError;
use thaw_postgres::catalog::{ColumnType, Privileges, TargetTable, describe_table};
use tokio_postgres::GenericClient;

use super::{LoadError, Way};

/// Compares the target with the plan, and returns what it is; for a transaction that holds a lock on it already.
pub(super) async fn check(client: &impl GenericClient, plan: &TablePlan) -> Result<TargetTable, LoadError> {
    let found = describe_table(client, &plan.target.schema, &plan.target.table).await?;
    match (first_change(plan, found.as_ref()), found) {
        (None, Some(found)) => Ok(found),
        (change, _) => Err(LoadError::TargetChanged { change: change.unwrap_or_default(), cause: None }),
    }
}

/// What the server has refused, in the words of what has changed, where that can be told. Asked outside the
/// transaction that failed.
pub(super) async fn explain(
    client: &impl GenericClient,
    (plan, way): (&TablePlan, Way),
    error: LoadError,
) -> LoadError {
    let LoadError::Postgres(cause @ PgError::Server(server)) = &error else { return error };
    // Syntax error or access rule violation: a missing relation, column, right, or a type that does not fit.
    if !server.sqlstate.starts_with("42") {
        return error;
    }
    let Ok(found) = describe_table(client, &plan.target.schema, &plan.target.table).await else {
        return error;
    };
    let change =
        first_change(plan, found.as_ref()).or_else(|| missing_right(way, found.as_ref()?.privileges));
    match change {
        Some(change) => LoadError::TargetChanged { change, cause: Some(cause.clone()) },
        None => error,
    }
}

fn first_change(plan: &TablePlan, found: Option<&TargetTable>) -> Option<String> {
    let Some(found) = found else { return Some("the table is gone".to_owned()) };
    for planned in &plan.columns {
        let name = &planned.target;
        let Some(column) = found.columns.iter().find(|column| column.name == *name) else {
            return Some(format!("column \"{name}\" is gone"));
        };
        match &column.column_type {
            ColumnType::Loadable(found) if still_takes(&planned.target_type, found) => {}
            ColumnType::Loadable(TargetType::Enum { .. })
                if matches!(planned.target_type, TargetType::Enum { .. }) =>
            {
                return Some(format!("column \"{name}\" has lost labels of its enum"));
            }
            ColumnType::Loadable(_) | ColumnType::Unsupported(_) => {
                let (is, was) = (&column.type_text, &planned.target_type);
                return Some(format!("column \"{name}\" is {is} and was {was}"));
            }
        }
    }
    let arbiter = plan.load.arbiter.as_ref()?;
    let is_there = found.unique_indexes.iter().any(|index| {
        index.is_arbiter_for(&arbiter.columns) && index.nulls_not_distinct == arbiter.nulls_not_distinct
    });
    (!is_there).then(|| format!("unique index \"{}\" is gone or of other columns", arbiter.index))
}

/// The bytes of the one are bytes of the other, and no value is cut: the same type, or a wider one of its kind.
fn still_takes(planned: &TargetType, found: &TargetType) -> bool {
    if planned == found {
        return true;
    }
    match (planned, found) {
        (
            TargetType::Text { kind: TextKind::Varchar, max_chars: Some(planned) },
            TargetType::Text { kind: TextKind::Varchar, max_chars },
        ) => max_chars.is_none_or(|found| found >= *planned),
        (
            TargetType::Text { kind: TextKind::Varchar | TextKind::Text, .. },
            TargetType::Text { kind: TextKind::Varchar | TextKind::Text, max_chars: None },
        ) => true,
        (TargetType::Numeric { .. }, TargetType::Numeric { modifier: None }) => true,
        (TargetType::Numeric { modifier: Some(planned) }, TargetType::Numeric { modifier: Some(found) }) => {
            let whole = |precision: u16, scale: i16| i32::from(precision) - i32::from(scale);
            found.scale >= planned.scale
                && whole(found.precision, found.scale) >= whole(planned.precision, planned.scale)
        }
        (TargetType::Time { precision: planned }, TargetType::Time { precision: found })
        | (TargetType::Timestamp { precision: planned }, TargetType::Timestamp { precision: found })
        | (TargetType::Timestamptz { precision: planned }, TargetType::Timestamptz { precision: found }) => {
            found >= planned
        }
        (TargetType::Enum { labels: planned }, TargetType::Enum { labels: found }) => {
            planned.iter().all(|label| found.contains(label))
        }
        (TargetType::Array { element: planned }, TargetType::Array { element: found }) => {
            still_takes(planned, found)
        }
        _ => false,
    }
}

/// The first right that the load needs and this role has not.
fn missing_right(way: Way, rights: Privileges) -> Option<String> {
    let is_staged = way != Way::Copy;
    [
        ("USAGE on the schema", rights.usage),
        ("INSERT on the table", rights.insert),
        ("SELECT on the table", rights.select || !is_staged),
        ("UPDATE on the table", rights.update || way != Way::Upsert),
        ("TEMPORARY on the database", rights.create_temp || !is_staged),
    ]
    .into_iter()
    .find_map(|(right, granted)| (!granted).then(|| format!("{right} is not granted any more")))
}

#[cfg(test)]
mod tests {
    use thaw_model::target_type::NumericModifier;

    use super::*;

    #[test]
    fn a_wider_type_of_the_same_kind_still_takes_what_was_planned() {
        let varchar = |max_chars| TargetType::Text { kind: TextKind::Varchar, max_chars };
        let text = TargetType::Text { kind: TextKind::Text, max_chars: None };
        let numeric =
            |precision, scale| TargetType::Numeric { modifier: Some(NumericModifier { precision, scale }) };
        let labels =
            |labels: &[&str]| TargetType::Enum { labels: labels.iter().map(ToString::to_string).collect() };
        for (planned, found, expected) in [
            (varchar(Some(10)), varchar(Some(20)), true),
            (varchar(Some(10)), text.clone(), true),
            (varchar(Some(10)), varchar(Some(9)), false),
            (text, varchar(Some(9)), false),
            (numeric(12, 2), numeric(14, 2), true),
            (numeric(12, 2), numeric(14, 4), true),
            (numeric(12, 2), numeric(12, 4), false),
            (numeric(12, 2), numeric(12, 1), false),
            (numeric(12, 2), TargetType::Numeric { modifier: None }, true),
            (labels(&["a"]), labels(&["b", "a"]), true),
            (labels(&["a", "b"]), labels(&["b"]), false),
            (TargetType::Timestamp { precision: 3 }, TargetType::Timestamp { precision: 6 }, true),
            (TargetType::Timestamp { precision: 6 }, TargetType::Timestamptz { precision: 6 }, false),
            (TargetType::Int8, TargetType::Float8, false),
            (TargetType::Int8, TargetType::Int4, false),
        ] {
            assert_eq!(still_takes(&planned, &found), expected, "{planned} then {found}");
        }
    }
}
