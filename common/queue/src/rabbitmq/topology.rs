//! The two queues and how they are declared.

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};

use super::CALL_LIMIT;
use super::broker::within;
use crate::error::QueueError;

/// The names of the queues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueNames {
    /// Hints.
    pub chunks: String,
    /// Messages nobody could read, with their bytes.
    pub dead: String,
}

impl QueueNames {
    pub(super) fn new(prefix: &str) -> Self {
        Self { chunks: format!("{prefix}.chunks"), dead: format!("{prefix}.dead") }
    }
}

/// Declares both queues. Idempotent.
///
/// `x-queue-type=quorum` is the only argument: a queue that exists with other arguments is a 406 that closes the
/// channel, and arguments differ between broker versions. Limits of length or delivery are the operator's policies.
pub(super) async fn declare(channel: &Channel, names: &QueueNames) -> Result<(), QueueError> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    for (queue, doing) in
        [(&names.chunks, "declare the chunk queue"), (&names.dead, "declare the dead queue")]
    {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        within(doing, CALL_LIMIT, channel.queue_declare(queue.as_str().into(), durable, arguments)).await?;
    }
    Ok(())
}
