//! SQL about the target that the catalogue does not already have.

use thaw_model::ident::pg_literal;
use thaw_model::{PgIdent, TargetType};

use super::WatermarkQuestion;

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
            (Some(format!("{column} <= {local}")), finite(format!("extract(epoch from {greatest})")))
        }
        TargetType::Timestamptz { .. } => (
            Some(format!("{column} <= {ceiling}::timestamptz")),
            finite(format!("extract(epoch from {greatest})")),
        ),
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
    fn only_the_entrys_own_rows_are_asked_for() {
        assert!(sql(&TargetType::Int8, Some("a = 1 or b")).ends_with("where (a = 1 or b)"));
        let dates = sql(&TargetType::Date, Some("a = 1 or b"));
        assert!(dates.contains("where (a = 1 or b) and \"updated at\" <= "), "{dates}");
    }
}
