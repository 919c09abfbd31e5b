//! When a consumer that hears nothing is to be made anew, because the broker may have forgotten it.
//!
//! RabbitMQ 3.10 carries the consumers of a quorum queue that is deleted and declared again within the same moment
//! over to the new one, without a word, and then throws their deliveries away: the channel compares message numbers
//! and takes those of the new queue for old ones. From outside all looks well (a consumer, no message ready), so there
//! is nothing to ask for. A fresh channel begins to count anew and gets everything; for one that is idle it costs a
//! few round trips.

use std::time::Duration;

use backon::{BackoffBuilder, ConstantBackoff, ConstantBuilder};
use tokio::time::Instant;

/// While deliveries are held, so many times the limit: closing their channel makes the broker deliver them once more.
const TIMES_WHILE_HOLDING: u32 = 6;

/// How long one connection has heard nothing.
#[derive(Debug)]
pub(super) struct Silence {
    limits: ConstantBackoff,
    ends: Instant,
    times: u32,
}

impl Silence {
    /// `limit` and up to as much again: a fleet's idle workers do not knock at the same time.
    pub(super) fn begin(limit: Duration) -> Self {
        let limits = ConstantBuilder::default().with_delay(limit).with_jitter().without_max_times().build();
        let mut silence = Self { limits, ends: Instant::now(), times: 0 };
        silence.is_broken();
        silence
    }

    /// Something was heard.
    pub(super) fn is_broken(&mut self) {
        self.times = 0;
        self.put_off();
    }

    /// Resolves when nothing was heard for the limit, or for the limit once more. Cancel-safe.
    pub(super) async fn lasts(&self) {
        tokio::time::sleep_until(self.ends).await;
    }

    /// Whether it has lasted for too long, with `held` deliveries in `slots`.
    pub(super) fn is_too_long(&mut self, held: usize, slots: usize) -> bool {
        self.put_off();
        self.times = if held < slots { self.times + 1 } else { 0 };
        self.times > 0 && (held == 0 || self.times >= TIMES_WHILE_HOLDING)
    }

    fn put_off(&mut self) {
        self.ends = Instant::now() + self.limits.next().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_idle_consumer_is_made_anew_soon_a_busy_one_late_and_a_full_one_never() {
        let limit = Duration::from_secs(10);
        let mut silence = Silence::begin(limit);
        let begun = Instant::now();
        silence.lasts().await;
        assert!((limit..=limit * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        assert!(silence.is_too_long(0, 4));

        silence.is_broken();
        assert_eq!((0..6).map(|_| silence.is_too_long(3, 4)).filter(|is| *is).count(), 1);
        assert!((0..20).all(|_| !silence.is_too_long(4, 4)));
        assert!(!silence.is_too_long(3, 4), "a full consumer has no silence behind it");
    }
}
