//! Publishing: one connection of its own, a bounded window of unconfirmed messages, and an answer for every message.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::StreamExt;
use futures_util::future::join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, Event, PublisherConfirm};
use thaw_model::Job;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::broker::{self, Broker, within};
use super::consume::describe;
use super::{CALL_LIMIT, CONFIRM_LIMIT, PUBLISH_LIMIT, topology};
use crate::delivery::Rejection;
use crate::error::QueueError;

/// Unconfirmed messages at a time. From 256 to 1024 a broker confirms thousands a second with under 1 MB in flight;
/// without a bound it costs 85 MB, one by one a tenth of the speed.
const WINDOW: usize = 512;
/// Messages that are published once more together when one of them was not taken.
const PAGE: usize = 4096;
/// How many bytes of a lost message are logged, in hexadecimal.
const LOGGED_BYTES: usize = 128;
const PERSISTENT: u8 = 2;

/// The publishing end of a RabbitMQ queue. Clones share one connection and take turns.
#[derive(Debug, Clone)]
pub struct RabbitPublisher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: Arc<Broker>,
    session: Mutex<Option<Session>>,
    lost_rejections: AtomicU64,
}

struct Session {
    connection: Connection,
    channel: Channel,
    /// The broker's reason while it accepts no publishes.
    blocked: watch::Receiver<Option<String>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("blocked", &*self.blocked.borrow()).finish_non_exhaustive()
    }
}

impl crate::Publisher for RabbitPublisher {
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        for page in jobs.chunks(PAGE) {
            let messages: Vec<Vec<u8>> = page.iter().map(Job::encode).collect();
            let properties = properties();
            self.publish_page(&self.shared.broker.names().chunks, &messages, &properties).await?;
        }
        Ok(())
    }
}

impl RabbitPublisher {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        let shared = Shared { broker, session: Mutex::new(None), lost_rejections: AtomicU64::new(0) };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn lost_rejection_count(&self) -> u64 {
        self.shared.lost_rejections.load(Ordering::Relaxed)
    }

    /// Closes the connection, if there is one, under a time limit. The next publish opens another.
    pub async fn close(&self) {
        if let Some(session) = self.shared.session.lock().await.take() {
            broker::close(&session.connection).await;
        }
    }

    /// Copies a message to the dead queue. A copy that fails is logged and counted, and that is all.
    pub(super) async fn publish_dead(&self, bytes: &[u8], why: Rejection) {
        let mut headers = FieldTable::default();
        headers.insert("x-thaw-reason".into(), AMQPValue::LongString(why.as_str().into()));
        let properties = properties().with_headers(headers);
        let copied =
            self.publish_page(&self.shared.broker.names().dead, &[bytes.to_vec()], &properties).await;
        match copied {
            Ok(()) => {
                tracing::warn!(reason = %why, byte_count = bytes.len(), "message moved to the dead queue");
            }
            Err(error) => {
                let lost = self.shared.lost_rejections.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::error!(
                    reason = %why,
                    byte_count = bytes.len(),
                    hex = %hex(bytes),
                    lost,
                    error = %describe(&error),
                    "message could not be copied to the dead queue and is dropped"
                );
            }
        }
    }

    /// Publishes one page and waits for its confirms. A page with a message that nobody took is published once more on
    /// a new connection, which declares the queues again; a doubled hint is harmless.
    async fn publish_page(
        &self,
        queue: &str,
        messages: &[Vec<u8>],
        properties: &BasicProperties,
    ) -> Result<(), QueueError> {
        let mut guard = self.shared.session.lock().await;
        let mut is_second = false;
        loop {
            let session = match guard.take() {
                Some(session) if session.is_alive() => session,
                _ => Session::open(&self.shared.broker).await?,
            };
            let outcome = session.publish(queue, messages, properties).await;
            match outcome {
                Ok(()) => {
                    *guard = Some(session);
                    return Ok(());
                }
                // A new connection would be blocked as well; timed-out publishes are sent when the alarm is over.
                Err(error @ QueueError::Blocked { .. }) => {
                    *guard = Some(session);
                    return Err(error);
                }
                Err(error) => {
                    tokio::spawn(async move { broker::close(&session.connection).await });
                    if is_second {
                        return Err(error);
                    }
                    tracing::debug!(error = %describe(&error), "publishing once more on a new connection");
                    is_second = true;
                }
            }
        }
    }
}

