//! When to stop taking chunks, and how long to wait for those that run.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What is kept free before the end of `--max-runtime` to hand back what still runs.
const HAND_BACK: Duration = Duration::from_secs(5);

/// How a worker is told to end. Clones share the tokens.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no further chunk, let those that run finish within the grace period.
    pub stop: CancellationToken,
    /// Hand back at once what still runs.
    pub interrupt: CancellationToken,
}

/// The limits of a worker's life.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// After SIGTERM, running chunks may finish for so long.
    pub grace: Duration,
    /// When the platform ends this process, and how long before that no new chunk is taken.
    pub runtime: Option<(Duration, Duration)>,
}

/// When a worker drains.
#[derive(Debug)]
pub struct Drain {
    /// Cancelled from outside: SIGTERM, the end of a local run.
    stop: CancellationToken,
    limits: Limits,
    began: Instant,
}

impl Drain {
    /// Counts from now.
    #[must_use]
    pub fn new(stop: CancellationToken, limits: Limits) -> Self {
        Self { stop, limits, began: Instant::now() }
    }

    /// What running chunks get after a stop.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.limits.grace
    }

    /// Resolves when no further chunk is to be taken, with the deadline for those that run. Cancel-safe.
    pub async fn begun(&self) -> Instant {
        let (soft, hard) = match self.limits.runtime {
            Some((runtime, buffer)) => {
                (self.began + runtime.saturating_sub(buffer), Some(self.began + runtime))
            }
            None => (self.began + Duration::from_secs(u64::from(u32::MAX)), None),
        };
        tokio::select! {
            () = self.stop.cancelled() => {
                tracing::info!(grace_secs = self.limits.grace.as_secs(), "stopping: no further chunk is taken");
                let deadline = Instant::now() + self.limits.grace;
                hard.map_or(deadline, |hard| deadline.min(hand_back_time(hard)))
            }
            () = tokio::time::sleep_until(soft) => {
                tracing::info!("running time is nearly over: no further chunk is taken");
                hard.map_or_else(Instant::now, hand_back_time)
            }
        }
    }
}

fn hand_back_time(hard: Instant) -> Instant {
    hard.checked_sub(HAND_BACK).unwrap_or(hard)
}

/// Stops at the first SIGTERM or SIGINT, interrupts at the second.
///
/// # Errors
/// The operating system refuses the handlers.
pub fn on_signals(shutdown: &Shutdown) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let tokens = [shutdown.stop.clone(), shutdown.interrupt.clone()];
    tokio::spawn(async move {
        for token in tokens {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            token.cancel();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_stop_gives_running_chunks_the_grace_period() {
        let stop = CancellationToken::new();
        let drain = Drain::new(stop.clone(), Limits { grace: GRACE, runtime: None });
        stop.cancel();
        assert_eq!(drain.begun().await, drain.began + GRACE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_buffer_before_the_end_of_the_runtime_is_for_running_chunks_only() {
        let runtime = Some((Duration::from_secs(900), Duration::from_secs(120)));
        let drain = Drain::new(CancellationToken::new(), Limits { grace: GRACE, runtime });
        let deadline = drain.begun().await;
        assert_eq!(drain.began.elapsed().as_secs(), 780);
        assert_eq!(deadline, drain.began + Duration::from_secs(895));
    }
}
