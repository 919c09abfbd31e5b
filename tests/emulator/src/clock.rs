//! The emulator's two clocks: the one results age by and the one tokens are judged by.
//!
//! Both start as the wall clock and can be moved forward through the admin endpoint. They are two because a test
//! that lets a result expire (24 hours) must not make every token of an honest client look a day old.
//! Knows nothing of statements or tokens.

use std::sync::atomic::{AtomicI64, Ordering};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// How far each clock has been moved ahead of the wall clock, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    results_ahead_ms: AtomicI64,
    tokens_ahead_ms: AtomicI64,
}

/// `POST /clock`: seconds to add to each clock; absent means leave alone.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Advance {
    #[serde(default)]
    advance_seconds: i64,
    #[serde(default)]
    advance_token_seconds: i64,
}

/// `GET /clock`: both clocks as milliseconds since 1970 and how far they are ahead of the wall clock.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    now_ms: i64,
    ahead_ms: i64,
    token_now_ms: i64,
    token_ahead_ms: i64,
}

impl Clock {
    /// The time results are created and expire by, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> i64 {
        wall_ms().saturating_add(self.results_ahead_ms.load(Ordering::Relaxed))
    }

    /// The time tokens are judged by, in seconds since 1970.
    pub(crate) fn token_now_seconds(&self) -> i64 {
        wall_ms().saturating_add(self.tokens_ahead_ms.load(Ordering::Relaxed)).div_euclid(1000)
    }

    /// Moves the clocks; a negative advance moves them back.
    pub(crate) fn advance(&self, by: &Advance) {
        self.results_ahead_ms.fetch_add(by.advance_seconds.saturating_mul(1000), Ordering::Relaxed);
        self.tokens_ahead_ms.fetch_add(by.advance_token_seconds.saturating_mul(1000), Ordering::Relaxed);
    }

    /// What both clocks show.
    pub(crate) fn read(&self) -> Reading {
        Reading {
            now_ms: self.now_ms(),
            ahead_ms: self.results_ahead_ms.load(Ordering::Relaxed),
            token_now_ms: self.token_now_seconds().saturating_mul(1000),
            token_ahead_ms: self.tokens_ahead_ms.load(Ordering::Relaxed),
        }
    }
}

/// Milliseconds since 1970 by the wall clock.
pub(crate) fn wall_ms() -> i64 {
    let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
    i64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(i64::MAX)
}
