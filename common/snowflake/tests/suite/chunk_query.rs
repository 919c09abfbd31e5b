//! The exact text of every kind of statement.

use thaw_model::ident::{PgIdent, SfIdent};
use thaw_model::plan::{
    BadRowPolicy, ChunkingColumn, ChunkingPlan, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan,
    StartPlan, TargetPlan, WatermarkBound,
};
use thaw_model::range::{DatePart, NumericPart, Page, TextValue, ValuePart};
use thaw_model::{ChunkRange, Classify as _, Disposition, SourceType, TablePlan, TargetType};
use thaw_snowflake::chunk_query::source_clause;
use thaw_snowflake::{ChunkQueryError, chunk_query};

const INTEGER: SourceType = SourceType::Number { precision: 38, scale: 0 };
const EVERYTHING: ChunkRange = ChunkRange::SingleChunk {};

fn column(name: &str) -> PlannedColumn {
    PlannedColumn {
        source: SfIdent::exact(name),
        source_type: INTEGER,
        target: PgIdent::exact(name.to_lowercase()),
        target_type: TargetType::Int8,
        nullable: true,
        lossy: false,
    }
}

fn plan() -> TablePlan {
    TablePlan {
        source: SourcePlan {
            database: SfIdent::exact("DB"),
            schema: SfIdent::exact("PUBLIC"),
            table: SfIdent::exact("T"),
            timezone: "UTC".into(),
            snapshot: None,
            filter: None,
            watermark: None,
        },
        target: TargetPlan {
            database: "db".into(),
            schema: PgIdent::exact("public"),
            table: PgIdent::exact("t"),
        },
        columns: vec![column("ID"), column("Source \"System\"")],
        chunking: None,
        one_scan: None,
        load: LoadPlan {
            mode: LoadMode::Copy,
            copy_first: true,
            on_duplicate: OnDuplicate::Fatal,
            arbiter: None,
            watermark: None,
            overriding_system_value: false,
        },
        start: StartPlan::default(),
        bad_rows: BadRowPolicy::default(),
        decisions: Vec::new(),
        left_out: Vec::new(),
    }
}

fn between(low: Option<&str>, high: Option<&str>) -> ChunkRange {
    let part = NumericPart::Between { low: low.map(Into::into), high: high.map(Into::into) };
    ChunkRange::NumericRange { column: SfIdent::exact("ID"), part }
}

fn where_of(range: &ChunkRange) -> String {
    let sql = chunk_query(&plan(), range).unwrap();
    let (_, predicate) = sql.split_once("\nwhere ").unwrap();
    predicate.to_owned()
}

#[test]
fn a_plain_table_is_selected_by_column_names() {
    assert_eq!(
        chunk_query(&plan(), &EVERYTHING).unwrap(),
        "select \"ID\", \"Source \"\"System\"\"\"\nfrom \"DB\".\"PUBLIC\".\"T\""
    );
}

#[test]
fn snapshot_filter_watermark_and_range_come_together() {
    let mut plan = plan();
    plan.source.snapshot = Some("2026-11-23 09:00:00.123 +0000".into());
    plan.source.filter = Some("\"Is Active\" = TRUE OR 1=1 -- all of them".into());
    plan.source.watermark = Some(WatermarkBound {
        column: SfIdent::exact("UPDATED_AT"),
        source_type: SourceType::TimestampNtz { scale: 9 },
        bound: "2024-01-10 12:00:00.123456789".into(),
    });
    let from_where = "from \"DB\".\"PUBLIC\".\"T\" at(timestamp => '2026-11-23 09:00:00.123 +0000'::timestamp_tz)\n\
         where (\n\"Is Active\" = TRUE OR 1=1 -- all of them\n)\n  \
         and (\"UPDATED_AT\" >= '2024-01-10 12:00:00.123456789'::timestamp_ntz(9) or \"UPDATED_AT\" is null)";
    assert_eq!(source_clause(&plan.source).unwrap(), from_where);
    assert_eq!(
        chunk_query(&plan, &between(Some("1"), Some("50001"))).unwrap(),
        format!(
            "select \"ID\", \"Source \"\"System\"\"\"\n{from_where}\n  and \"ID\" >= 1 and \"ID\" < 50001"
        )
    );
}

#[test]
fn ranges_are_half_open_and_open_ends_stay_open() {
    assert_eq!(where_of(&between(Some("-5"), Some("12.50"))), "\"ID\" >= -5 and \"ID\" < 12.50");
    assert_eq!(where_of(&between(Some("7"), None)), "\"ID\" >= 7");
    assert_eq!(where_of(&between(None, Some("7"))), "\"ID\" < 7");
    assert_eq!(where_of(&between(None, None)), "\"ID\" is not null");
    let nulls = ChunkRange::NumericRange { column: SfIdent::exact("A\"B"), part: NumericPart::Nulls {} };
    assert_eq!(where_of(&nulls), "\"A\"\"B\" is null");
}

