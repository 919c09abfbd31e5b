//! How long to wait before asking again. Pure but for the jitter's random numbers.

use std::time::Duration;

/// A short statement is ready at the first poll.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(5);

/// Delays that grow from 0.25 s to 5 s, with jitter so that a fleet does not poll in step.
#[derive(Debug)]
pub(crate) struct BackOff {
    next: Duration,
}

impl BackOff {
    pub(crate) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next delay: between half and all of the current step.
    pub(crate) fn delay(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 3 / 2).min(LONGEST);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_five_seconds_and_vary() {
        let mut back_off = BackOff::new();
        let first = back_off.delay();
        assert!((FIRST / 2..=FIRST).contains(&first));
        let later: Vec<Duration> = (0..40).map(|_| back_off.delay()).skip(20).collect();
        assert!(later.iter().all(|delay| (LONGEST / 2..=LONGEST).contains(delay)));
        assert!(later.windows(2).any(|pair| pair.first() != pair.last()));
    }
}
