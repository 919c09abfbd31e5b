//! Between wall clocks and instants, in the plan's time zone, as PostgreSQL's AT TIME ZONE does it: a wall clock that
//! a zone skips takes the offset from before the gap, one that it shows twice the offset from after the overlap.
//!
//! The rules of a zone come with the program; neighbouring rows mostly share one offset, so the stretch of time in
//! which the last one holds is kept.

use std::cell::Cell;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A zone with the offset that was used last.
#[derive(Debug, Clone)]
pub struct Zone {
    /// `None`: UTC, where wall clock and instant are one number.
    rules: Option<TimeZone>,
    last: Cell<Stretch>,
}

/// Where one offset holds. Nanoseconds since 1970-01-01 00:00, the ends excluded.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    offset: i128,
    /// Instants.
    from: i128,
    to: i128,
    /// Wall clocks that exist once, and in this stretch.
    wall_from: i128,
    wall_to: i128,
}

impl Stretch {
    const NONE: Self = Self { offset: 0, from: 0, to: 0, wall_from: 0, wall_to: 0 };
}

impl Zone {
    /// A zone by its IANA name, without case; `None` where there is no such zone.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let rules = if is_utc(name) { None } else { Some(TimeZone::get(name).ok()?) };
        Some(Self { rules, last: Cell::new(Stretch::NONE) })
    }

    /// Every wall clock is the instant in UTC.
    #[must_use]
    pub fn is_utc(&self) -> bool {
        self.rules.is_none()
    }

    /// The instant (nanoseconds since the epoch) of a wall clock (nanoseconds since its 1970-01-01 00:00); `None`
    /// outside the years -9999 to 9999.
    #[must_use]
    pub fn instant(&self, wall: i128) -> Option<i128> {
        let Some(rules) = &self.rules else { return Some(wall) };
        let last = self.last.get();
        if last.wall_from <= wall && wall < last.wall_to {
            return Some(wall - last.offset);
        }
        let datetime = Offset::UTC.to_datetime(Timestamp::from_nanosecond(wall).ok()?);
        let instant = rules.to_ambiguous_timestamp(datetime).later().ok()?;
        self.last.set(stretch(rules, instant));
        Some(instant.as_nanosecond())
    }

    /// The wall clock of an instant.
    #[must_use]
    pub fn wall(&self, instant: i128) -> Option<i128> {
        let Some(rules) = &self.rules else { return Some(instant) };
        let mut last = self.last.get();
        if instant < last.from || last.to <= instant {
            last = stretch(rules, Timestamp::from_nanosecond(instant).ok()?);
            self.last.set(last);
        }
        Some(instant + last.offset)
    }

    /// Whether a wall clock exists exactly once.
    #[must_use]
    pub fn is_plain(&self, wall: i128) -> bool {
        let Some(rules) = &self.rules else { return true };
        Timestamp::from_nanosecond(wall)
            .is_ok_and(|at| !rules.to_ambiguous_timestamp(Offset::UTC.to_datetime(at)).is_ambiguous())
    }
}

/// The stretch that holds `instant`.
fn stretch(rules: &TimeZone, instant: Timestamp) -> Stretch {
    let nanos = |offset: Offset| i128::from(offset.seconds()) * NANOS_PER_SECOND;
    let offset = nanos(rules.to_offset(instant));
    let next = rules.following(instant).next();
    // The transition at or before the instant; the iterator's own start is excluded.
    let previous = Timestamp::from_nanosecond(instant.as_nanosecond() + 1)
        .ok()
        .and_then(|after| rules.preceding(after).next());
    let from = previous.as_ref().map_or(i128::MIN / 4, |found| found.timestamp().as_nanosecond());
    let to = next.as_ref().map_or(i128::MAX / 4, |found| found.timestamp().as_nanosecond());
    let before = Timestamp::from_nanosecond(from - 1).map_or(offset, |at| nanos(rules.to_offset(at)));
    let after = next.map_or(offset, |found| nanos(found.offset()));
    Stretch { offset, from, to, wall_from: from + before.max(offset), wall_to: to + offset.min(after) }
}

/// The names of the zone that needs no rules.
fn is_utc(timezone: &str) -> bool {
    [
        "UTC",
        "Etc/UTC",
        "Z",
        "GMT",
        "Etc/GMT",
        "Universal",
        "Etc/Universal",
        "Zulu",
        "Etc/Zulu",
        "UCT",
        "Etc/UCT",
    ]
    .iter()
    .any(|name| name.eq_ignore_ascii_case(timezone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(zone: &Zone, wall: i128) -> i128 {
        zone.instant(wall * NANOS_PER_SECOND).expect("in range") / NANOS_PER_SECOND
    }

    #[test]
    fn gaps_take_the_offset_before_and_overlaps_the_one_after() {
        let zone = Zone::named("America/New_York").expect("a zone");
        // 2024-03-10 02:30 does not exist: 07:30 UTC, as EST would have it.
        assert_eq!(seconds(&zone, 1_710_037_800), 1_710_055_800);
        // 2024-11-03 01:30 exists twice: 06:30 UTC, the second time.
        assert_eq!(seconds(&zone, 1_730_597_400), 1_730_615_400);
        assert!(!zone.is_plain(1_710_037_800 * NANOS_PER_SECOND));
        assert!(zone.is_plain(1_720_000_000 * NANOS_PER_SECOND));
    }

    #[test]
    fn unknown_zones_are_none_and_utc_has_many_names() {
        assert!(Zone::named("Europe/Nowhere").is_none());
        assert!(Zone::named("Etc/UTC").is_some_and(|zone| zone.is_utc()));
        assert!(Zone::named("europe/berlin").is_some_and(|zone| !zone.is_utc()));
    }

    proptest::proptest! {
        #[test]
        fn the_kept_stretch_changes_no_answer(
            first in -6_000_000_000_i64..20_000_000_000,
            steps in proptest::collection::vec(-40_000_000_i64..40_000_000, 1..40),
            name in proptest::sample::select(vec!["America/New_York", "Australia/Lord_Howe", "Europe/Dublin",
                "Africa/Casablanca", "Asia/Kolkata", "America/Caracas", "Pacific/Apia"]),
        ) {
            let kept = Zone::named(name).expect("a zone");
            let mut at = i128::from(first);
            for step in steps {
                at += i128::from(step);
                let nanos = at * NANOS_PER_SECOND;
                let fresh = Zone::named(name).expect("a zone");
                proptest::prop_assert_eq!(kept.instant(nanos), fresh.instant(nanos));
                proptest::prop_assert_eq!(kept.wall(nanos), fresh.wall(nanos));
            }
        }
    }
}
