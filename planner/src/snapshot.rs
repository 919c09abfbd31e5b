//! The moment every statement of a table reads at, taken from the source's clock.

use std::time::Duration;

use thaw_model::plan::Decision;
use thaw_snowflake::{SnowflakeError, SqlFault};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::introspect::source::{Reach, TimeTravel};

/// How far back the snapshot lies. A commit of one session is not at once visible to another (Snowflake,
/// READ_CONSISTENCY_MODE = SESSION), so the last seconds are left to the next run.
pub const SNAPSHOT_LAG: Duration = Duration::from_secs(5);
/// Beyond a table's creation, so that its first rows are there.
const AFTER_CREATION: i64 = 1;
/// A table of so many rows may well load for longer than a day.
const LONG_LOAD: u64 = 100_000_000;

/// What a table reads, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// `None`: each statement reads the present.
    pub at: Option<String>,
    pub decision: Decision,
}

/// Chooses. A table that is younger than the moment (it was replaced just now) is waited for: at most the lag.
///
/// Returns `None` where `server_time` is no time.
pub async fn choose(history: &TimeTravel, server_time: &str) -> Option<Chosen> {
    let now = millis(server_time)?;
    if history.kind.reach() == Reach::None {
        let reason = format!("{}; chunks may read different moments", history.kind.history());
        return Some(Chosen { at: None, decision: decision("none", reason) });
    }
    let lag = lag_millis();
    let mut at = now.checked_sub(lag)?;
    if let Some(created) = history.created
        && created >= at
        && created <= now
    {
        let late = created - at + AFTER_CREATION;
        tracing::info!(wait_ms = late, "the table was made just now: waiting until it has a history");
        tokio::time::sleep(Duration::from_millis(u64::try_from(late).ok()?)).await;
        at = at.checked_add(late)?;
    }
    let at = text(at)?;
    let reason = format!(
        "every statement of the table reads this moment of the source's clock; {}",
        history.kind.history()
    );
    Some(Chosen { decision: decision(&at, reason), at: Some(at) })
}

/// The decision where a statement `AT` the moment was refused.
#[must_use]
pub fn refused(history: &TimeTravel) -> Decision {
    let reason = match history.kind.reach() {
        Reach::Days(_) => {
            "the source has no history of it at that moment (made since, or its retention was raised just now)".to_owned()
        }
        Reach::Tried | Reach::None => format!("the source refuses to read it as it was ({})", history.kind.history()),
    };
    decision("none", format!("{reason}; chunks may read different moments"))
}

/// Whether a statement failed because of its `AT`. What an object without a known history answers is not documented, so
/// every refusal of the statement itself counts there; without `AT` it then shows its own fault.
#[must_use]
pub fn is_refusal(error: &SnowflakeError, history: &TimeTravel) -> bool {
    match error {
        SnowflakeError::Sql { fault: SqlFault::SnapshotGone, .. } => true,
        SnowflakeError::Sql { fault: SqlFault::Compilation | SqlFault::Other, .. } => {
            history.kind.reach() == Reach::Tried
        }
        _ => false,
    }
}

/// A word about a history that may end before the load does.
#[must_use]
pub fn too_short(history: &TimeTravel, rows: u64) -> Option<Decision> {
    match history.kind.reach() {
        Reach::Days(days) if days <= 1 && rows >= LONG_LOAD => Some(Decision {
            subject: "history".into(),
            choice: "short".into(),
            reason: format!(
                "{}, and {rows} rows may load for longer; when it ends, every chunk loads again: raise \
                 DATA_RETENTION_TIME_IN_DAYS of the table for the time of the load",
                history.kind.history()
            ),
        }),
        Reach::Days(_) | Reach::Tried | Reach::None => None,
    }
}

fn decision(choice: &str, reason: String) -> Decision {
    Decision { subject: "snapshot".into(), choice: choice.into(), reason }
}

/// The text of a snapshot `SNAPSHOT_LAG` before `server_time`, which is a TIMESTAMP_LTZ as the wire spells it (decimal
/// seconds since the epoch). Milliseconds, Time Travel's resolution; always in UTC.
///
/// Returns `None` for what is no such time.
#[must_use]
pub fn before(server_time: &str) -> Option<String> {
    text(millis(server_time)?.checked_sub(lag_millis())?)
}

/// Milliseconds since the epoch of a TIMESTAMP_LTZ as the wire spells it; `None` for what is none.
#[must_use]
pub fn millis(time: &str) -> Option<i64> {
    let (seconds, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    seconds.checked_mul(1000)?.checked_add(millis)
}

fn lag_millis() -> i64 {
    i64::try_from(SNAPSHOT_LAG.as_millis()).unwrap_or(i64::MAX)
}

fn text(millis: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?;
    let format =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3] +0000");
    moment.format(&format).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::introspect::source::ObjectKind;

    const NOW: &str = "1611871777.123456789";
    const NOW_MILLIS: i64 = 1_611_871_777_123;

    fn history(kind: ObjectKind, created: Option<i64>) -> TimeTravel {
        TimeTravel { kind, created }
    }

    #[test]
    fn a_snapshot_lies_five_seconds_back_in_utc_milliseconds() {
        assert_eq!(before(NOW).as_deref(), Some("2021-01-28 22:09:32.123 +0000"));
        assert_eq!(before("1611871777").as_deref(), Some("2021-01-28 22:09:32.000 +0000"));
        assert_eq!(before("now"), None);
    }

    #[tokio::test]
    async fn the_plan_says_which_history_there_is() {
        let chosen = choose(&history(ObjectKind::Table { days: 1 }, Some(0)), NOW).await.expect("a time");
        assert_eq!(chosen.at, before(NOW));
        assert!(chosen.decision.reason.contains("keeps 1 day of history"), "{chosen:?}");
        for kind in [ObjectKind::Table { days: 0 }, ObjectKind::External, ObjectKind::MaterializedView] {
            let chosen = choose(&history(kind, None), NOW).await.expect("a time");
            assert_eq!((chosen.at, chosen.decision.choice.as_str()), (None, "none"), "{kind:?}");
        }
        for kind in [ObjectKind::View, ObjectKind::SecureView, ObjectKind::Shared, ObjectKind::Unlisted] {
            assert!(choose(&history(kind, None), NOW).await.expect("a time").at.is_some(), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_table_that_was_made_just_now_is_read_after_its_creation() {
        // 4.99 s ago: 11 ms are to be waited for.
        let young = history(ObjectKind::Table { days: 1 }, Some(NOW_MILLIS - 4_990));
        let chosen = choose(&young, NOW).await.expect("a time");
        assert_eq!(chosen.at.as_deref(), Some("2021-01-28 22:09:32.134 +0000"));
    }

    #[test]
    fn a_short_history_of_a_large_load_is_said() {
        let day = history(ObjectKind::Table { days: 1 }, None);
        assert!(too_short(&day, LONG_LOAD).is_some());
        assert!(too_short(&day, 1_000_000).is_none());
        assert!(too_short(&history(ObjectKind::Table { days: 7 }, None), LONG_LOAD).is_none());
        assert!(too_short(&history(ObjectKind::View, None), LONG_LOAD).is_none());
    }
}