#[test]
fn a_bound_that_is_no_number_is_refused_and_not_shown() {
    for bound in ["", "-", "1 or 1=1", "1e5", "1.", ".5", "'x'", "--1", "NaN", "１"] {
        let error = chunk_query(&plan(), &between(Some(bound), None)).unwrap_err();
        assert_eq!(error, ChunkQueryError::BoundNotDecimal, "{bound}");
        assert_eq!(error.disposition(), Disposition::Fatal);
    }
}

#[test]
fn a_watermark_is_a_literal_of_its_type() {
    let literal = |source_type, bound: &str| {
        let mut plan = plan();
        plan.source.watermark =
            Some(WatermarkBound { column: SfIdent::exact("W"), source_type, bound: bound.into() });
        source_clause(&plan.source).map(|sql| {
            let (_, literal) = sql.split_once("(\"W\" >= ").unwrap();
            literal.strip_suffix(" or \"W\" is null)").unwrap().to_owned()
        })
    };
    let ltz = SourceType::TimestampLtz { scale: 9 };
    let tz = SourceType::TimestampTz { scale: 3 };
    for (source_type, bound, expected) in [
        (INTEGER, "42", "42"),
        (SourceType::Date, "2024-01-10", "'2024-01-10'::date"),
        (
            SourceType::TimestampNtz { scale: 0 },
            "2024-01-10 12:00:00",
            "'2024-01-10 12:00:00'::timestamp_ntz(9)",
        ),
        (ltz, "2024-01-10 12:00:00.5", "'2024-01-10 12:00:00.5 +0000'::timestamp_ltz(9)"),
        (ltz, "2024-01-10 12:00:00 +0130", "'2024-01-10 12:00:00 +0130'::timestamp_ltz(9)"),
        (tz, "2024-01-10 12:00:00 -08:00", "'2024-01-10 12:00:00 -08:00'::timestamp_tz(9)"),
        (tz, "2024-01-10", "'2024-01-10 00:00:00 +0000'::timestamp_tz(9)"),
        (SourceType::Text { length: None }, "it's \\ x", "'it''s \\\\ x'"),
    ] {
        assert_eq!(literal(source_type, bound).as_deref(), Ok(expected));
    }
    assert_eq!(literal(INTEGER, "1 or true"), Err(ChunkQueryError::WatermarkBound));
    assert_eq!(literal(SourceType::Date, "x' or true"), Err(ChunkQueryError::WatermarkBound));
    assert_eq!(literal(SourceType::Variant, "1"), Err(ChunkQueryError::WatermarkType));
}

#[test]
fn a_plan_without_columns_is_refused() {
    let mut plan = plan();
    plan.columns.clear();
    assert_eq!(chunk_query(&plan, &EVERYTHING), Err(ChunkQueryError::NoColumns));
}

/// The predicate of a range whose plan cuts by a column of this type.
fn along(source_type: SourceType, as_number: bool, range: &ChunkRange) -> Result<String, ChunkQueryError> {
    let mut plan = plan();
    let column = ChunkingColumn { name: SfIdent::exact("C"), source_type, as_number };
    plan.chunking = Some(ChunkingPlan {
        column: Some(column),
        order_by: vec![SfIdent::exact("C"), SfIdent::exact("ID"), SfIdent::exact("Source \"System\"")],
        collated: Vec::new(),
    });
    let sql = chunk_query(&plan, range)?;
    Ok(sql.split_once("\nwhere ").unwrap().1.to_owned())
}

fn days(low: Option<&str>, high: Option<&str>) -> ChunkRange {
    let part = DatePart::Between { low: low.map(Into::into), high: high.map(Into::into) };
    ChunkRange::DateRange { part }
}

#[test]
fn days_are_half_open_on_the_bare_column_of_every_type() {
    let day = days(Some("2024-01-10"), Some("2024-01-11"));
    let bounds = |suffix: &str| {
        format!("\"C\" >= '2024-01-10 00:00:00'::{suffix}(9) and \"C\" < '2024-01-11 00:00:00'::{suffix}(9)")
    };
    for (source_type, expected) in [
        (SourceType::Date, "\"C\" >= '2024-01-10'::date and \"C\" < '2024-01-11'::date".to_owned()),
        (SourceType::TimestampNtz { scale: 9 }, bounds("timestamp_ntz")),
        (SourceType::TimestampLtz { scale: 0 }, bounds("timestamp_ltz")),
        (SourceType::TimestampTz { scale: 3 }, bounds("timestamp_tz")),
    ] {
        assert_eq!(along(source_type, false, &day), Ok(expected));
    }
    let date = |range: &ChunkRange| along(SourceType::Date, false, range);
    assert_eq!(date(&days(None, Some("2024-01-11"))).unwrap(), "\"C\" < '2024-01-11'::date");
    assert_eq!(date(&days(Some("9999-12-31"), None)).unwrap(), "\"C\" >= '9999-12-31'::date");
    assert_eq!(date(&ChunkRange::DateRange { part: DatePart::Nulls {} }).unwrap(), "\"C\" is null");
    assert_eq!(date(&days(Some("2024-01-10' or true"), None)), Err(ChunkQueryError::BoundNotDay));
    assert_eq!(along(INTEGER, false, &day), Err(ChunkQueryError::ChunkingType));
    assert_eq!(chunk_query(&plan(), &day), Err(ChunkQueryError::NoChunkingColumn));
}

