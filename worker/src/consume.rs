//! The slots: as many deliveries at a time as the consumer gives, until it is time to stop.

use std::sync::Arc;
use std::time::Duration;

use thaw_queue::{Consumer, Publisher};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::runner::Runner;
use crate::shutdown::Drain;

/// What interrupted attempts need to end, be settled and hand their message back.
const HAND_BACK_LIMIT: Duration = Duration::from_secs(15);

/// Runs deliveries until the drain begins, then waits for those that run, at most to the drain's deadline; what still
/// runs then is dropped, rolled back and handed back. `draining` is cancelled in between. Closes the consumer.
pub(crate) async fn consume<P: Publisher, C: Consumer>(
    runner: &Arc<Runner<P>>,
    mut consumer: C,
    drain: &Drain,
    draining: &CancellationToken,
) -> Instant {
    let mut running = JoinSet::new();
    let begun = drain.begun();
    tokio::pin!(begun);
    let mut halted = runner.halt.watch();
    let deadline = loop {
        let is_halted = halted.borrow_and_update().is_some();
        set_paused(runner, &mut consumer, is_halted).await;
        tokio::select! {
            deadline = &mut begun => break deadline,
            () = runner.interrupt.cancelled() => break Instant::now(),
            _ = halted.changed() => {}
            Some(joined) = running.join_next() => note_end(joined),
            delivery = consumer.next(), if !is_halted => match delivery {
                // No limit here: the consumer gives no more than its slots.
                Some(delivery) => {
                    running.spawn(Arc::clone(runner).receive(delivery));
                }
                None => break Instant::now() + drain.grace(),
            },
        }
    };
    draining.cancel();
    consumer.pause().await;
    if timeout_at(deadline, join_all(&mut running)).await.is_err() {
        tracing::warn!(chunk_count = running.len(), "grace period is over: running chunks are handed back");
        runner.interrupt.cancel();
        if timeout(HAND_BACK_LIMIT, join_all(&mut running)).await.is_err() {
            tracing::warn!(
                chunk_count = running.len(),
                "chunks could not be handed back: their leases run out"
            );
        }
    }
    consumer.close().await;
    deadline
}

async fn set_paused<P: Publisher, C: Consumer>(runner: &Runner<P>, consumer: &mut C, paused: bool) {
    if *runner.paused.borrow() == paused {
        return;
    }
    if paused {
        consumer.pause().await;
    } else {
        consumer.resume().await;
    }
    runner.paused.send_replace(paused);
}

async fn join_all(running: &mut JoinSet<()>) {
    while let Some(joined) = running.join_next().await {
        note_end(joined);
    }
}

/// A panic outside an attempt is a defect of the runner; its message goes back to the queue by itself.
fn note_end(joined: Result<(), JoinError>) {
    if let Err(error) = joined
        && error.is_panic()
    {
        tracing::error!("a defect of this program ended a slot's work; the log names the place");
    }
}
