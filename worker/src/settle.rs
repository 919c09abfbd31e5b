//! What a failed attempt is worth: the only retry decision in the fleet.
//!
//! Pure: a disposition, the failures that counted so far and a policy in, a verdict out. It knows no clock, no
//! database and no text of an error.

use std::time::Duration;

use thaw_model::{Disposition, ErrorReport};
use thaw_status::{ClaimedChunk, FleetSettings, Settlement};

/// Waits of 4, 8, 16, 32, 60, 60 ... seconds after the failures that count.
const FIRST_RETRY: Duration = Duration::from_secs(4);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Where the other side asks for patience and names no time.
const SNOOZE: Duration = Duration::from_secs(5);
/// The waits above belong to this lease; a shorter one scales them down with it.
const REFERENCE_LEASE: Duration = Duration::from_secs(60);
/// How far a wait is moved either way, so that chunks that failed together do not come back together.
const JITTER: f64 = 0.2;

/// How long to wait before the next attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    first: Duration,
    last: Duration,
    snooze: Duration,
    /// From 0 to 1; 0.5 leaves a wait as it is.
    jitter: f64,
}

impl RetryPolicy {
    /// The policy under the fleet's settings. `jitter` is a random number from 0 to 1.
    #[must_use]
    pub fn of(settings: &FleetSettings, jitter: f64) -> Self {
        let scale = (settings.lease.as_secs_f64() / REFERENCE_LEASE.as_secs_f64()).clamp(0.001, 1.0);
        Self {
            first: FIRST_RETRY.mul_f64(scale),
            last: LAST_RETRY.mul_f64(scale),
            snooze: SNOOZE.mul_f64(scale),
            jitter: jitter.clamp(0.0, 1.0),
        }
    }

    /// The wait after `failures` earlier failures.
    #[must_use]
    pub fn retry_delay(&self, failures: i16) -> Duration {
        let doublings = u32::try_from(failures).unwrap_or(0).min(16);
        self.jittered(self.first.saturating_mul(1 << doublings).min(self.last))
    }

    /// The wait where nobody has named one, after so many tries that did not count: what is in the way for long (a
    /// person's lock) is met seldom, for each try costs a statement of the source.
    #[must_use]
    pub fn snooze_delay(&self, tries: i32) -> Duration {
        let doublings = u32::try_from(tries).unwrap_or(0).min(16);
        self.jittered(self.snooze.saturating_mul(1 << doublings).min(self.last))
    }

    fn jittered(&self, delay: Duration) -> Duration {
        delay.mul_f64(1.0 - JITTER + 2.0 * JITTER * self.jitter)
    }
}

/// What becomes of the chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Write this back, by fence.
    Settle(Settlement),
    /// Fail the whole table.
    HaltTable(ErrorReport),
    /// What the table's execution reads is gone: it needs a fresh one. Of the error, not of its disposition: the first
    /// chunk that meets it decides for all.
    EndExecution,
    /// Only the row knows: read it once.
    ReadRow,
    /// Somebody else has the chunk: write nothing, read what the row says.
    Abandon,
}

/// The attempts at a chunk before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// Those that counted; the store compares them with the budget.
    pub failures: i16,
    /// Those that did not, and every claim before the table was revived: a fence goes on through that, failures begin
    /// again. So a chunk with a long history is snoozed for long from the first time on.
    pub uncounted: i32,
}

impl Before {
    /// Of a chunk that was claimed under its fence, which counts its claims.
    #[must_use]
    pub fn of(claimed: &ClaimedChunk) -> Self {
        let uncounted = claimed.fence.0.saturating_sub(1).saturating_sub(i32::from(claimed.failures));
        Self { failures: claimed.failures, uncounted }
    }
}

/// Decides.
#[must_use]
pub fn settle(disposition: Disposition, before: Before, policy: &RetryPolicy, error: ErrorReport) -> Verdict {
    match disposition {
        Disposition::Retry => {
            Verdict::Settle(Settlement::Retry { delay: policy.retry_delay(before.failures), error })
        }
        Disposition::Snooze { after } => Verdict::Settle(Settlement::Snooze {
            delay: after.unwrap_or_else(|| policy.snooze_delay(before.uncounted)),
            error,
        }),
        Disposition::Interrupted => Verdict::Settle(Settlement::Interrupted),
        Disposition::Abandon => Verdict::Abandon,
        Disposition::Unknown => Verdict::ReadRow,
        Disposition::Fatal => Verdict::Settle(Settlement::Fatal { error }),
        Disposition::HaltTable => Verdict::HaltTable(error),
        // Due a little later, so that a worker that goes on at once does not spin on it.
        Disposition::HaltWorker => {
            Verdict::Settle(Settlement::Snooze { delay: policy.snooze_delay(0), error })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy::of(&FleetSettings::default(), 0.5)
    }

    fn report() -> ErrorReport {
        ErrorReport { class: "class".into(), text: "text".into() }
    }

    #[test]
    fn every_disposition_has_its_verdict() {
        let verdict = |disposition| settle(disposition, Before::default(), &policy(), report());
        let secs = Duration::from_secs;
        for (disposition, expected) in [
            (Disposition::Retry, Verdict::Settle(Settlement::Retry { delay: secs(4), error: report() })),
            (
                Disposition::Snooze { after: Some(secs(90)) },
                Verdict::Settle(Settlement::Snooze { delay: secs(90), error: report() }),
            ),
            (
                Disposition::Snooze { after: None },
                Verdict::Settle(Settlement::Snooze { delay: secs(5), error: report() }),
            ),
            (Disposition::Interrupted, Verdict::Settle(Settlement::Interrupted)),
            (Disposition::Abandon, Verdict::Abandon),
            (Disposition::Unknown, Verdict::ReadRow),
            (Disposition::Fatal, Verdict::Settle(Settlement::Fatal { error: report() })),
            (Disposition::HaltTable, Verdict::HaltTable(report())),
            (
                Disposition::HaltWorker,
                Verdict::Settle(Settlement::Snooze { delay: secs(5), error: report() }),
            ),
        ] {
            assert_eq!(verdict(disposition), expected, "{disposition}");
        }
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<u64> = (0..7).map(|failures| policy().retry_delay(failures).as_secs()).collect();
        assert_eq!(waits, [4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(policy().retry_delay(i16::MAX), LAST_RETRY);
        assert_eq!(policy().retry_delay(-1), FIRST_RETRY);
        let snoozes: Vec<u64> = (0..6).map(|tries| policy().snooze_delay(tries).as_secs()).collect();
        assert_eq!(snoozes, [5, 10, 20, 40, 60, 60]);
        assert_eq!(policy().snooze_delay(-1), SNOOZE);
    }

    #[test]
    fn waits_shrink_with_the_lease_and_never_grow() {
        let settings = |lease| FleetSettings { lease, ..FleetSettings::default() };
        let quick = RetryPolicy::of(&settings(Duration::from_secs(3)), 0.5);
        assert_eq!(quick.retry_delay(0), Duration::from_millis(200));
        let slow = RetryPolicy::of(&settings(Duration::from_secs(600)), 0.5);
        assert_eq!(slow.retry_delay(0), FIRST_RETRY);
    }

    #[test]
    fn jitter_moves_a_wait_by_a_fifth_at_most() {
        for jitter in [0.0, 0.25, 1.0] {
            let wait = RetryPolicy::of(&FleetSettings::default(), jitter).retry_delay(0);
            assert!(Duration::from_millis(3_199) <= wait && wait <= Duration::from_millis(4_801), "{wait:?}");
        }
    }
}
