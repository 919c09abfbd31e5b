//! What can go wrong between us and the queue. None of it concerns a row: every error here costs time, not data.

use std::time::Duration;

use thaw_model::{Classify, Disposition};

/// An error of the queue. The text never holds the URL's password.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The URL is not usable as given. A configuration error.
    #[error("rabbitmq url is unusable: {0}")]
    Url(String),
    /// The CA file cannot be read or holds no certificate. A configuration error.
    #[error("rabbitmq ca file {path} is unusable: {reason}")]
    CaFile { path: String, reason: String },
    /// The broker did not answer at all.
    #[error("broker is unreachable at {address}")]
    Unreachable {
        address: String,
        #[source]
        source: std::io::Error,
    },
    /// The host has no address. A configuration error, or a name service that is down.
    #[error("host {host} of the broker does not resolve")]
    Unresolved {
        host: String,
        #[source]
        source: std::io::Error,
    },
    /// The broker knows no such user with such a password. Nothing changes until a person mends it.
    #[error("broker refused the login of user {user}")]
    LoginRefused { user: String },
    /// The broker or the connection refused what we asked.
    #[error("broker refused to {doing}")]
    Broker {
        doing: &'static str,
        #[source]
        source: lapin::Error,
    },
    /// No answer within the limit.
    #[error("broker did not {doing} within {limit:?}")]
    TimedOut { doing: &'static str, limit: Duration },
    /// The broker has raised an alarm (memory, disk) and accepts no publishes.
    #[error("broker has blocked publishing: {reason}")]
    Blocked { reason: String },
    /// Not confirmed: refused, or returned because no queue took it. The whole window counts as not published.
    #[error("broker did not take {count} of the published messages")]
    NotConfirmed { count: usize },
    /// The connection the delivery came on is gone. The message will be delivered again.
    #[error("connection of the delivery is gone")]
    DeliveryLost,
    /// The broker ended the consumer: its queue was deleted, or moved.
    #[error("broker cancelled the consumer")]
    ConsumerCancelled,
    /// A proof about something else than the message names: a defect of the caller. The message was handed back.
    #[error("proof is about something else than the message")]
    ForeignProof,
    /// The in-process queue was closed.
    #[error("queue is closed")]
    Closed,
}

impl Classify for QueueError {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Url(_) | Self::CaFile { .. } | Self::ForeignProof => Disposition::Fatal,
            Self::Unreachable { .. }
            | Self::Unresolved { .. }
            | Self::LoginRefused { .. }
            | Self::Broker { .. }
            | Self::TimedOut { .. }
            | Self::Blocked { .. }
            | Self::NotConfirmed { .. }
            | Self::ConsumerCancelled => Disposition::HaltWorker,
            Self::DeliveryLost => Disposition::Abandon,
            Self::Closed => Disposition::Interrupted,
        }
    }

    fn class(&self) -> String {
        match self {
            Self::Url(_) | Self::CaFile { .. } => "queue_config",
            Self::Unreachable { .. } => "queue_unreachable",
            Self::Unresolved { .. } => "queue_unresolved",
            Self::LoginRefused { .. } => "queue_login_refused",
            Self::Broker { .. } => "queue_refused",
            Self::TimedOut { .. } => "queue_timeout",
            Self::Blocked { .. } => "queue_blocked",
            Self::NotConfirmed { .. } => "queue_not_confirmed",
            Self::DeliveryLost => "queue_delivery_lost",
            Self::ConsumerCancelled => "queue_consumer_cancelled",
            Self::ForeignProof => "queue_foreign_proof",
            Self::Closed => "queue_closed",
        }
        .to_owned()
    }
}
