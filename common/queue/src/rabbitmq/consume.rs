//! Consuming: one task that owns the consuming connection and builds it again for as long as it takes.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::{FutureExt, StreamExt};
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::broker::{self, Broker, within};
use super::inbox::Inbox;
use super::publish::RabbitPublisher;
use super::receipt::{self, Holding, Receipt};
use super::silence::Silence;
use super::{CALL_LIMIT, CLOSE_LIMIT, topology};
use crate::delivery::{self, Delivery};
use crate::error::QueueError;
use crate::link::LinkState;

/// How often a connection is looked at that has nothing to say.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// The consuming end of a RabbitMQ queue. Dropping it stops consuming without waiting for anything.
#[derive(Debug)]
pub struct RabbitConsumer {
    inbox: Arc<Inbox>,
    wanted: watch::Sender<Mode>,
    applied: watch::Receiver<Mode>,
    link: watch::Receiver<LinkState>,
    task: JoinHandle<()>,
}

/// What the consuming task shall do, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Consuming,
    Paused,
    Closed,
}

impl RabbitConsumer {
    pub(super) fn start(broker: Arc<Broker>, publisher: RabbitPublisher, slots: u16) -> Self {
        let inbox = Arc::new(Inbox::default());
        let (wanted, wanted_reader) = watch::channel(Mode::Consuming);
        let (applied_writer, applied) = watch::channel(Mode::Consuming);
        let (link_writer, link) =
            watch::channel(LinkState::Disconnected { reason: "not connected yet".to_owned() });
        let consuming = Consuming {
            broker,
            publisher,
            slots,
            inbox: Arc::clone(&inbox),
            wanted: wanted_reader,
            applied: applied_writer,
            link: link_writer,
        };
        Self { inbox, wanted, applied, link, task: tokio::spawn(consuming.run()) }
    }

    /// Waits until the task does what it shall, unless it is busy with an unreachable broker.
    async fn await_applied(&mut self, mode: Mode) {
        if timeout(CLOSE_LIMIT, self.applied.wait_for(|applied| *applied == mode)).await.is_err() {
            tracing::debug!(?mode, "consumer is between connections, its mode follows");
        }
    }
}

impl crate::Consumer for RabbitConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        loop {
            match self.inbox.take() {
                ControlFlow::Break(found) => return found,
                ControlFlow::Continue(()) => self.inbox.arrived().await,
            }
        }
    }

    async fn pause(&mut self) {
        self.inbox.set_paused(true);
        self.wanted.send_replace(Mode::Paused);
        // Dropping hands them back; the task settles them on its channel.
        drop(self.inbox.empty());
        self.await_applied(Mode::Paused).await;
    }

    async fn resume(&mut self) {
        self.inbox.set_paused(false);
        self.wanted.send_replace(Mode::Consuming);
        self.await_applied(Mode::Consuming).await;
    }

    async fn close(mut self) {
        self.inbox.close();
        self.wanted.send_replace(Mode::Closed);
        drop(self.inbox.empty());
        // Cancel, close: two steps under a limit each, and some for what is under way.
        if timeout(CLOSE_LIMIT * 3, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::debug!("consumer did not close in time and was abandoned");
        }
    }

    fn link(&self) -> watch::Receiver<LinkState> {
        self.link.clone()
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.inbox.close();
        self.wanted.send_replace(Mode::Closed);
    }
}

/// The task's own state.
struct Consuming {
    broker: Arc<Broker>,
    publisher: RabbitPublisher,
    slots: u16,
    inbox: Arc<Inbox>,
    wanted: watch::Receiver<Mode>,
    applied: watch::Sender<Mode>,
    link: watch::Sender<LinkState>,
}

/// Why consuming is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Something else is wanted.
    Mode,
    /// Nothing was heard for too long, and nothing is held.
    Silent,
}

/// One connection's life.
struct Session {
    connection: Connection,
    holding: Holding,
    dropped: mpsc::UnboundedReceiver<Acker>,
    silence: Silence,
}

