//! The closed list, form by form, and what is refused.

use thaw_config::TableEntry;
use thaw_model::plan::{NulInText, OnBadRow, PlannedColumn};
use thaw_model::target_type::TextKind;
use thaw_model::{PgIdent, SfIdent, SourceType, TargetType};

use crate::columns::Mapped;
use crate::columns::tests::entry;
use crate::filter::translate;

fn planned(source: &str, source_type: SourceType, target: &str, target_type: TargetType) -> PlannedColumn {
    PlannedColumn {
        source: SfIdent::exact(source),
        source_type,
        target: PgIdent::exact(target),
        target_type,
        nullable: true,
        lossy: false,
    }
}

const fn text(kind: TextKind) -> TargetType {
    TargetType::Text { kind, max_chars: None }
}

fn mapped() -> Mapped {
    use SourceType as S;
    use TargetType as T;
    let number = S::Number { precision: 38, scale: 0 };
    let any_text = S::Text { length: None };
    Mapped {
        columns: vec![
            planned("ID", number, "id", T::Int8),
            planned("Is Active", S::Boolean, "is \"active\"", T::Bool),
            planned("Source System", any_text, "source_system", text(TextKind::Text)),
            planned(
                "STATE",
                any_text,
                "state",
                TargetType::Text { kind: TextKind::Varchar, max_chars: Some(3) },
            ),
            planned("CODE", any_text, "code", text(TextKind::Char)),
            planned("LOOSE", any_text, "loose", text(TextKind::Text)),
            planned("D", S::Date, "d", T::Date),
            planned("MICROS", S::TimestampNtz { scale: 6 }, "micros", T::Timestamp { precision: 6 }),
            planned("NANOS", S::TimestampNtz { scale: 9 }, "nanos", T::Timestamp { precision: 6 }),
            planned("LTZ", S::TimestampLtz { scale: 6 }, "ltz", T::Timestamptz { precision: 6 }),
            planned("TZ", S::TimestampTz { scale: 6 }, "tz", T::Timestamptz { precision: 6 }),
            planned("say \"hi\"", number, "hi", T::Int4),
            planned("F", S::Float, "f", T::Float8),
            planned("V", S::Variant, "v", T::Jsonb),
        ],
        left_out: Vec::new(),
        keys: Vec::new(),
        watermark: None,
        chunking: Vec::new(),
        overriding_system_value: false,
        loosely_equal: vec![PgIdent::exact("loose")],
    }
}

fn translated(filter: &str) -> String {
    translate(filter, &entry(), &mapped()).expect(filter).to_string()
}

fn refused_for(filter: &str, entry: &TableEntry) -> String {
    translate(filter, entry, &mapped()).expect_err(filter).to_string()
}

fn refused(filter: &str) -> String {
    refused_for(filter, &entry())
}

