//! What is said of a target before any row moves.

use thaw_model::{PgIdent, SfIdent, SourceType, TargetType};
use thaw_postgres::catalog::{ColumnType, RelationKind, TargetTable, UniqueIndex};

use super::{TargetHolds, keys, relation, rows, source as check_source};
use crate::columns::tests::{column, entry, source, target};
use crate::columns::{Mapped, map};

fn index(name: &str, columns: &[&str]) -> UniqueIndex {
    UniqueIndex {
        name: PgIdent::exact(name),
        columns: columns.iter().map(|name| PgIdent::exact(*name)).collect(),
        on_expressions: false,
        partial: false,
        deferrable: false,
        primary: false,
        valid: true,
        nulls_not_distinct: false,
    }
}

fn said(findings: &[thaw_config::Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn about(table: &TargetTable) -> String {
    said(&relation(&entry(), &PgIdent::exact("public"), table, |_, _| false))
}

#[test]
fn every_reason_against_a_target_is_said_at_once() {
    let mut table = target(vec![column("id")]);
    assert_eq!(about(&table), "");
    table.row_security_active = true;
    table.has_rules = true;
    table.privileges.usage = false;
    table.privileges.insert = false;
    table.triggers = vec!["audit".to_owned()];
    let text = about(&table);
    for part in ["row security is active", "rewrite rules", "use (USAGE) the schema", "INSERT into", "audit"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    for kind in [RelationKind::View, RelationKind::MaterializedView, RelationKind::Foreign] {
        table.kind = kind;
        assert!(about(&table).contains(kind.as_str()), "{kind:?}");
    }
    table = target(vec![column("id")]);
    table.kind = RelationKind::Partitioned;
    assert_eq!(about(&table), "");
}

#[test]
fn every_unique_index_that_will_not_do_is_explained() {
    let mut entry = entry();
    entry.uniqueness_columns = vec![SfIdent::exact("A"), SfIdent::exact("B")];
    let mut table = target(vec![column("a"), column("b")]);
    let mapped = map(&entry, &source(&["A", "B"]), &table).expect("maps");
    table.unique_indexes = vec![
        UniqueIndex { partial: true, ..index("part", &["a", "b"]) },
        UniqueIndex { deferrable: true, ..index("late", &["a", "b"]) },
        UniqueIndex { valid: false, ..index("broken", &["a", "b"]) },
        UniqueIndex { on_expressions: true, ..index("lowered", &["a"]) },
        index("narrow", &["a"]),
    ];
    let schema = PgIdent::exact("public");
    let text = keys(&entry, &schema, &table, &mapped).expect("refuses").to_string();
    for part in [
        "uniqueness_columns: uniqueness_columns have no usable unique index",
        "\"public\".\"t\" (\"a\", \"b\")",
        "\"part\" is partial",
        "\"late\" is deferrable",
        "\"broken\" is not valid",
        "\"lowered\" is on expressions",
        "\"narrow\" is on other columns (a)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    table.unique_indexes.push(index("good", &["b", "a"]));
    assert_eq!(keys(&entry, &schema, &table, &mapped), None);
}

fn mixed() -> Mapped {
    let mut instant = column("at");
    instant.column_type = ColumnType::Loadable(TargetType::Timestamptz { precision: 6 });
    let mut wall = source(&["AT"]);
    wall[0].source_type = Some(SourceType::TimestampNtz { scale: 9 });
    map(&entry(), &wall, &target(vec![instant])).expect("maps")
}

#[test]
fn a_mixed_pair_on_a_target_with_rows_waits_for_the_time_zone() {
    let table = target(vec![column("at")]);
    let mut entry = entry();
    entry.append = true;
    let full = rows(&entry, &table, &mixed(), TargetHolds::Rows);
    assert!(said(&full).contains("error") && said(&full).contains("tables[0].timezone"), "{}", said(&full));
    let empty = said(&rows(&entry, &table, &mixed(), TargetHolds::Nothing));
    assert!(empty.contains("warning") && empty.contains("the next run will not guess"), "{empty}");
    entry.timezone_is_set = true;
    assert!(rows(&entry, &table, &mixed(), TargetHolds::Rows).is_empty());
}

#[test]
fn rows_that_would_be_doubled_are_refused_before_the_run() {
    let table = target(vec![column("id")]);
    let mapped = map(&entry(), &source(&["ID"]), &table).expect("maps");
    assert!(said(&rows(&entry(), &table, &mapped, TargetHolds::Rows)).contains("doubled"));
    assert!(rows(&entry(), &table, &mapped, TargetHolds::Nothing).is_empty());
    assert!(rows(&entry(), &table, &mapped, TargetHolds::RowsOfUnfinishedRun).is_empty());
}

#[test]
fn filters_that_answer_differently_each_time_are_warned_of() {
    let mut entry = entry();
    let mut said_of = |filter: &str| {
        entry.source_filter = Some(filter.to_owned());
        said(&check_source(&entry, None, "1710041415.0"))
    };
    assert!(said_of("RANDOM() > 0").contains("uses RANDOM"));
    assert!(said_of("ID IN (SELECT ID FROM U)").contains("not under the snapshot"));
    assert!(said_of("ID = 1) OR (1 = 1").contains("error"));
    assert_eq!(said_of("D < CURRENT_DATE"), "");
}
