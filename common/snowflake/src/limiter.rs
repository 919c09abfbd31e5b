//! How many requests may be in flight at once: bounded, and adapting to what the account can bear.
//!
//! Snowflake publishes no limits; it answers 429. So the limit is found as TCP finds its own: halved when the server asks
//! for patience, raised by one per round of requests that went well. One limiter a client, shared by its clones.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// What a limiter does just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimit {
    /// Requests that may be in flight.
    pub limit: u32,
    /// Requests that are; a body that is being read counts.
    pub in_flight: u32,
    /// Answers so far that asked for patience: 429, and 503 with `Retry-After`.
    pub throttled: u64,
}

/// The limit of one client.
#[derive(Debug)]
pub(crate) struct Limiter {
    state: Mutex<State>,
    changed: Notify,
    most: u32,
    longest_pause: Duration,
}

#[derive(Debug)]
struct State {
    /// A fraction is progress towards the next whole number.
    limit: f64,
    in_flight: u32,
    throttled: u64,
    /// Answers to requests sent before this say nothing of the limit since.
    halved: Option<Instant>,
    paused_until: Option<Instant>,
}

/// Leave for one request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limiter>);

impl Limiter {
    /// Begins with `most` requests. Nobody waits longer than `longest_pause` for a `Retry-After` that another request
    /// was given.
    pub(crate) fn new(most: u32, longest_pause: Duration) -> Arc<Self> {
        let most = most.max(1);
        let state =
            State { limit: f64::from(most), in_flight: 0, throttled: 0, halved: None, paused_until: None };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new(), most, longest_pause })
    }

    /// Waits for leave. Cancel-safe.
    pub(crate) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let pause = {
                let mut state = self.lock();
                let now = Instant::now();
                let pause = state.paused_until.filter(|until| *until > now);
                if pause.is_none() && state.in_flight < state.whole() {
                    state.in_flight += 1;
                    return Permit(Arc::clone(self));
                }
                pause
            };
            match pause {
                Some(until) => sleep_until(until).await,
                None => changed.await,
            }
        }
    }

    /// An answer came that asks for nothing.
    pub(crate) fn went_well(&self) {
        let raised = {
            let mut state = self.lock();
            let before = state.whole();
            state.limit = (state.limit + 1.0 / state.limit).min(f64::from(self.most));
            state.whole() > before
        };
        if raised {
            self.changed.notify_waiters();
        }
    }

    /// A request sent at `sent` was told to wait. Of a whole round of such answers the first one counts.
    pub(crate) fn throttled(&self, sent: Instant, after: Option<Duration>) {
        let mut state = self.lock();
        let now = Instant::now();
        state.throttled += 1;
        if state.halved.is_none_or(|halved| sent > halved) {
            // What was not in use has not been shown to be bearable.
            state.limit = (state.limit.min(f64::from(state.in_flight)) / 2.0).max(1.0);
            state.halved = Some(now);
        }
        if let Some(after) = after {
            let until = now + after.min(self.longest_pause);
            state.paused_until = Some(state.paused_until.map_or(until, |earlier| earlier.max(until)));
        }
    }

    pub(crate) fn look(&self) -> RequestLimit {
        let state = self.lock();
        RequestLimit { limit: state.whole(), in_flight: state.in_flight, throttled: state.throttled }
    }

    /// Numbers; a panic elsewhere cannot have left them half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a u32")]
    const fn whole(&self) -> u32 {
        self.limit as u32
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.0.lock();
            state.in_flight = state.in_flight.saturating_sub(1);
        }
        self.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn taken(limiter: &Arc<Limiter>) -> Vec<Permit> {
        let mut permits = Vec::new();
        while let Ok(permit) = tokio::time::timeout(Duration::from_millis(1), limiter.acquire()).await {
            permits.push(permit);
        }
        permits
    }

    #[tokio::test]
    async fn a_round_of_refusals_halves_the_limit_once_and_success_raises_it_by_one_a_round() {
        let limiter = Limiter::new(16, Duration::from_secs(30));
        let sent = Instant::now();
        let permits = taken(&limiter).await;
        assert_eq!(permits.len(), 16);
        for _ in 0..16 {
            limiter.throttled(sent, None);
        }
        assert_eq!(limiter.look(), RequestLimit { limit: 8, in_flight: 16, throttled: 16 });
        drop(permits);
        assert_eq!(taken(&limiter).await.len(), 8);
        for _ in 0..9 {
            limiter.went_well();
        }
        assert_eq!(taken(&limiter).await.len(), 9);
        for _ in 0..1000 {
            limiter.went_well();
        }
        assert_eq!(taken(&limiter).await.len(), 16, "never above the most");
    }

    #[tokio::test]
    async fn refusals_leave_one_request_at_least() {
        let limiter = Limiter::new(4, Duration::from_secs(30));
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            limiter.throttled(Instant::now(), None);
        }
        assert_eq!(taken(&limiter).await.len(), 1);
    }

    #[tokio::test]
    async fn nobody_sends_before_retry_after_is_over_and_nobody_waits_for_hours() {
        let limiter = Limiter::new(4, Duration::from_millis(400));
        let started = Instant::now();
        limiter.throttled(started, Some(Duration::from_millis(200)));
        drop(limiter.acquire().await);
        assert!(started.elapsed() >= Duration::from_millis(200));
        limiter.throttled(Instant::now(), Some(Duration::from_secs(3600)));
        drop(limiter.acquire().await);
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_waiter_that_gives_up_takes_no_leave_with_it() {
        let limiter = Limiter::new(1, Duration::from_secs(30));
        let permit = limiter.acquire().await;
        assert!(tokio::time::timeout(Duration::from_millis(20), limiter.acquire()).await.is_err());
        let waiter = tokio::spawn({
            let limiter = Arc::clone(&limiter);
            async move { limiter.acquire().await }
        });
        tokio::task::yield_now().await;
        drop(permit);
        drop(waiter.await.unwrap());
        assert_eq!(limiter.look().in_flight, 0);
    }
}
