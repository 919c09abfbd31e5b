//! How long to wait before asking again. Pure but for the jitter's random numbers.

use std::time::Duration;

/// The first wait for a statement's end. A short statement is ready by then, and a chunk of a second must not wait for a
/// quarter of one.
const FIRST_POLL: Duration = Duration::from_millis(10);
/// The first wait after a failed request; polls come to it by doubling, and both go on more slowly from here.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Delays that grow to 5 s, with jitter so that a fleet does not ask in step.
#[derive(Debug)]
pub(crate) struct BackOff {
    next: Duration,
}

impl BackOff {
    /// For asking whether a statement has ended: from 10 ms, so that it is known within twice the time it took.
    pub(crate) const fn polling() -> Self {
        Self { next: FIRST_POLL }
    }

    /// For trying a failed request again: from 0.25 s.
    pub(crate) const fn retrying() -> Self {
        Self { next: FIRST_RETRY }
    }

    /// The next delay: between half and all of the current step.
    pub(crate) fn delay(&mut self) -> Duration {
        let step = self.next;
        self.next = if step < FIRST_RETRY { step * 2 } else { (step * 3 / 2).min(LONGEST) };
        step.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_five_seconds_and_vary() {
        for (mut back_off, least) in [(BackOff::polling(), FIRST_POLL), (BackOff::retrying(), FIRST_RETRY)] {
            let first = back_off.delay();
            assert!((least / 2..=least).contains(&first));
            let later: Vec<Duration> = (0..40).map(|_| back_off.delay()).skip(20).collect();
            assert!(later.iter().all(|delay| (LONGEST / 2..=LONGEST).contains(delay)));
            assert!(later.windows(2).any(|pair| pair.first() != pair.last()));
        }
    }

    #[test]
    fn a_statement_of_a_second_is_asked_about_ten_times_at_most() {
        let mut back_off = BackOff::polling();
        // Half of each step: the most polls that jitter can make.
        let waits = std::iter::from_fn(|| {
            let step = back_off.next;
            back_off.delay();
            Some(step / 2)
        });
        let asked = waits
            .scan(Duration::ZERO, |sum, wait| {
                *sum += wait;
                Some(*sum)
            })
            .take_while(|at| *at < Duration::from_secs(1));
        assert!(asked.count() <= 10);
    }
}
