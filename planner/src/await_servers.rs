//! Waiting, for a while, for servers that are not up yet: a stack that starts all at once, a machine after a reboot.
//!
//! Only for what time may mend. Everything else, and what is still not there in the end, is said by the checks that
//! follow.

use std::time::Duration;

use thaw_model::ErrorReport;
use thaw_postgres::PgError;
use thaw_queue::QueueError;
use thaw_queue::rabbitmq::RabbitQueue;
use tokio::time::{Instant, sleep};

use crate::session::Session;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(4);

/// Returns when every target database and the broker answer, or `limit` is over, or waiting cannot help.
pub async fn await_servers(session: &Session, broker: Option<&RabbitQueue>, limit: Duration) {
    let deadline = Instant::now() + limit;
    for name in session.pools.databases() {
        let server = format!("database \"{name}\"");
        patiently(&server, deadline, async || may_come_up(session, &name).await).await;
    }
    if let Some(queue) = broker {
        patiently("the broker", deadline, async || queue.check().await.err().and_then(absent_broker)).await;
    }
}

/// Tries again until `absent` has no reason left; says each reason once.
async fn patiently(server: &str, deadline: Instant, absent: impl AsyncFn() -> Option<String>) {
    let mut pause = FIRST_PAUSE;
    let mut said = None;
    while let Some(reason) = absent().await {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        if said.as_ref() != Some(&reason) {
            tracing::warn!(
                reason,
                left_secs = left.as_secs(),
                "{server} does not answer yet, waiting (--wait)"
            );
            said = Some(reason);
        }
        sleep(pause.min(left)).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
    if said.is_some() {
        tracing::info!("{server} answers");
    }
}

/// Why the database is not there, where that may pass.
async fn may_come_up(session: &Session, name: &str) -> Option<String> {
    let connected = async { session.pools.pool(name)?.get().await };
    let error: PgError = connected.await.err()?;
    error.is_connection_lost().then(|| error.to_string())
}

fn absent_broker(error: QueueError) -> Option<String> {
    match error {
        QueueError::Unreachable { .. } | QueueError::Unresolved { .. } | QueueError::TimedOut { .. } => {
            Some(ErrorReport::of(&error).text)
        }
        _ => None,
    }
}
