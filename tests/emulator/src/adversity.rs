//! The unkindness a client must survive, decided per execution by a seed.
//!
//! Everything here is allowed by the documents and happens on real accounts, if rarely: other partition cuts each
//! time, an empty partition 0, rows in another order, a 202 for a synchronous submission, JSON spelled differently.
//! Real faults (errors, cut connections) are never spontaneous: they are asked for, see `faults`.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How unkind the server is, and the seed its decisions come from.
#[derive(Debug)]
pub(crate) struct Adversity {
    seed: u64,
    calm: bool,
    shuffle: bool,
    executions: AtomicU64,
}

/// The decisions for one execution of one statement.
#[derive(Debug)]
pub(crate) struct Mood {
    /// Seed of the row order; `None` leaves the order to PostgreSQL.
    pub(crate) order_seed: Option<u64>,
    /// The first partition holds no row.
    pub(crate) empty_first_partition: bool,
    /// The first partition holds at most this many rows, however small the result is.
    pub(crate) first_rows_max: Option<u64>,
    /// A synchronous submission is answered 202 although it would be done in time.
    pub(crate) answer_sync_with_202: bool,
    /// The first response is compressed when the client says it accepts that.
    pub(crate) gzip_first_response: bool,
    /// How the JSON of the rows is spelled.
    pub(crate) spelling: Spelling,
    /// Decides where partitions are cut.
    pub(crate) cuts: Cuts,
}

/// Spellings of the same JSON; each is valid and a careful reader does not notice.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spelling {
    /// Between rows: `,` or `,\n`.
    pub(crate) newline_between_rows: bool,
    /// Between cells: `,` or `, `.
    pub(crate) space_between_cells: bool,
    /// Characters above ASCII as `\uXXXX`, surrogate pairs included.
    pub(crate) escape_above_ascii: bool,
}

/// Where the next partition ends: exactly at the limit, or anywhere from half of it on.
#[derive(Debug)]
pub(crate) enum Cuts {
    /// At the limit.
    Even,
    /// Between half of the limit and the limit.
    Uneven(Box<StdRng>),
}

impl Adversity {
    /// `calm` turns everything off; `shuffle` alone decides about row order.
    pub(crate) fn new(seed: u64, calm: bool, shuffle: bool) -> Self {
        Self { seed, calm, shuffle: shuffle && !calm, executions: AtomicU64::new(0) }
    }

    /// The decisions for the next execution. The same seed and the same sequence of submissions decide alike.
    pub(crate) fn next_mood(&self) -> Mood {
        let execution = self.executions.fetch_add(1, Ordering::Relaxed);
        let mut rng = StdRng::seed_from_u64(self.seed ^ execution.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let order_seed = self.shuffle.then(|| rng.random());
        if self.calm {
            return Mood {
                order_seed,
                empty_first_partition: false,
                first_rows_max: None,
                answer_sync_with_202: false,
                gzip_first_response: false,
                spelling: Spelling::default(),
                cuts: Cuts::Even,
            };
        }
        Mood {
            order_seed,
            empty_first_partition: rng.random_ratio(1, 8),
            first_rows_max: rng.random_ratio(1, 6).then(|| rng.random_range(1..=8)),
            answer_sync_with_202: rng.random_ratio(1, 8),
            gzip_first_response: rng.random_ratio(1, 4),
            spelling: Spelling {
                newline_between_rows: rng.random(),
                space_between_cells: rng.random_ratio(1, 6),
                escape_above_ascii: rng.random_ratio(1, 4),
            },
            cuts: Cuts::Uneven(Box::new(rng)),
        }
    }
}

impl Cuts {
    /// A limit at or below `most`, and at least 1.
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        match self {
            Self::Even => most.max(1),
            Self::Uneven(rng) => rng.random_range((most / 2).max(1)..=most.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_decides_alike_and_another_does_not() {
        let orders = |seed| {
            let adversity = Adversity::new(seed, false, true);
            (0..20).map(|_| adversity.next_mood().order_seed).collect::<Vec<_>>()
        };
        assert_eq!(orders(1), orders(1));
        assert_ne!(orders(1), orders(2));
    }

    #[test]
    fn a_calm_server_does_nothing_of_its_own() {
        let adversity = Adversity::new(1, true, true);
        for _ in 0..50 {
            let mut mood = adversity.next_mood();
            assert!(mood.order_seed.is_none() && !mood.empty_first_partition && !mood.answer_sync_with_202);
            assert_eq!(mood.cuts.below(100), 100);
        }
    }
}
