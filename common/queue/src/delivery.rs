//! One receipt of a message, which ends in exactly one of ack, requeue and reject.

use std::fmt;

use thaw_model::Job;
use thaw_model::job::JobDecodeError;
use thaw_status::Recorded;

use crate::error::QueueError;
use crate::{in_process, rabbitmq};

/// One receipt of a message.
///
/// Its three ends consume it, so it is settled at most once. Dropping it unsettled (a panic) hands the message back,
/// as [`Self::requeue`] would, so that no slot is lost.
///
/// # Acknowledging needs proof
/// What the status store has recorded may be acknowledged:
///
/// ```
/// use thaw_queue::{Delivery, QueueError, Recorded};
///
/// async fn acknowledge(delivery: Delivery, proof: Recorded) -> Result<(), QueueError> {
///     delivery.ack(proof).await
/// }
/// ```
///
/// Nothing else compiles. Each of these differs from the above in one place: no proof,
///
/// ```compile_fail,E0061
/// use thaw_queue::{Delivery, QueueError, Recorded};
///
/// async fn acknowledge(delivery: Delivery, proof: Recorded) -> Result<(), QueueError> {
///     delivery.ack().await
/// }
/// ```
///
/// what the message is about, which is no proof of what became of it,
///
/// ```compile_fail,E0308
/// use thaw_queue::{Delivery, QueueError, Recorded};
///
/// async fn acknowledge(delivery: Delivery, proof: Recorded) -> Result<(), QueueError> {
///     delivery.ack(proof.item()).await
/// }
/// ```
///
/// a proof out of thin air,
///
/// ```compile_fail,E0451
/// use thaw_queue::{Delivery, QueueError, Recorded};
///
/// async fn acknowledge(delivery: Delivery, proof: Recorded) -> Result<(), QueueError> {
///     delivery.ack(Recorded { item: proof.item(), outcome: proof.outcome() }).await
/// }
/// ```
///
/// and settling twice.
///
/// ```compile_fail,E0382
/// use thaw_queue::{Delivery, QueueError, Recorded};
///
/// async fn acknowledge(delivery: Delivery, proof: Recorded) -> Result<(), QueueError> {
///     delivery.requeue().await?;
///     delivery.ack(proof).await
/// }
/// ```
#[derive(Debug)]
pub struct Delivery {
    content: Result<Job, Undecodable>,
    receipt: Receipt,
}

#[derive(Debug)]
pub(crate) enum Receipt {
    RabbitMq(rabbitmq::Receipt),
    InProcess(in_process::Receipt),
}

/// Bytes that are no job of ours; they go to the dead queue with [`Delivery::reject`].
#[derive(Debug)]
pub struct Undecodable {
    /// Why they are no job.
    pub error: JobDecodeError,
    /// How many there are. The bytes themselves are kept for the dead queue only.
    pub length: usize,
}

/// Why a message goes to the dead queue; travels with it in the header `x-thaw-reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The bytes are no job, or one of a later version.
    Undecodable,
    /// The job names a database that this worker's configuration does not know.
    UnknownDatabase,
    /// The job names a database without status tables: nothing there says that the job exists.
    NoStatusTables,
}

impl Rejection {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownDatabase => "unknown_database",
            Self::NoStatusTables => "no_status_tables",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Delivery {
    pub(crate) fn new(bytes: &[u8], receipt: Receipt) -> Self {
        let content = Job::decode(bytes).map_err(|error| Undecodable { error, length: bytes.len() });
        Self { content, receipt }
    }

    /// What the message names.
    ///
    /// # Errors
    /// The bytes are no job: [`Self::reject`] them.
    pub fn job(&self) -> Result<&Job, &Undecodable> {
        self.content.as_ref()
    }

    /// Removes the message from the queue. Takes the proof that the status store carries the work now, so that
    /// acknowledging before the commit does not compile; a proof about another item hands the message back.
    ///
    /// # Errors
    /// The message will be delivered again (a connection that is gone, mostly). There is nothing to do about it but
    /// to log it: the next receiver's claim finds the row as it is.
    pub async fn ack(self, proof: Recorded) -> Result<(), QueueError> {
        if !self.content.as_ref().is_ok_and(|job| proof.is_of(job)) {
            drop(self);
            return Err(QueueError::ForeignProof);
        }
        match self.receipt {
            Receipt::RabbitMq(receipt) => receipt.ack().await,
            Receipt::InProcess(receipt) => {
                receipt.ack();
                Ok(())
            }
        }
    }

    /// Hands the message back for immediate redelivery, here or elsewhere. Only for work that has not begun or whose
    /// outcome the store cannot be told (shutdown, unreachable database); retries are the status store's business.
    ///
    /// # Errors
    /// As for [`Self::ack`].
    pub async fn requeue(self) -> Result<(), QueueError> {
        match self.receipt {
            Receipt::RabbitMq(receipt) => receipt.requeue().await,
            Receipt::InProcess(receipt) => {
                receipt.requeue();
                Ok(())
            }
        }
    }

    /// Moves the message with its bytes to the dead queue. When the copy cannot be confirmed, its size is logged and
    /// counted and the message is acknowledged all the same: a poisonous message must not circle.
    ///
    /// # Errors
    /// As for [`Self::ack`].
    pub async fn reject(self, why: Rejection) -> Result<(), QueueError> {
        match self.receipt {
            Receipt::RabbitMq(receipt) => receipt.reject(why).await,
            Receipt::InProcess(receipt) => {
                receipt.reject(why);
                Ok(())
            }
        }
    }
}
