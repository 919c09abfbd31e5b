//! How far below the greatest value seen reading begins: late commits are the commonest loss in the field (field
//! note 24).

use std::time::Duration;

use thaw_config::Lookback;

use super::value::{Kind, WatermarkValue};

const HOUR: Duration = Duration::from_secs(3600);
const DAY_SECS: u64 = 86_400;

/// A distance between two values of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step(u128);

impl Step {
    /// What the configuration says, else an hour for timestamps, a day for dates and nothing for numbers. Without keys
    /// nothing is read twice unless the configuration says so: rows that are read again could not be recognised, only
    /// replaced. For numbers the seconds are the number; text has no distances.
    #[must_use]
    pub fn of(kind: Kind, lookback: Lookback, has_keys: bool) -> Self {
        let duration = match (lookback, kind) {
            (Lookback::Exactly(duration), _) => duration,
            (Lookback::Default, _) if !has_keys => Duration::ZERO,
            (Lookback::Default, Kind::WallClock | Kind::Instant) => HOUR,
            (Lookback::Default, Kind::Date) => Duration::from_secs(DAY_SECS),
            (Lookback::Default, Kind::Number | Kind::Text) => Duration::ZERO,
        };
        Self(match kind {
            Kind::Date => u128::from(duration.as_secs().div_ceil(DAY_SECS)),
            Kind::WallClock | Kind::Instant => duration.as_nanos(),
            Kind::Number => u128::from(duration.as_secs()),
            Kind::Text => 0,
        })
    }

    /// The value so far below; it stops at the end of the type.
    #[must_use]
    pub fn below(self, value: &WatermarkValue) -> WatermarkValue {
        let wide = i128::try_from(self.0).unwrap_or(i128::MAX);
        match value {
            WatermarkValue::Date(days) => {
                WatermarkValue::Date(days.saturating_sub(i64::try_from(self.0).unwrap_or(i64::MAX)))
            }
            WatermarkValue::WallClock(ns) => WatermarkValue::WallClock(ns.saturating_sub(wide)),
            WatermarkValue::Instant(ns) => WatermarkValue::Instant(ns.saturating_sub(wide)),
            WatermarkValue::Number(number) => WatermarkValue::Number(number.saturating_sub(wide)),
            WatermarkValue::Text(text) => WatermarkValue::Text(text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn note_24_an_hour_of_late_commits_is_read_again_where_there_are_keys() {
        let step = |kind, has_keys| Step::of(kind, Lookback::Default, has_keys);
        assert_eq!(step(Kind::WallClock, true), Step(3_600_000_000_000));
        assert_eq!(step(Kind::Date, true), Step(1));
        assert_eq!(step(Kind::Number, true), Step(0));
        for kind in [Kind::Date, Kind::WallClock, Kind::Instant, Kind::Number, Kind::Text] {
            assert_eq!(step(kind, false), Step(0));
        }
        let ninety_minutes = Lookback::Exactly(Duration::from_secs(5400));
        assert_eq!(Step::of(Kind::Instant, ninety_minutes, false), Step(5_400_000_000_000));
        assert_eq!(Step::of(Kind::Date, ninety_minutes, true), Step(1));
        assert_eq!(Step::of(Kind::Number, ninety_minutes, true), Step(5400));
    }

    #[test]
    fn a_lookback_stops_at_the_end_of_the_type() {
        assert_eq!(Step(u128::MAX).below(&WatermarkValue::Date(0)), WatermarkValue::Date(-i64::MAX));
        assert_eq!(Step(u128::MAX).below(&WatermarkValue::Number(-2)), WatermarkValue::Number(i128::MIN));
        assert_eq!(Step(5).below(&WatermarkValue::Instant(3)), WatermarkValue::Instant(-2));
    }
}
