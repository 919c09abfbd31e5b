//! SQL about the target that the catalogue does not already have.

use thaw_config::Lookback;
use thaw_model::ident::pg_literal;
use thaw_model::{PgIdent, TargetType};

use super::WatermarkQuestion;

const HOUR_SECS: u64 = 3600;
const DAY_SECS: u64 = 86_400;

/// The greatest watermark at or below the ceiling, minus the lookback, as text; NULL where there is none.
pub(super) fn greatest_watermark(
    schema: &PgIdent,
    table: &PgIdent,
    question: WatermarkQuestion<'_>,
) -> String {
    let column = question.column.quoted();
    let ceiling = pg_literal(question.ceiling);
    let (filter, greatest) = match question.target_type {
        TargetType::Date => {
            let days = lookback_secs(question, DAY_SECS).div_ceil(DAY_SECS);
            (format!(" where {column} <= ({ceiling}::timestamptz)::date"), format!("max({column}) - {days}"))
        }
        TargetType::Timestamp { .. } => {
            let secs = lookback_secs(question, HOUR_SECS);
            let filter = format!(" where {column} <= {ceiling}::timestamptz at time zone 'UTC'");
            (filter, format!("max({column}) - make_interval(secs => {secs})"))
        }
        TargetType::Timestamptz { .. } => {
            let secs = lookback_secs(question, HOUR_SECS);
            let filter = format!(" where {column} <= {ceiling}::timestamptz");
            (filter, format!("max({column}) - make_interval(secs => {secs})"))
        }
        // Numbers know no time: nothing is late unless the configuration says how much.
        _ => (String::new(), format!("max({column}) - {}", lookback_secs(question, 0))),
    };
    format!("select ({greatest})::text from {}.{}{filter}", schema.quoted(), table.quoted())
}

/// Without keys nothing is read twice by default: rows that are read again could not be recognised, only replaced.
fn lookback_secs(question: WatermarkQuestion<'_>, default: u64) -> u64 {
    match question.lookback {
        Lookback::Exactly(lookback) => lookback.as_secs(),
        Lookback::Default if question.has_keys => default,
        Lookback::Default => 0,
    }
}

pub(super) fn create_unique_index(schema: &PgIdent, table: &PgIdent, keys: &[PgIdent]) -> String {
    let columns: Vec<String> = keys.iter().map(PgIdent::quoted).collect();
    format!("create unique index on {}.{} ({})", schema.quoted(), table.quoted(), columns.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sql(target_type: &TargetType, lookback: Lookback, has_keys: bool) -> String {
        let column = PgIdent::exact("updated at");
        let question = WatermarkQuestion {
            column: &column,
            target_type,
            ceiling: "2026-01-02 03:04:05.000 +0000",
            lookback,
            has_keys,
        };
        greatest_watermark(&PgIdent::exact("s"), &PgIdent::exact("t"), question)
    }

    #[test]
    fn note_24_an_hour_of_late_commits_is_read_again_where_there_are_keys() {
        let timestamp = TargetType::Timestamp { precision: 6 };
        assert!(sql(&timestamp, Lookback::Default, true).contains("make_interval(secs => 3600)"));
        assert!(sql(&timestamp, Lookback::Default, false).contains("make_interval(secs => 0)"));
        assert!(sql(&TargetType::Date, Lookback::Default, true).contains("max(\"updated at\") - 1)"));
        let two_hours = Lookback::Exactly(Duration::from_secs(7200));
        assert!(sql(&timestamp, two_hours, true).contains("make_interval(secs => 7200)"));
        assert!(sql(&TargetType::Int8, Lookback::Default, true).contains("max(\"updated at\") - 0)"));
    }

    #[test]
    fn note_26_values_above_the_snapshot_do_not_move_the_bound() {
        for target_type in [
            TargetType::Date,
            TargetType::Timestamp { precision: 6 },
            TargetType::Timestamptz { precision: 3 },
        ] {
            let sql = sql(&target_type, Lookback::Default, true);
            assert!(sql.contains("<= ") && sql.contains("2026-01-02 03:04:05.000 +0000"), "{sql}");
        }
    }
}