impl Consuming {
    async fn run(mut self) {
        let mut delays = back_off().build();
        while *self.wanted.borrow() != Mode::Closed {
            match self.connect().await {
                Ok(mut session) => {
                    let ended = self.consume(&mut session).await;
                    // Who is refused after the handshake every time must not begin anew every time.
                    if self.link.borrow().is_connected() {
                        delays = back_off().build();
                    }
                    self.inbox.empty().clear();
                    match ended {
                        Ok(()) => {
                            broker::close(&session.connection).await;
                            break;
                        }
                        Err(error) => self.disconnected(&error),
                    }
                    // Under a limit of its own: whatever was wrong with it may be wrong with closing it.
                    tokio::spawn(async move { broker::close(&session.connection).await });
                }
                Err(error) => self.disconnected(&error),
            }
            let delay = delays.next().unwrap_or(Duration::from_secs(30));
            self.wait_disconnected(delay).await;
        }
        self.inbox.close();
        self.link.send_replace(LinkState::Disconnected { reason: "closed".to_owned() });
        self.applied.send_replace(Mode::Closed);
    }

    fn disconnected(&self, error: &QueueError) {
        let reason = describe(error);
        tracing::warn!(error = %reason, address = %self.broker.address(), "not connected to the broker, trying again");
        self.link.send_replace(match error {
            QueueError::LoginRefused { .. } => LinkState::LoginRefused { reason },
            _ => LinkState::Disconnected { reason },
        });
    }

