//! The mapping's rules, one test each.

use std::collections::BTreeMap;
use std::time::Duration;

use thaw_config::{ChunkingColumn, Lookback, Strategy, TableEntry};
use thaw_model::plan::{BadRowPolicy, OnBadRow};
use thaw_model::target_type::TextKind;
use thaw_model::{PgIdent, SfIdent, SourceType, TargetType};
use thaw_postgres::catalog::{ColumnType, Identity, Privileges, RelationKind, TargetColumn, TargetTable};

use super::{Mapped, map};
use crate::introspect::source::SourceColumn;

pub(crate) fn entry() -> TableEntry {
    TableEntry {
        path: "sources[0].tables[0]".into(),
        enabled: true,
        source: SfIdent::exact("T"),
        target: PgIdent::exact("t"),
        source_filter: None,
        chunking_columns: Vec::new(),
        uniqueness_columns: Vec::new(),
        source_watermark: None,
        target_watermark: None,
        column_mapping: BTreeMap::new(),
        truncate_onstart: false,
        insert_only: false,
        disable_index: false,
        parallel_threads: None,
        batch_size: 10,
        batch_size_copy_mode: 10,
        strategy: Strategy::Auto,
        timezone: "UTC".into(),
        timezone_is_set: false,
        watermark_lookback: Lookback::Exactly(Duration::ZERO),
        bad_rows: BadRowPolicy::default(),
        lossy: Vec::new(),
        allow_empty_source: false,
        append: false,
        offset_sub_chunks_max: 32,
    }
}

fn source(names: &[&str]) -> Vec<SourceColumn> {
    let column = |name: &&str| SourceColumn {
        name: SfIdent::exact(*name),
        source_type: Some(SourceType::Text { length: None }),
        type_name: "text".into(),
        is_collated: false,
    };
    names.iter().map(column).collect()
}

fn column(name: &str) -> TargetColumn {
    TargetColumn {
        name: PgIdent::exact(name),
        column_type: ColumnType::Loadable(TargetType::Text { kind: TextKind::Text, max_chars: None }),
        type_text: "text".into(),
        nullable: true,
        has_default: false,
        generated: false,
        identity: Identity::No,
        collation: None,
        collation_deterministic: true,
        enum_labels: Vec::new(),
    }
}

fn target(columns: Vec<TargetColumn>) -> TargetTable {
    let all = true;
    TargetTable {
        kind: RelationKind::Table,
        columns,
        unique_indexes: Vec::new(),
        foreign_keys: Vec::new(),
        referenced_by: Vec::new(),
        triggers: Vec::new(),
        has_rules: false,
        row_security_active: false,
        privileges: Privileges {
            select: all,
            insert: all,
            update: all,
            delete: all,
            truncate: all,
            owner: all,
            create_temp: all,
        },
        estimated_rows: None,
    }
}

fn pairs(mapped: &Mapped) -> Vec<(&str, &str)> {
    mapped.columns.iter().map(|column| (column.source.as_str(), column.target.as_str())).collect()
}

fn faults(entry: &TableEntry, source: &[SourceColumn], target: &TargetTable) -> String {
    let faults = map(entry, source, target).expect_err("refuses");
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn note_19_columns_the_target_lacks_are_left_out_and_reported() {
    let mapped = map(&entry(), &source(&["ID", "EXTRA"]), &target(vec![column("id")])).expect("maps");
    assert_eq!(pairs(&mapped), [("ID", "id")]);
    assert_eq!(mapped.left_out[0].column, "EXTRA");
}

#[test]
fn names_match_exactly_or_as_each_database_folds_them() {
    let target = target(vec![column("Is Active"), column("id"), column("MIXED")]);
    let mapped = map(&entry(), &source(&["Is Active", "ID", "mixed"]), &target).expect("maps");
    assert_eq!(pairs(&mapped), [("Is Active", "Is Active"), ("ID", "id")]);
    assert_eq!(mapped.left_out.len(), 2, "{:?}", mapped.left_out);
}

#[test]
fn a_mapped_column_wins_over_a_same_named_one() {
    let mut entry = entry();
    entry.column_mapping.insert(SfIdent::exact("NEW"), PgIdent::exact("id"));
    let mapped = map(&entry, &source(&["ID", "NEW"]), &target(vec![column("id")])).expect("maps");
    assert_eq!(pairs(&mapped), [("NEW", "id")]);
}

#[test]
fn differing_watermarks_are_mapped_and_found() {
    let mut entry = entry();
    entry.source_watermark = Some(SfIdent::exact("Updated Timestamp"));
    entry.target_watermark = Some(PgIdent::exact("Updated Datatimestamp"));
    entry.column_mapping.insert(SfIdent::exact("Updated Timestamp"), PgIdent::exact("Updated Datatimestamp"));
    let target = target(vec![column("id"), column("Updated Datatimestamp")]);
    let mapped = map(&entry, &source(&["ID", "Updated Timestamp"]), &target).expect("maps");
    assert_eq!(mapped.watermark.expect("a watermark").target.as_str(), "Updated Datatimestamp");
}

#[test]
fn every_fault_of_a_table_is_reported_at_once() {
    let mut entry = entry();
    entry.uniqueness_columns = vec![SfIdent::exact("NO_KEY")];
    entry.chunking_columns = vec![ChunkingColumn { name: SfIdent::exact("NO_CHUNK"), declared_type: None }];
    entry.source_watermark = Some(SfIdent::exact("NO_MARK"));
    let mut required = column("required");
    required.nullable = false;
    let text = faults(&entry, &source(&["ID"]), &target(vec![column("id"), required]));
    for part in ["NO_KEY", "NO_CHUNK", "NO_MARK", "\"required\" is NOT NULL"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn pairs_without_an_encoding_and_foreign_types_are_refused_by_column() {
    let mut odd = column("odd");
    odd.column_type = ColumnType::Unsupported("interval".into());
    odd.type_text = "interval".into();
    assert!(faults(&entry(), &source(&["ODD"]), &target(vec![odd])).contains("\"odd\""));
    let mut unreadable = source(&["F"]);
    unreadable[0].source_type = None;
    unreadable[0].type_name = "file".into();
    assert!(faults(&entry(), &unreadable, &target(vec![column("f")])).contains("file"));
}

#[test]
fn generated_columns_are_left_out_and_identity_columns_overridden() {
    let mut generated = column("total");
    generated.generated = true;
    let mut identity = column("id");
    identity.identity = Identity::Always;
    identity.nullable = false;
    let mapped = map(&entry(), &source(&["ID", "TOTAL"]), &target(vec![identity, generated])).expect("maps");
    assert_eq!(pairs(&mapped), [("ID", "id")]);
    assert!(mapped.overriding_system_value);
}

#[test]
fn tables_without_a_common_column_are_refused() {
    assert!(faults(&entry(), &source(&["A"]), &target(vec![column("b")])).contains("no column in common"));
}

#[test]
fn xml_cannot_promise_to_set_bad_rows_aside() {
    let mut document = column("doc");
    document.column_type = ColumnType::Loadable(TargetType::Text { kind: TextKind::Xml, max_chars: None });
    let target = target(vec![document]);
    assert!(map(&entry(), &source(&["DOC"]), &target).is_ok());
    let mut entry = entry();
    entry.bad_rows.on_bad_row = OnBadRow::Quarantine;
    let found = faults(&entry, &source(&["DOC"]), &target);
    assert!(found.contains("tables[0].on_bad_row") && found.contains("\"doc\" is xml"), "{found}");
}