#[test]
fn a_page_of_a_day_is_ordered_and_the_ends_of_the_calendar_are_open() {
    let page = Page { offset: 50_000, limit: 50_000, sub_chunk_index: 2, total_sub_chunks: 28 };
    let of = |day: &str| {
        let range = ChunkRange::DateRangeOffset { date_value: day.into(), page };
        along(SourceType::Date, false, &range)
    };
    let order = "\norder by \"C\", \"ID\", \"Source \"\"System\"\"\"\nlimit 50000 offset 50000";
    for (day, expected) in [
        ("2024-01-10", "\"C\" >= '2024-01-10'::date and \"C\" < '2024-01-11'::date"),
        ("0001-01-01", "\"C\" < '0001-01-02'::date"),
        ("9999-12-31", "\"C\" >= '9999-12-31'::date"),
    ] {
        assert_eq!(of(day).unwrap(), format!("{expected}{order}"));
    }
    assert_eq!(of("2024-02-30"), Err(ChunkQueryError::BoundNotDay));
    assert_eq!(chunk_query(&plan(), &ChunkRange::OffsetBased { page }), Err(ChunkQueryError::NoOrder));
}

#[test]
fn what_has_no_order_of_its_own_is_ordered_by_its_text() {
    let types = [
        SourceType::Variant,
        SourceType::Vector,
        SourceType::Geography,
        SourceType::TimestampTz { scale: 9 },
        SourceType::Float,
    ];
    let mut plan = plan();
    plan.columns = ["A", "B", "C", "D", "E"].map(column).to_vec();
    for (column, source_type) in plan.columns.iter_mut().zip(types) {
        column.source_type = source_type;
    }
    let order_by = plan.columns.iter().map(|column| column.source.clone()).collect();
    plan.chunking = Some(ChunkingPlan { column: None, order_by, collated: vec![SfIdent::exact("E")] });
    let page = Page { offset: 0, limit: 10, sub_chunk_index: 1, total_sub_chunks: 1 };
    let sql = chunk_query(&plan, &ChunkRange::OffsetBased { page }).unwrap();
    let order = "\norder by to_json(\"A\"), to_json(\"B\"::array), st_asewkt(\"C\"), \"D\", \
                 \"D\"::timestamp_ntz(9), \"E\", hex_encode(\"E\")\nlimit 10 offset 0";
    assert!(sql.ends_with(order), "{sql}");
}

#[test]
fn values_are_literals_of_their_type() {
    let values = |values: &[&str]| ChunkRange::GroupedValues {
        part: ValuePart::In { values: values.iter().map(|value| TextValue::from(*value)).collect() },
    };
    let text = SourceType::Text { length: None };
    let stretch = ValuePart::Between { low: Some("a".into()), high: Some("b'".into()) };
    for (source_type, range, expected) in [
        (text, values(&["it's", "a\\b", "x\0y", ""]), r#""C" in ('it''s', 'a\\b', 'x\u0000y', '')"#),
        (SourceType::Boolean, values(&["true"]), r#""C"::varchar in ('true')"#),
        (INTEGER, values(&["1", "-2.5"]), r#""C" in (1, -2.5)"#),
        (text, ChunkRange::GroupedValues { part: stretch }, r#""C" >= 'a' and "C" < 'b'''"#),
        (text, ChunkRange::GroupedValues { part: ValuePart::Nulls {} }, r#""C" is null"#),
    ] {
        assert_eq!(along(source_type, false, &range).as_deref(), Ok(expected));
    }
    assert_eq!(along(INTEGER, false, &values(&["1 or true"])), Err(ChunkQueryError::ValueType));
    assert_eq!(along(text, false, &values(&[])), Err(ChunkQueryError::ValueType));
    assert_eq!(along(SourceType::Variant, false, &values(&["1"])), Err(ChunkQueryError::ChunkingType));
}

#[test]
fn numbers_kept_as_text_are_compared_as_numbers() {
    let text = SourceType::Text { length: None };
    let range = |part| ChunkRange::NumericRange { column: SfIdent::exact("C"), part };
    let between = range(NumericPart::Between { low: Some("9".into()), high: Some("10".into()) });
    assert_eq!(
        along(text, true, &between).unwrap(),
        "try_to_number(\"C\", 38, 0) >= 9 and try_to_number(\"C\", 38, 0) < 10"
    );
    assert_eq!(
        along(text, true, &range(NumericPart::Unparsed {})).unwrap(),
        "\"C\" is not null and try_to_number(\"C\", 38, 0) is null"
    );
    assert_eq!(along(text, true, &range(NumericPart::Nulls {})).unwrap(), "\"C\" is null");
    let unparsed = along(text, false, &range(NumericPart::Unparsed {}));
    assert_eq!(unparsed, Err(ChunkQueryError::ChunkingType));
}