    /// Waits out the delay; a pause or a resume takes effect at once, because there is nothing to cancel.
    async fn wait_disconnected(&mut self, delay: Duration) {
        let deadline = tokio::time::Instant::now() + delay;
        loop {
            let wanted = *self.wanted.borrow_and_update();
            self.applied.send_replace(wanted);
            if wanted == Mode::Closed {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => return,
                changed = self.wanted.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn connect(&self) -> Result<Session, QueueError> {
        let connection = self.broker.connect("consume").await?;
        let channel = self.open_channel(&connection).await?;
        let (dropped_sender, dropped) = mpsc::unbounded_channel();
        let holding = Holding::new(channel, dropped_sender);
        Ok(Session { connection, holding, dropped, silence: Silence::begin(self.broker.silence()) })
    }

    async fn open_channel(&self, connection: &Connection) -> Result<Channel, QueueError> {
        let channel = within("open a channel", CALL_LIMIT, connection.create_channel()).await?;
        topology::declare(&channel, self.broker.names()).await?;
        // Before consuming, and per consumer: without it the first worker takes the whole queue.
        let qos = channel.basic_qos(self.slots, BasicQosOptions { global: false });
        within("set the prefetch", CALL_LIMIT, qos).await?;
        Ok(channel)
    }

    /// Leaves the channel for a fresh one, see [`super::silence`]; unless a delivery comes in at the last moment. What
    /// is held will be delivered once more.
    async fn renew(
        &self,
        session: &mut Session,
        consumer: Option<lapin::Consumer>,
    ) -> Result<(), QueueError> {
        let Some(mut consumer) = consumer else { return Ok(()) };
        session.silence.is_broken();
        let old = session.holding.channel.clone();
        let cancelling = old.basic_cancel(consumer.tag(), BasicCancelOptions::default());
        within("cancel consuming", CALL_LIMIT, cancelling).await?;
        let mut is_silent = true;
        while let Some(Some(delivery)) = consumer.next().now_or_never() {
            let delivery =
                delivery.map_err(|source| QueueError::Broker { doing: "go on delivering", source })?;
            self.receive(session, delivery);
            is_silent = false;
        }
        if is_silent {
            session.holding.channel = self.open_channel(&session.connection).await?;
            let closing = old.close(lapin::protocol::constants::REPLY_SUCCESS, "renewed".into());
            within("close a channel", CLOSE_LIMIT, closing).await?;
        }
        Ok(())
    }

    /// Consumes until told to close (`Ok`) or until anything at all goes wrong with the connection.
    async fn consume(&mut self, session: &mut Session) -> Result<(), QueueError> {
        let mut stream: Option<lapin::Consumer> = None;
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        loop {
            let wanted = *self.wanted.borrow_and_update();
            match (wanted, stream.take()) {
                (Mode::Closed, consumer) => {
                    self.stop(session, consumer).await;
                    return Ok(());
                }
                (Mode::Paused, consumer) => self.stop(session, consumer).await,
                (Mode::Consuming, Some(consumer)) => stream = Some(consumer),
                (Mode::Consuming, None) => stream = Some(self.begin(session).await?),
            }
            if self.applied.send_replace(wanted) != wanted {
                tracing::debug!(mode = ?wanted, "consumer changed its mode");
            }
            if self.link.send_replace(LinkState::Connected) != LinkState::Connected {
                tracing::info!(address = %self.broker.address(), "connected to the broker");
            }
            match self.consume_until_changed(session, stream.as_mut(), &mut watch).await? {
                Turn::Mode => {}
                Turn::Silent => self.renew(session, stream.take()).await?,
            }
        }
    }

    async fn consume_until_changed(
        &mut self,
        session: &mut Session,
        mut stream: Option<&mut lapin::Consumer>,
        watch: &mut tokio::time::Interval,
    ) -> Result<Turn, QueueError> {
        loop {
            tokio::select! {
                changed = self.wanted.changed() => {
                    // An Err means that the consumer was dropped, which has asked for the close before.
                    if changed.is_err() {
                        tracing::trace!("the consumer's owner is gone");
                    }
                    return Ok(Turn::Mode);
                }
                Some(acker) = session.dropped.recv() => hand_back(&acker).await,
                item = next_of(&mut stream) => match item {
                    Some(Ok(delivery)) => {
                        session.silence.is_broken();
                        self.receive(session, delivery);
                    }
                    Some(Err(source)) => return Err(QueueError::Broker { doing: "go on delivering", source }),
                    None => return Err(QueueError::ConsumerCancelled),
                },
                () = session.silence.lasts(), if stream.is_some() => {
                    if session.silence.is_too_long(session.holding.unsettled(), self.slots.into()) {
                        return Ok(Turn::Silent);
                    }
                }
                _ = watch.tick() => {
                    if !session.connection.status().connected() || !session.holding.channel.status().connected() {
                        return Err(QueueError::DeliveryLost);
                    }
                }
            }
        }
    }

    fn receive(&self, session: &Session, delivery: lapin::message::Delivery) {
        let receipt = Receipt::new(delivery, self.publisher.clone(), session.holding.clone());
        let bytes = receipt.bytes().to_vec();
        self.inbox.push(Delivery::new(&bytes, delivery::Receipt::RabbitMq(receipt)));
    }

    async fn begin(&self, session: &Session) -> Result<lapin::Consumer, QueueError> {
        let queue = self.broker.names().chunks.as_str();
        let consuming = session.holding.channel.basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        within("start consuming", CALL_LIMIT, consuming).await
    }

    /// Cancels the consumer and hands back what nobody has taken. Deliveries that are being worked on keep their
    /// channel. Errors are the watch's to find.
    async fn stop(&self, session: &mut Session, consumer: Option<lapin::Consumer>) {
        if let Some(mut consumer) = consumer {
            let cancelling =
                session.holding.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            if let Err(error) = within("cancel consuming", CLOSE_LIMIT, cancelling).await {
                tracing::debug!(error = %describe(&error), "consuming did not stop cleanly");
            }
            while let Some(Some(Ok(delivery))) = consumer.next().now_or_never() {
                hand_back(&delivery.acker).await;
            }
        }
        drop(self.inbox.empty());
        while let Ok(acker) = session.dropped.try_recv() {
            hand_back(&acker).await;
        }
    }
}

/// The next item of a stream that may not be there; pending for ever while it is not.
async fn next_of(
    stream: &mut Option<&mut lapin::Consumer>,
) -> Option<lapin::Result<lapin::message::Delivery>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

async fn hand_back(acker: &Acker) {
    if let Err(error) = receipt::requeue(acker).await {
        tracing::debug!(error = %describe(&error), "a message could not be handed back, its connection will be");
    }
}

/// An error with its cause, for a log line.
pub(super) fn describe(error: &QueueError) -> String {
    thaw_model::ErrorReport::of(error).text
}

fn back_off() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(30))
        .with_jitter()
        .without_max_times()
}
