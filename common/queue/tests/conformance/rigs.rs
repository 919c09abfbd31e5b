//! The two implementations behind one face, so that the suite is written once.

use std::future::Future;

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use secrecy::SecretString;
use thaw_harness::TestVhost;
use thaw_queue::in_process::InProcessQueue;
use thaw_queue::rabbitmq::{RabbitOptions, RabbitQueue};
use thaw_queue::{Consumer, Publisher};

/// What the suite needs to know of an implementation besides the contract.
pub(crate) trait Rig {
    fn publisher(&self) -> impl Publisher;
    fn consumer(&self, slots: u16) -> impl Consumer;
    /// Puts foreign bytes on the queue.
    fn push_bytes(&self, bytes: &[u8]) -> impl Future<Output = ()>;
    /// How many messages wait to be delivered.
    fn ready_count(&self) -> impl Future<Output = usize>;
    /// Takes the rejected messages: bytes and reason.
    fn take_dead(&self) -> impl Future<Output = Vec<(Vec<u8>, String)>>;
}

impl Rig for InProcessQueue {
    fn publisher(&self) -> impl Publisher {
        Self::publisher(self)
    }

    fn consumer(&self, slots: u16) -> impl Consumer {
        Self::consumer(self, slots)
    }

    async fn push_bytes(&self, bytes: &[u8]) {
        Self::push_bytes(self, bytes.to_vec());
    }

    async fn ready_count(&self) -> usize {
        Self::ready_count(self)
    }

    async fn take_dead(&self) -> Vec<(Vec<u8>, String)> {
        self.dead_letters().into_iter().map(|letter| (letter.bytes, letter.reason.to_string())).collect()
    }
}

/// RabbitMQ on a virtual host of its own, with a second client that looks at the queues from outside.
pub(crate) struct RabbitRig {
    pub(crate) queue: RabbitQueue,
    pub(crate) vhost: TestVhost,
    outside: Connection,
}

impl RabbitRig {
    pub(crate) async fn new() -> Self {
        let vhost = TestVhost::create();
        let queue = RabbitQueue::new(&options(&vhost.url())).expect("usable options");
        queue.check().await.expect("the broker answers");
        let outside =
            Connection::connect(&vhost.url(), ConnectionProperties::default()).await.expect("connects");
        Self { queue, vhost, outside }
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.outside.create_channel().await.expect("a channel")
    }
}

pub(crate) fn options(url: &str) -> RabbitOptions {
    RabbitOptions::new(SecretString::from(url), "conformance")
}

impl Rig for RabbitRig {
    fn publisher(&self) -> impl Publisher {
        self.queue.publisher()
    }

    fn consumer(&self, slots: u16) -> impl Consumer {
        self.queue.consumer(slots)
    }

    async fn push_bytes(&self, bytes: &[u8]) {
        let channel = self.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let queue = self.queue.names().chunks.as_str().into();
        let options = BasicPublishOptions::default();
        let confirm = channel
            .basic_publish("".into(), queue, options, bytes, BasicProperties::default())
            .await
            .expect("published");
        assert!(confirm.await.expect("confirmed").is_ack());
    }

    async fn ready_count(&self) -> usize {
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = self.queue.names().chunks.as_str().into();
        let declared =
            self.channel().await.queue_declare(queue, options, FieldTable::default()).await.expect("queue");
        usize::try_from(declared.message_count()).expect("small")
    }

    async fn take_dead(&self) -> Vec<(Vec<u8>, String)> {
        let channel = self.channel().await;
        let mut dead = Vec::new();
        loop {
            let queue = self.queue.names().dead.as_str().into();
            let Some(message) = channel.basic_get(queue, BasicGetOptions::default()).await.expect("get")
            else {
                return dead;
            };
            let headers = message.properties.headers().clone().expect("headers");
            let Some(AMQPValue::LongString(reason)) = headers.inner().get("x-thaw-reason") else {
                panic!("a rejected message says why")
            };
            dead.push((message.data.clone(), reason.to_string()));
            message.ack(BasicAckOptions::default()).await.expect("acked");
        }
    }
}
