//! SQL about the target that the catalogue does not already have.

use thaw_model::ident::pg_literal;
use thaw_model::{PgIdent, TargetType};

use super::WatermarkQuestion;
use crate::watermark::Kind;

/// Whether any row is the entry's own.
pub(super) fn has_rows(schema: &PgIdent, table: &PgIdent, filter: &str) -> String {
    format!("select exists (select from {}.{} where ({filter}))", schema.quoted(), table.quoted())
}

/// The greatest watermark at or below the ceiling, in the form in which the source's wire spells such a value (days,
/// decimal seconds since the epoch, the number, the text); NULL where there is none.
pub(super) fn greatest_watermark(
    schema: &PgIdent,
    table: &PgIdent,
    filter: Option<&str>,
    question: WatermarkQuestion<'_>,
) -> String {
    let column = question.column.quoted();
    let ceiling = pg_literal(question.ceiling);
    let local = format!("{ceiling}::timestamptz at time zone {}", pg_literal(question.timezone));
    let greatest = format!("max({column})");
    let finite = |value: String| format!("case when isfinite({greatest}) then ({value})::text end");
    let (below, value) = match question.target_type {
        TargetType::Date => {
            (Some(format!("{column} <= ({local})::date")), finite(format!("{greatest} - date '1970-01-01'")))
        }
        TargetType::Timestamp { .. } => {
            let value = seconds(&greatest, question, Kind::WallClock);
            (Some(format!("{column} <= {local}")), finite(value))
        }
        TargetType::Timestamptz { .. } => {
            let value = seconds(&greatest, question, Kind::Instant);
            (Some(format!("{column} <= {ceiling}::timestamptz")), finite(value))
        }
        // Numbers and texts know no time.
        TargetType::Text { .. } => (None, format!("max({column} collate \"C\")::text")),
        _ => (None, format!("{greatest}::text")),
    };
    let own = filter.map(|filter| format!("({filter})"));
    let conditions: Vec<String> = own.into_iter().chain(below).collect();
    let conditions =
        if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(" and ")) };
    format!("select {value} from {}.{}{conditions}", schema.quoted(), table.quoted())
}

/// Seconds since the epoch of a timestamp of kind `own`, as the source counts them.
fn seconds(greatest: &str, question: WatermarkQuestion<'_>, own: Kind) -> String {
    if question.kind == own {
        return format!("extract(epoch from {greatest})");
    }
    let zone = pg_literal(question.timezone);
    // Where a clock is set back, the greatest value there is not the greatest one here: stay below the hours that may be
    // there twice.
    let margin = if question.timezone == "UTC" { "" } else { " - interval '3 hours'" };
    format!("extract(epoch from ({greatest} at time zone {zone}){margin})")
}

pub(super) fn create_unique_index(schema: &PgIdent, table: &PgIdent, keys: &[PgIdent]) -> String {
    let columns: Vec<String> = keys.iter().map(PgIdent::quoted).collect();
    format!("create unique index on {}.{} ({})", schema.quoted(), table.quoted(), columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(target_type: &TargetType, filter: Option<&str>) -> String {
        let column = PgIdent::exact("updated at");
        let question = WatermarkQuestion {
            column: &column,
            kind: match target_type {
                TargetType::Timestamptz { .. } => Kind::Instant,
                TargetType::Date => Kind::Date,
                TargetType::Timestamp { .. } => Kind::WallClock,
                _ => Kind::Number,
            },
            target_type,
            ceiling: "2026-01-02 03:04:05.000 +0000",
            timezone: "Asia/Tokyo",
        };
        greatest_watermark(&PgIdent::exact("s"), &PgIdent::exact("t"), filter, question)
    }

    #[test]
    fn note_26_values_above_the_snapshot_do_not_move_the_bound() {
        for (target_type, is_local) in [
            (TargetType::Date, true),
            (TargetType::Timestamp { precision: 6 }, true),
            (TargetType::Timestamptz { precision: 3 }, false),
        ] {
            let sql = sql(&target_type, None);
            assert!(sql.contains("<= ") && sql.contains("2026-01-02 03:04:05.000 +0000"), "{sql}");
            assert_eq!(sql.contains("at time zone 'Asia/Tokyo'"), is_local, "{sql}");
        }
        assert!(!sql(&TargetType::Int8, None).contains("where"));
    }

    #[test]
    fn a_value_of_the_other_kind_is_converted_and_stays_below_a_clock_that_is_set_back() {
        let column = PgIdent::exact("c");
        let question = |kind, timezone| WatermarkQuestion {
            column: &column,
            kind,
            target_type: &TargetType::Timestamptz { precision: 6 },
            ceiling: "2026-01-02 03:04:05.000 +0000",
            timezone,
        };
        let sql = |question| greatest_watermark(&PgIdent::exact("s"), &PgIdent::exact("t"), None, question);
        let converted = sql(question(Kind::WallClock, "Asia/Tokyo"));
        assert!(
            converted.contains("(max(\"c\") at time zone 'Asia/Tokyo') - interval '3 hours'"),
            "{converted}"
        );
        assert!(!sql(question(Kind::WallClock, "UTC")).contains("interval"));
        assert!(!sql(question(Kind::Instant, "Asia/Tokyo")).contains("Asia/Tokyo"));
    }

    #[test]
    fn only_the_entrys_own_rows_are_asked_for() {
        assert!(sql(&TargetType::Int8, Some("a = 1 or b")).ends_with("where (a = 1 or b)"));
        let dates = sql(&TargetType::Date, Some("a = 1 or b"));
        assert!(dates.contains("where (a = 1 or b) and \"updated at\" <= "), "{dates}");
    }
}
