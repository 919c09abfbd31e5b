//! What a broker does to its clients: lost connections, lost queues, silence, alarms, refusals.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{QueueDeleteOptions, QueuePurgeOptions};
use secrecy::SecretString;
use thaw_harness::{RabbitServer, TestVhost};
use thaw_queue::rabbitmq::{RabbitConsumer, RabbitOptions, RabbitQueue};
use thaw_queue::{Consumer, LinkState, Publisher, QueueError};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::proofs::{Proofs, jobs};
use crate::proxy::Proxy;
use crate::rigs::{RabbitRig, Rig, options};
use crate::suite::{job_of, next};

const DEADLINE: Duration = Duration::from_secs(30);

async fn await_link(consumer: &RabbitConsumer, connected: bool) -> LinkState {
    let mut link = consumer.link();
    timeout(DEADLINE, link.wait_for(|state| state.is_connected() == connected))
        .await
        .expect("the link changes in time")
        .expect("the consumer lives")
        .clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_jobs_are_confirmed_in_windows() {
    let rig = RabbitRig::new().await;
    rig.publisher().publish(&jobs(3_000)).await.expect("published");
    assert_eq!(rig.ready_count().await, 3_000);
}

/// Deletes the chunk queue; a publish right afterwards finds it gone and declares it again in the same moment.
async fn delete_queue(rig: &RabbitRig) {
    let queue = rig.queue.names().chunks.as_str();
    rig.channel().await.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("deleted");
}

/// The same queue, by a client whose consumers are soon tired of silence.
fn impatient(rig: &RabbitRig) -> RabbitQueue {
    let silence = Duration::from_secs(1);
    RabbitQueue::new(&RabbitOptions { silence, ..options(&rig.vhost.url()) }).expect("usable options")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_that_is_back_at_once_delivers_to_its_consumer() {
    for round in 0..3 {
        let rig = RabbitRig::new().await;
        let queue = impatient(&rig);
        let publisher = queue.publisher();
        let mut consumer = queue.consumer(2);
        await_link(&consumer, true).await;
        let first = jobs(1);
        publisher.publish(&first).await.expect("published");
        let held = next(&mut consumer).await;
        delete_queue(&rig).await;
        let second = jobs(1);
        publisher.publish(&second).await.expect("a message that was returned is published again");
        assert_eq!(job_of(&next(&mut consumer).await), second[0], "round {round}");
        assert_eq!(job_of(&held), first[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_queue_that_is_back_at_once_delivers_to_each_of_a_fleet() {
    let rig = RabbitRig::new().await;
    let publisher = rig.queue.publisher();
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let consumer = rig.queue.consumer(1);
        await_link(&consumer, true).await;
        consumers.push(consumer);
    }
    publisher.publish(&jobs(3)).await.expect("published");
    let held = join_all(consumers.iter_mut().map(next)).await;
    delete_queue(&rig).await;
    publisher.publish(&jobs(3)).await.expect("published");
    drop(held);
    // One slot each, and nobody settles: one message for each of them.
    join_all(consumers.iter_mut().map(next)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_queue_delivers_what_comes_in_the_end() {
    let rig = RabbitRig::new().await;
    let queue = impatient(&rig);
    let mut consumer = queue.consumer(1);
    await_link(&consumer, true).await;
    // Long enough for it to be made anew several times; the connection stays.
    assert!(timeout(Duration::from_secs(7), consumer.next()).await.is_err());
    let connections = rig.vhost.control().run(&["list_connections", "--quiet", "vhost"]).expect("listed");
    let ours = connections.lines().filter(|line| *line == rig.vhost.name()).count();
    let published = jobs(1);
    queue.publisher().publish(&published).await.expect("published");
    assert_eq!(job_of(&next(&mut consumer).await), published[0]);
    assert!(consumer.link().borrow().is_connected());
    // The rig's own and the consumer's.
    assert_eq!(ours, 2, "{connections}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_queue_goes_on() {
    let rig = RabbitRig::new().await;
    rig.publisher().publish(&jobs(5)).await.expect("published");
    let queue = rig.queue.names().chunks.as_str();
    rig.channel().await.queue_purge(queue.into(), QueuePurgeOptions::default()).await.expect("purged");
    let later = jobs(1);
    rig.publisher().publish(&later).await.expect("published");
    assert_eq!(job_of(&next(&mut rig.queue.consumer(2)).await), later[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_built_again_and_its_delivery_comes_again() {
    let rig = RabbitRig::new().await;
    let proofs = Proofs::new().await;
    let published = jobs(1);
    let publisher = rig.queue.publisher();
    let mut consumer = rig.queue.consumer(1);
    publisher.publish(&published).await.expect("published");
    let held = next(&mut consumer).await;
    rig.vhost.rabbitmqctl("close_all_connections", &["test"]).expect("closed");
    let again = next(&mut consumer).await;
    assert_eq!(job_of(&again), published[0]);
    let late = held.ack(proofs.of(&published[0]).await).await;
    assert!(
        matches!(late, Err(QueueError::DeliveryLost)),
        "an ack on a dead channel is no success: {late:?}"
    );
    again.ack(proofs.of(&published[0]).await).await.expect("acked");
    publisher.publish(&jobs(1)).await.expect("the publisher connects again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_noticed_within_a_few_heartbeats() {
    let vhost = TestVhost::create();
    let mut url = Url::parse(&vhost.url()).expect("a URL");
    let upstream = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
    let proxy = Proxy::in_front_of(upstream).await;
    url.set_port(Some(proxy.port())).expect("a port");
    let quick = RabbitOptions { heartbeat: Duration::from_secs(1), ..options(url.as_str()) };
    let queue = RabbitQueue::new(&quick).expect("usable options");
    let mut consumer = queue.consumer(1);
    await_link(&consumer, true).await;

    proxy.stall();
    let stalled = Instant::now();
    await_link(&consumer, false).await;
    assert!(stalled.elapsed() < Duration::from_secs(5), "noticed after {:?}", stalled.elapsed());

    proxy.flow();
    await_link(&consumer, true).await;
    let published = jobs(1);
    queue.publisher().publish(&published).await.expect("published");
    assert_eq!(job_of(&next(&mut consumer).await), published[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_killed_and_started_again_has_every_confirmed_job() {
    let mut server = RabbitServer::start().expect("a broker");
    let queue = RabbitQueue::new(&options(&server.url())).expect("usable options");
    let published = jobs(200);
    queue.publisher().publish(&published).await.expect("published");
    let mut consumer = queue.consumer(4);
    drop(next(&mut consumer).await);
    server.kill9().expect("killed");
    await_link(&consumer, false).await;
    server.launch().expect("started again");
    let proofs = Proofs::new().await;
    let mut missing: std::collections::HashSet<_> = published.into_iter().collect();
    while !missing.is_empty() {
        let delivery = next(&mut consumer).await;
        let job = job_of(&delivery);
        delivery.ack(proofs.of(&job).await).await.expect("acked");
        missing.remove(&job);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm_blocks_publishers_with_a_reason_and_leaves_consumers_alone() {
    let server = RabbitServer::start().expect("a broker");
    let proofs = Proofs::new().await;
    let queue = RabbitQueue::new(&options(&server.url())).expect("usable options");
    let publisher = queue.publisher();
    let published = jobs(2);
    publisher.publish(&published).await.expect("published");

    server.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1"]).expect("alarm");
    // The broker tells a connection that it is blocked when that connection publishes.
    let refused = timeout(Duration::from_secs(60), publisher.publish(&jobs(1))).await.expect("no hang");
    let error = refused.expect_err("an alarm is on");
    assert!(matches!(&error, QueueError::Blocked { reason } if !reason.is_empty()), "{error:?}");
    let mut consumer = queue.consumer(1);
    let delivery = next(&mut consumer).await;
    let proof = proofs.of(&job_of(&delivery)).await;
    delivery.ack(proof).await.expect("acks go through");
    next(&mut consumer).await.requeue().await.expect("so do requeues");
    timeout(DEADLINE, consumer.close()).await.expect("closing does not hang");

    server.rabbitmqctl(&["set_vm_memory_high_watermark", "absolute", "1GB"]).expect("alarm over");
    publisher.publish(&jobs(1)).await.expect("the same connection publishes again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_an_error_without_the_password() {
    let vhost = TestVhost::create();
    let mut url = Url::parse(&vhost.url()).expect("a URL");
    url.set_password(Some("hunter2")).expect("a password");
    let queue = RabbitQueue::new(&options(url.as_str())).expect("usable options");
    let error = queue.check().await.expect_err("refused");
    let text = thaw_model::ErrorReport::of(&error).text;
    assert!(matches!(&error, QueueError::LoginRefused { user } if user == url.username()), "{text}");
    let debug = format!("{error:?} {queue:?} {:?}", queue.publisher());
    assert!(!text.contains("hunter2") && !debug.contains("hunter2"), "{text} {debug}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_without_an_address_is_named() {
    let url = SecretString::from("amqp://guest:guest@broker.invalid/%2f");
    let queue = RabbitQueue::new(&RabbitOptions::new(url, "test")).expect("usable options");
    let error = queue.check().await.expect_err("no such host");
    assert!(matches!(&error, QueueError::Unresolved { host, .. } if host == "broker.invalid"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_broker_is_named_by_its_address() {
    let url = SecretString::from("amqp://guest:guest@127.0.0.1:1/%2f");
    let queue = RabbitQueue::new(&RabbitOptions::new(url, "test")).expect("usable options");
    let error = queue.check().await.expect_err("nobody listens there");
    assert!(
        matches!(&error, QueueError::Unreachable { address, .. } if address == "127.0.0.1:1"),
        "{error:?}"
    );
    let refused = queue.publisher().publish(&jobs(1)).await;
    assert!(matches!(refused, Err(QueueError::Unreachable { .. })), "{refused:?}");
    timeout(DEADLINE, queue.consumer(1).close()).await.expect("closing does not wait for the broker");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vhost_that_is_missing_is_a_reason_until_it_is_there() {
    let vhost = TestVhost::create();
    let mut url = Url::parse(&vhost.url()).expect("a URL");
    let name = format!("{}_later", vhost.name());
    url.set_path(&name);
    let queue = RabbitQueue::new(&options(url.as_str())).expect("usable options");
    let mut consumer = queue.consumer(1);
    let mut link = consumer.link();
    let told = timeout(DEADLINE, link.wait_for(|state| state.to_string().contains(&name))).await;
    assert!(told.expect("the reason names the virtual host").is_ok());
    let control = vhost.control();
    control.run(&["add_vhost", &name]).expect("added");
    control.run(&["set_permissions", "-p", &name, url.username(), ".*", ".*", ".*"]).expect("permitted");
    await_link(&consumer, true).await;
    let published = jobs(1);
    queue.publisher().publish(&published).await.expect("published");
    assert_eq!(job_of(&next(&mut consumer).await), published[0]);
    consumer.close().await;
    control.run(&["delete_vhost", &name]).expect("deleted");
}