#[test]
fn note_22_quoted_mixed_case_columns_become_the_targets_columns() {
    assert_eq!(
        translated(r#""Is Active" = TRUE AND "Source System" = 'h''h' -- only these"#),
        r#"(("is ""active""" = true) and ("source_system" = 'h''h'))"#
    );
    assert_eq!(translated("id = 1"), r#"("id" = 1)"#);
    assert_eq!(translated("t.id = -1"), r#"("id" = -1)"#);
    assert_eq!(translated(r#""say ""hi""" = 1"#), r#"("hi" = 1)"#);
    assert!(refused("\"id\" = 1").contains("\"id\" is not loaded"));
    assert!(refused("other.id = 1").contains("another table"));
}

#[test]
fn note_15_parentheses_and_operators_survive_the_rewriting() {
    assert_eq!(
        translated("(id = 1 OR id = 2) AND NOT (\"Is Active\" OR id IS NULL)"),
        r#"((("id" = 1) or ("id" = 2)) and (not ("is ""active""" or ("id" is null))))"#
    );
    assert_eq!(translated("1 = 1 AND id NOT IN (1, NULL)"), r#"((1 = 1) and (not ("id" in (1, null))))"#);
    assert_eq!(translated("id NOT BETWEEN 1 AND 2"), r#"(not ("id" >= 1 and "id" <= 2))"#);
    assert_eq!(translated("5 < id"), r#"("id" > 5)"#);
}

#[test]
fn a_date_of_a_timestamp_becomes_a_half_open_range() {
    assert_eq!(
        translated("micros::DATE = '2024-02-29'"),
        "((\"micros\" >= '2024-02-29 00:00:00.000000'::timestamp and \
         \"micros\" < '2024-03-01 00:00:00.000000'::timestamp))"
    );
    assert_eq!(
        translated("CAST(nanos AS DATE) > DATE '2024-01-10'"),
        "(\"nanos\" >= '2024-01-11 00:00:00.000000'::timestamp)"
    );
    assert_eq!(
        translated("ltz::DATE BETWEEN '2024-01-10' AND '2024-01-11'"),
        "(\"ltz\" >= '2024-01-10 00:00:00.000000+00'::timestamptz and \
         \"ltz\" < '2024-01-12 00:00:00.000000+00'::timestamptz)"
    );
    assert_eq!(translated("d::DATE = '2024-01-10'"), "(\"d\" = '2024-01-10'::date)");
    assert!(refused("tz::DATE = '2024-01-10'").contains("own zone"));
    assert!(refused("micros::DATE = '2024-02-30'").contains("ISO 8601"));
    assert!(refused("micros::DATE = '9999-12-31'").contains("9999"));
}

#[test]
fn a_floored_timestamp_is_compared_only_where_flooring_changes_nothing() {
    let midnight = "'2024-01-10 00:00:00.000000'::timestamp";
    assert_eq!(translated("nanos >= '2024-01-10'"), format!("(\"nanos\" >= {midnight})"));
    assert_eq!(translated("'2024-01-10' > nanos"), format!("(\"nanos\" < {midnight})"));
    assert!(refused("nanos > '2024-01-10'").contains("only >= and <"));
    assert!(refused("nanos = '2024-01-10'").contains("only >= and <"));
    assert!(refused("nanos IN ('2024-01-10')").contains("only >= and <"));
    assert!(refused("nanos >= '2024-01-10 00:00:00.0000001'").contains("more digits"));
    assert_eq!(translated("micros > '2024-01-10T00:00:00'"), format!("(\"micros\" > {midnight})"));
}

#[test]
fn an_instant_is_compared_in_the_zone_it_names() {
    assert_eq!(
        translated("tz < '2024-01-10 01:30 +0130'"),
        "(\"tz\" < '2024-01-10 00:00:00.000000+00'::timestamptz)"
    );
    assert_eq!(
        translated("ltz = '2024-01-10'::TIMESTAMP_LTZ"),
        "(\"ltz\" = '2024-01-10 00:00:00.000000+00'::timestamptz)"
    );
    assert!(refused("micros < '2024-01-10 01:30 +0130'").contains("offset"));
    let elsewhere = TableEntry { timezone: "Europe/Berlin".into(), ..entry() };
    assert!(refused_for("ltz >= '2024-01-10'", &elsewhere).contains("zone"));
    assert!(refused_for("ltz::DATE = '2024-01-10'", &elsewhere).contains("zone"));
    assert!(translate("ltz >= '2024-01-10 00:00 +0000'", &elsewhere, &mapped()).is_ok());
    assert!(translate("micros::DATE = '2024-01-10'", &elsewhere, &mapped()).is_ok());
}

#[test]
fn texts_are_ordered_by_bytes_and_compared_only_where_equal_means_equal() {
    assert_eq!(translated("\"Source System\" >= 'b'"), "(\"source_system\" collate \"C\" >= 'b')");
    assert_eq!(translated("state = 'NY'"), "(\"state\" = 'NY')");
    assert!(refused("state = 'NYC'").contains("cuts blanks"));
    assert!(refused("code = 'a'").contains("trailing blanks"));
    assert!(refused("loose = 'a'").contains("different texts for equal, or"));
    assert!(refused(r"\u0022Source System\u0022 = 'a'").contains("grammar"));
    assert!(refused(r#""Source System" = 'a\n'"#).contains("backslash"));
    let mut stripped = entry();
    stripped.bad_rows.nul_in_text = NulInText::Strip;
    assert!(refused_for("\"Source System\" = 'a'", &stripped).contains("nul_in_text"));
    let mut nulled = entry();
    nulled.bad_rows.on_bad_row = OnBadRow::Null;
    assert!(refused_for("id IS NULL", &nulled).contains("on_bad_row"));
}

#[test]
fn what_is_not_on_the_list_is_named_without_its_literals() {
    for (filter, reason) in [
        ("\"Source System\" LIKE 'secret%'", "LIKE"),
        ("UPPER(\"Source System\") = 'secret'", "function UPPER"),
        ("id IN (SELECT 1)", "a subquery"),
        ("EXISTS (SELECT 1)", "a subquery"),
        ("CASE WHEN id = 1 THEN TRUE END", "CASE"),
        ("id + 1 = 2", "operator +"),
        ("id = 1e3", "float"),
        ("f = 1", "floating point"),
        ("v = 1", "another"),
        ("v IS NULL", "JSON"),
        ("id = '1'", "literal of another type"),
        ("id", "no boolean"),
        ("id = ?", "kind"),
        ("gone = 'secret'", "\"GONE\" is not loaded"),
        ("id IS DISTINCT FROM 1", "a form"),
    ] {
        let what = refused(filter);
        assert!(what.contains(reason) && !what.contains("secret"), "{filter}: {what}");
    }
}
