//! The moment every statement of a table reads at, taken from the source's clock.

use std::time::Duration;

use time::OffsetDateTime;
use time::macros::format_description;

/// How far back the snapshot lies. A commit of one session is not at once visible to another (Snowflake,
/// READ_CONSISTENCY_MODE = SESSION), so the last seconds are left to the next run.
pub const SNAPSHOT_LAG: Duration = Duration::from_secs(5);

/// The text of a snapshot `SNAPSHOT_LAG` before `server_time`, which is a TIMESTAMP_LTZ as the wire spells it (decimal
/// seconds since the epoch). Milliseconds, Time Travel's resolution; always in UTC.
///
/// Returns `None` for what is no such time.
#[must_use]
pub fn before(server_time: &str) -> Option<String> {
    let (seconds, fraction) = server_time.split_once('.').unwrap_or((server_time, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    let millis: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let lag = i64::try_from(SNAPSHOT_LAG.as_millis()).ok()?;
    let at = seconds.checked_mul(1000)?.checked_add(millis)?.checked_sub(lag)?;
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).ok()?;
    let format =
        format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3] +0000");
    moment.format(&format).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_lies_five_seconds_back_in_utc_milliseconds() {
        assert_eq!(before("1611871777.123456789").as_deref(), Some("2021-01-28 22:09:32.123 +0000"));
        assert_eq!(before("1611871777").as_deref(), Some("2021-01-28 22:09:32.000 +0000"));
        assert_eq!(before("now"), None);
    }
}
