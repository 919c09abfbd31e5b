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

pub(crate) fn source(names: &[&str]) -> Vec<SourceColumn> {
    let column = |name: &&str| SourceColumn {
        name: SfIdent::exact(*name),
        source_type: Some(SourceType::Text { length: None }),
        type_name: "text".into(),
        is_collated: false,
    };
    names.iter().map(column).collect()
}

pub(crate) fn column(name: &str) -> TargetColumn {
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

pub(crate) fn target(columns: Vec<TargetColumn>) -> TargetTable {
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
            usage: all,
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

#[test]
fn names_beyond_63_bytes_are_compared_as_postgresql_cuts_them() {
    let kept = "c".repeat(63);
    let long = format!("{}_AND_MORE", kept.to_uppercase());
    let mapped = map(&entry(), &source(&[&long]), &target(vec![column(&kept)])).expect("maps");
    assert_eq!(pairs(&mapped), [(long.as_str(), kept.as_str())]);
    let other = format!("{}_AND_OTHER", kept.to_uppercase());
    let text = faults(&entry(), &source(&[&long, &other]), &target(vec![column(&kept)]));
    assert!(text.contains("both have the name") && text.contains("63 bytes"), "{text}");
    // 31 letters of two bytes: the 32nd would be cut in half.
    let umlauts = "ä".repeat(40);
    let mapped = map(&entry(), &source(&[&umlauts]), &target(vec![column(&"ä".repeat(31))])).expect("maps");
    assert_eq!(mapped.columns.len(), 1);
    let mut mapped_by_hand = entry();
    mapped_by_hand.column_mapping.insert(SfIdent::exact("A"), PgIdent::exact(format!("{kept}x")));
    let mapped = map(&mapped_by_hand, &source(&["A"]), &target(vec![column(&kept)])).expect("maps");
    assert_eq!(pairs(&mapped), [("A", kept.as_str())]);
}

#[test]
fn one_source_column_is_never_mapped_to_two_targets() {
    let mut entry = entry();
    entry.column_mapping.insert(SfIdent::exact("ID"), PgIdent::exact("a"));
    entry.column_mapping.insert(SfIdent::exact("id"), PgIdent::exact("b"));
    let text = faults(&entry, &source(&["ID"]), &target(vec![column("a"), column("b")]));
    assert!(text.contains("\"ID\" is mapped to"), "{text}");
}

#[test]
fn two_source_columns_are_never_mapped_to_one_target() {
    let mut entry = entry();
    entry.column_mapping.insert(SfIdent::exact("A"), PgIdent::exact("x"));
    entry.column_mapping.insert(SfIdent::exact("B"), PgIdent::exact("x"));
    let text = faults(&entry, &source(&["A", "B"]), &target(vec![column("x")]));
    assert!(text.contains("are both mapped to \"x\""), "{text}");
}

#[test]
fn a_watermark_that_no_side_has_is_reported_at_its_own_key() {
    let mut entry = entry();
    entry.source_watermark = Some(SfIdent::exact("Updated At"));
    entry.target_watermark = Some(PgIdent::exact("updated_at"));
    entry.column_mapping.insert(SfIdent::exact("Updated At"), PgIdent::exact("updated_at"));
    let text = faults(&entry, &source(&["ID"]), &target(vec![column("id")]));
    assert!(text.contains("tables[0].source_watermark: the source has no column"), "{text}");
    assert!(text.contains("tables[0].target_watermark: the target has no column"), "{text}");
    entry.truncate_onstart = true;
    let mapped = map(&entry, &source(&["ID"]), &target(vec![column("id")])).expect("needs no watermark");
    assert_eq!((mapped.columns.len(), mapped.watermark), (1, None));
}

#[test]
fn quotes_keywords_and_unicode_in_names_are_exact() {
    let names = ["say \"hi\"", "select", "Größe", "a.b", " padded ", "émoji 🦀"];
    let target = target(names.iter().map(|name| column(name)).collect());
    let mapped = map(&entry(), &source(&names), &target).expect("maps");
    assert!(pairs(&mapped).iter().all(|(from, to)| from == to));
    assert_eq!(mapped.columns.len(), names.len());
    assert_eq!(mapped.columns[0].target.quoted(), "\"say \"\"hi\"\"\"");
}

#[test]
fn an_identity_column_that_an_upsert_would_set_is_refused() {
    let mut entry = entry();
    entry.uniqueness_columns = vec![SfIdent::exact("ID")];
    let mut serial = column("serial");
    serial.identity = Identity::Always;
    let columns = vec![column("id"), serial];
    let text = faults(&entry, &source(&["ID", "SERIAL"]), &target(columns.clone()));
    assert!(text.contains("GENERATED ALWAYS AS IDENTITY"), "{text}");
    entry.insert_only = true;
    assert!(map(&entry, &source(&["ID", "SERIAL"]), &target(columns)).is_ok());
}

#[test]
fn a_key_that_is_named_twice_is_refused() {
    let mut entry = entry();
    entry.uniqueness_columns = vec![SfIdent::exact("ID"), SfIdent::exact("id")];
    let text = faults(&entry, &source(&["ID"]), &target(vec![column("id")]));
    assert!(text.contains("stands there already"), "{text}");
}