impl Session {
    async fn open(broker: &Broker) -> Result<Self, QueueError> {
        let connection = broker.connect("publish").await?;
        let blocked = watch_alarm(&connection);
        let channel = within("open a channel", CALL_LIMIT, connection.create_channel()).await?;
        topology::declare(&channel, broker.names()).await?;
        within("confirm publishes", CALL_LIMIT, channel.confirm_select(ConfirmSelectOptions::default()))
            .await?;
        Ok(Self { connection, channel, blocked })
    }

    fn is_alive(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }

    async fn publish(
        &self,
        queue: &str,
        messages: &[Vec<u8>],
        properties: &BasicProperties,
    ) -> Result<(), QueueError> {
        self.await_unblocked().await?;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let mut confirms = VecDeque::with_capacity(WINDOW.min(messages.len()));
        for message in messages {
            // Half of the window stays under way while the older half is waited for: the broker always has work.
            if confirms.len() == WINDOW {
                self.await_confirms(confirms.drain(..WINDOW / 2)).await?;
            }
            let publishing =
                self.channel.basic_publish("".into(), queue.into(), options, message, properties.clone());
            let confirm = within("take a message", PUBLISH_LIMIT, publishing)
                .await
                .map_err(|error| self.or_blocked(error))?;
            confirms.push_back(confirm);
        }
        self.await_confirms(confirms.drain(..)).await
    }

    async fn await_confirms(
        &self,
        confirms: impl Iterator<Item = PublisherConfirm>,
    ) -> Result<(), QueueError> {
        let answers = timeout(CONFIRM_LIMIT, join_all(confirms)).await.map_err(|_| {
            self.or_blocked(QueueError::TimedOut { doing: "confirm the messages", limit: CONFIRM_LIMIT })
        })?;
        let mut untaken = 0;
        for answer in answers {
            match answer {
                Ok(Confirmation::Ack(None)) => {}
                // A returned message may hang on another one's confirm: the whole page counts as failed.
                Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(_) | Confirmation::NotRequested) => {
                    untaken += 1;
                }
                Err(source) => return Err(QueueError::Broker { doing: "confirm the messages", source }),
            }
        }
        if untaken == 0 { Ok(()) } else { Err(QueueError::NotConfirmed { count: untaken }) }
    }

    /// While the broker has blocked the connection, a publish hangs without an error.
    async fn await_unblocked(&self) -> Result<(), QueueError> {
        let mut blocked = self.blocked.clone();
        let reason = blocked.borrow_and_update().clone();
        let Some(reason) = reason else { return Ok(()) };
        tracing::warn!(%reason, "broker has blocked publishing, waiting");
        match timeout(PUBLISH_LIMIT, blocked.wait_for(Option::is_none)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(QueueError::Blocked { reason }),
        }
    }

    /// The alarm explains an error better than the error does.
    fn or_blocked(&self, error: QueueError) -> QueueError {
        match self.blocked.borrow().clone() {
            Some(reason) => QueueError::Blocked { reason },
            None => error,
        }
    }
}

/// Follows the broker's alarms. The only listener of the connection: a second one would share its events, not copy
/// them.
fn watch_alarm(connection: &Connection) -> watch::Receiver<Option<String>> {
    let (writer, reader) = watch::channel(None);
    let mut events = Box::pin(connection.events_listener());
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            match event {
                Event::ConnectionBlocked(reason) => {
                    writer.send_replace(Some(reason));
                }
                Event::ConnectionUnblocked => {
                    writer.send_replace(None);
                }
                Event::Connected | Event::SendFlow(_) | Event::Error(_) => {}
                _ => tracing::trace!("unknown event of the broker"),
            }
        }
    });
    reader
}

fn properties() -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/vnd.msgpack".into())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().take(LOGGED_BYTES).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        if write!(text, "{byte:02x}").is_err() {
            text.push('?');
        }
        text
    })
}
