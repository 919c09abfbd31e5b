//! The greatest value that may move a bound: the snapshot's moment. What lies above it (9999-12-31, infinity, a clock
//! that runs ahead) says nothing about what was read, and is read again every run (field note 26).

use thaw_model::SourceType;
use thaw_model::ident::sf_literal;

/// The moment as an expression of the watermark's type at the source, which is evaluated in the plan's time zone.
/// `None`: values of the type know no time.
#[must_use]
pub fn at_source(source_type: SourceType, moment: &str) -> Option<String> {
    let instant = format!("{}::timestamp_ltz(9)", sf_literal(moment));
    match source_type {
        SourceType::Date => Some(format!("{instant}::date")),
        SourceType::TimestampNtz { .. } => Some(format!("{instant}::timestamp_ntz(9)")),
        SourceType::TimestampLtz { .. } | SourceType::TimestampTz { .. } => Some(instant),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_is_an_instant_brought_to_the_wall_clock_by_the_session() {
        let at = |source_type| at_source(source_type, "2026-01-02 03:04:05.000 +0000");
        let instant = "'2026-01-02 03:04:05.000 +0000'::timestamp_ltz(9)";
        assert_eq!(at(SourceType::TimestampLtz { scale: 3 }).as_deref(), Some(instant));
        assert_eq!(at(SourceType::Date), Some(format!("{instant}::date")));
        assert_eq!(at(SourceType::TimestampNtz { scale: 9 }), Some(format!("{instant}::timestamp_ntz(9)")));
        assert_eq!(at(SourceType::Number { precision: 38, scale: 0 }), None);
        assert_eq!(at(SourceType::Text { length: None }), None);
    }
}
