//! The exact text of every kind of statement.

use thaw_model::ident::{PgIdent, SfIdent};
use thaw_model::plan::{
    BadRowPolicy, LoadMode, LoadPlan, OnDuplicate, PlannedColumn, SourcePlan, StartPlan, TargetPlan,
    WatermarkBound,
};
use thaw_model::range::NumericPart;
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
