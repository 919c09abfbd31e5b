//! The obligation to settle one delivery from RabbitMQ.

use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Channel};
use tokio::sync::mpsc::UnboundedSender;

use super::CALL_LIMIT;
use super::broker::within;
use super::publish::RabbitPublisher;
use crate::delivery::Rejection;
use crate::error::QueueError;

/// How one delivery is settled.
pub(crate) struct Receipt {
    /// `None` once settled.
    acker: Option<Acker>,
    /// While a clone of the channel lives, lapin does not close it under the delivery.
    _channel: Channel,
    bytes: Vec<u8>,
    publisher: RabbitPublisher,
    /// Where a receipt goes that is dropped unsettled: it would hold its prefetch slot until the channel closes.
    dropped: UnboundedSender<Acker>,
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("settled", &self.acker.is_none()).finish_non_exhaustive()
    }
}

impl Receipt {
    pub(super) fn new(
        delivery: lapin::message::Delivery,
        channel: Channel,
        publisher: RabbitPublisher,
        dropped: UnboundedSender<Acker>,
    ) -> Self {
        Self { acker: Some(delivery.acker), _channel: channel, bytes: delivery.data, publisher, dropped }
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
            && self.dropped.send(acker).is_err()
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
