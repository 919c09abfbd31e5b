//! The obligation to settle one delivery from RabbitMQ.

use std::sync::Arc;

use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio::sync::mpsc::UnboundedSender;

use super::CALL_LIMIT;
use super::broker::within;
use super::publish::RabbitPublisher;
use crate::delivery::Rejection;
use crate::error::QueueError;

/// What the receipts of one connection share.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    /// While a clone of the channel lives, lapin does not close it under the deliveries.
    pub(super) channel: Channel,
    /// Where a receipt goes that is dropped unsettled: it would hold its prefetch slot until the channel closes.
    pub(super) dropped: UnboundedSender<Acker>,
    /// One clone for each receipt that is alive.
    slots: Arc<()>,
}

impl Holding {
    pub(super) fn new(channel: Channel, dropped: UnboundedSender<Acker>) -> Self {
        Self { channel, dropped, slots: Arc::default() }
    }

    /// How many deliveries are not settled yet.
    pub(super) fn unsettled(&self) -> usize {
        Arc::strong_count(&self.slots) - 1
    }
}

/// How one delivery is settled.
pub(crate) struct Receipt {
    /// `None` once settled.
    acker: Option<Acker>,
    bytes: Vec<u8>,
    publisher: RabbitPublisher,
    holding: Holding,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("settled", &self.acker.is_none()).finish_non_exhaustive()
    }
}

impl Receipt {
    pub(super) fn new(
        delivery: lapin::message::Delivery,
        publisher: RabbitPublisher,
        holding: Holding,
    ) -> Self {
        Self { acker: Some(delivery.acker), bytes: delivery.data, publisher, holding }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) async fn ack(mut self) -> Result<(), QueueError> {
        match self.acker.take() {
            Some(acker) => ack(&acker).await,
            None => Ok(()),
        }
    }

    pub(crate) async fn requeue(mut self) -> Result<(), QueueError> {
        match self.acker.take() {
            Some(acker) => requeue(&acker).await,
            None => Ok(()),
        }
    }

    /// Copies the bytes to the dead queue with confirm, then acks; acks also when the copy failed.
    pub(crate) async fn reject(mut self, why: Rejection) -> Result<(), QueueError> {
        self.publisher.publish_dead(&self.bytes, why).await;
        match self.acker.take() {
            Some(acker) => ack(&acker).await,
            None => Ok(()),
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take()
            && self.holding.dropped.send(acker).is_err()
        {
            // The connection's task is gone, and with it the channel: the broker requeues the message itself.
            tracing::trace!("an unsettled delivery outlived its connection");
        }
    }
}

/// On a dead channel lapin answers `Ok(false)`, not an error.
async fn ack(acker: &Acker) -> Result<(), QueueError> {
    let written = within("take an ack", CALL_LIMIT, acker.ack(BasicAckOptions::default())).await?;
    if written { Ok(()) } else { Err(QueueError::DeliveryLost) }
}

pub(super) async fn requeue(acker: &Acker) -> Result<(), QueueError> {
    let options = BasicNackOptions { requeue: true, multiple: false };
    let written = within("take a message back", CALL_LIMIT, acker.nack(options)).await?;
    if written { Ok(()) } else { Err(QueueError::DeliveryLost) }
}
