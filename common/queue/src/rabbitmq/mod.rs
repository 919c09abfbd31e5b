//! The queue over RabbitMQ.
//!
//! One connection consumes, another publishes: a broker under a memory or disk alarm stops reading from connections
//! that publish, and a connection that only consumes goes on. lapin's own recovery is not used (after a channel-level
//! error it leaves a stream that is pending for ever); on any error, and at the end of the stream, the whole
//! connection is thrown away and another one built, with jitter. Every call to the broker is under a time limit.
//!
//! Nothing here concludes anything about the state of a run from the state of a queue.

mod broker;
mod consume;
mod inbox;
mod publish;
mod receipt;
mod silence;
mod topology;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
pub use consume::RabbitConsumer;
pub use publish::RabbitPublisher;
pub(crate) use receipt::Receipt;
use secrecy::SecretString;
pub use topology::QueueNames;

use crate::error::QueueError;

/// Connect, TLS and AMQP handshake together; lapin ignores the URL's `connection_timeout`.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// One request and its reply: declare, qos, consume, cancel.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Handing one message to the connection.
const PUBLISH_LIMIT: Duration = Duration::from_secs(10);
/// The confirms of one window.
const CONFIRM_LIMIT: Duration = Duration::from_secs(30);
/// Each step of closing. What does not close in time is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// How to reach the broker and how to behave there.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// `amqp[s]://user:password@host[:port]/vhost`. Its query parameters are kept, except `heartbeat`. A missing or
    /// empty virtual host means `/`.
    pub url: SecretString,
    /// A PEM file with certificates to trust besides the system's; for `amqps` only.
    pub ca_file: Option<PathBuf>,
    /// Queues are `<prefix>.chunks` and `<prefix>.dead`.
    pub queue_prefix: String,
    /// Silence is noticed after two to two and a half of these. Whole seconds, at least one.
    pub heartbeat: Duration,
    /// An idle consumer that hears nothing for so long, or up to twice as long, is made anew: the broker may have
    /// forgotten it.
    pub silence: Duration,
    /// The name shown in the broker's management pages.
    pub connection_name: String,
}

impl RabbitOptions {
    /// The options of production for `url`: queues `thaw.chunks` and `thaw.dead`, a heartbeat of 10 s (without one in
    /// the URL, a silent connection is noticed after two minutes), idle consumers made anew after 10 s.
    #[must_use]
    pub fn new(url: SecretString, connection_name: impl Into<String>) -> Self {
        Self {
            url,
            ca_file: None,
            queue_prefix: "thaw".to_owned(),
            heartbeat: Duration::from_secs(10),
            silence: Duration::from_secs(10),
            connection_name: connection_name.into(),
        }
    }
}

/// A broker that publishers and consumers can be made for. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RabbitQueue {
    broker: Arc<Broker>,
    publisher: RabbitPublisher,
}

impl RabbitQueue {
    /// Checks URL and CA file; connects to nothing yet.
    ///
    /// # Errors
    /// [`QueueError::Url`] and [`QueueError::CaFile`]; neither text holds the password.
    pub fn new(options: &RabbitOptions) -> Result<Self, QueueError> {
        let broker = Arc::new(Broker::new(options)?);
        let publisher = RabbitPublisher::new(Arc::clone(&broker));
        Ok(Self { broker, publisher })
    }

    /// The publishing end; all clones share one connection, opened at the first publish.
    #[must_use]
    pub fn publisher(&self) -> RabbitPublisher {
        self.publisher.clone()
    }

    /// Starts consuming with at most `slots` unsettled deliveries (at least one), and reconnects until closed. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn consumer(&self, slots: u16) -> RabbitConsumer {
        RabbitConsumer::start(Arc::clone(&self.broker), self.publisher.clone(), slots.max(1))
    }

    /// Connects once, declares the queues and closes again: whether URL, credentials and permissions are right.
    ///
    /// # Errors
    /// What the broker refused or did not answer.
    pub async fn check(&self) -> Result<(), QueueError> {
        let connection = self.broker.connect("check").await?;
        let channel = broker::within("open a channel", CALL_LIMIT, connection.create_channel()).await?;
        let declared = topology::declare(&channel, self.broker.names()).await;
        broker::close(&connection).await;
        declared
    }

    /// The names of the queues.
    #[must_use]
    pub fn names(&self) -> &QueueNames {
        self.broker.names()
    }

    /// How many rejected messages were dropped since the start, because their copy to the dead queue failed.
    #[must_use]
    pub fn lost_rejection_count(&self) -> u64 {
        self.publisher.lost_rejection_count()
    }
}
