//! The contract, one function a clause, run for each implementation.

use std::collections::HashSet;
use std::time::Duration;

use thaw_harness::wait;
use thaw_model::Job;
use thaw_queue::in_process::InProcessQueue;
use thaw_queue::{Consumer, Delivery, Publisher, QueueError, Rejection};
use tokio::time::timeout;

use crate::proofs::{Proofs, jobs};
use crate::rigs::{RabbitRig, Rig};

const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) async fn next(consumer: &mut impl Consumer) -> Delivery {
    timeout(DEADLINE, consumer.next()).await.expect("a delivery arrives").expect("the queue is open")
}

pub(crate) fn job_of(delivery: &Delivery) -> Job {
    delivery.job().expect("a job").clone()
}

async fn await_ready(rig: &impl Rig, count: usize) {
    wait::until(&format!("{count} messages ready"), DEADLINE, async || Ok(rig.ready_count().await == count))
        .await
        .expect("in time");
}

async fn a_job_arrives_as_it_was_published_and_is_gone_after_its_ack(rig: impl Rig, proofs: Proofs) {
    let published = jobs(1);
    let mut consumer = rig.consumer(4);
    rig.publisher().publish(&published).await.expect("published");
    let delivery = next(&mut consumer).await;
    assert_eq!(job_of(&delivery), published[0]);
    delivery.ack(proofs.of(&published[0]).await).await.expect("acked");
    consumer.close().await;
    await_ready(&rig, 0).await;
}

async fn publishing_nothing_succeeds(rig: impl Rig, _proofs: Proofs) {
    rig.publisher().publish(&[]).await.expect("published");
    assert_eq!(rig.ready_count().await, 0);
}

async fn jobs_wait_for_a_consumer(rig: impl Rig, _proofs: Proofs) {
    rig.publisher().publish(&jobs(3)).await.expect("published");
    await_ready(&rig, 3).await;
    let mut consumer = rig.consumer(1);
    next(&mut consumer).await;
}

async fn an_idle_consumer_waits_without_keeping_others_from_running(rig: impl Rig, _proofs: Proofs) {
    let mut consumer = rig.consumer(1);
    assert!(
        timeout(Duration::from_millis(200), consumer.next()).await.is_err(),
        "there is nothing to receive"
    );
}

async fn a_requeued_job_is_delivered_again(rig: impl Rig, _proofs: Proofs) {
    let published = jobs(1);
    let mut consumer = rig.consumer(1);
    rig.publisher().publish(&published).await.expect("published");
    next(&mut consumer).await.requeue().await.expect("requeued");
    assert_eq!(job_of(&next(&mut consumer).await), published[0]);
}

async fn a_delivery_dropped_unsettled_comes_again_and_its_slot_is_free(rig: impl Rig, _proofs: Proofs) {
    let published = jobs(1);
    let mut consumer = rig.consumer(1);
    rig.publisher().publish(&published).await.expect("published");
    drop(next(&mut consumer).await);
    assert_eq!(job_of(&next(&mut consumer).await), published[0]);
}

async fn a_consumer_takes_no_more_than_its_slots(rig: impl Rig, _proofs: Proofs) {
    let published = jobs(5);
    let mut greedy = rig.consumer(2);
    rig.publisher().publish(&published).await.expect("published");
    let held = [next(&mut greedy).await, next(&mut greedy).await];
    let mut other = rig.consumer(3);
    let rest = [next(&mut other).await, next(&mut other).await, next(&mut other).await];
    let seen: HashSet<Job> = held.iter().chain(&rest).map(job_of).collect();
    assert_eq!(seen, published.into_iter().collect());
}

async fn a_settled_delivery_frees_its_slot(rig: impl Rig, proofs: Proofs) {
    let published = jobs(3);
    let mut consumer = rig.consumer(1);
    rig.publisher().publish(&published).await.expect("published");
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        let proof = proofs.of(&job_of(&delivery)).await;
        delivery.ack(proof).await.expect("acked");
    }
    consumer.close().await;
    await_ready(&rig, 0).await;
}

async fn undecodable_bytes_go_to_the_dead_queue_as_they_were(rig: impl Rig, proofs: Proofs) {
    let published = jobs(1);
    let mut consumer = rig.consumer(1);
    rig.push_bytes(b"\xff\x00 no job").await;
    rig.publisher().publish(&published).await.expect("published");
    let poisonous = next(&mut consumer).await;
    assert_eq!(poisonous.job().expect_err("no job").length, 9);
    poisonous.reject(Rejection::Undecodable).await.expect("rejected");
    let delivery = next(&mut consumer).await;
    let proof = proofs.of(&published[0]).await;
    assert_eq!(job_of(&delivery), published[0], "the next message is not the rejected one again");
    delivery.ack(proof).await.expect("acked");
    assert_eq!(rig.take_dead().await, [(b"\xff\x00 no job".to_vec(), "undecodable".to_owned())]);
}

async fn a_job_of_an_unknown_database_can_be_rejected_with_its_bytes(rig: impl Rig, _proofs: Proofs) {
    let published = jobs(1);
    let mut consumer = rig.consumer(1);
    rig.publisher().publish(&published).await.expect("published");
    next(&mut consumer).await.reject(Rejection::UnknownDatabase).await.expect("rejected");
    let dead = rig.take_dead().await;
    assert_eq!(dead, [(published[0].encode(), "unknown_database".to_owned())]);
}

async fn a_proof_of_another_chunk_does_not_acknowledge(rig: impl Rig, proofs: Proofs) {
    let published = jobs(2);
    let mut consumer = rig.consumer(1);
    rig.publisher().publish(&published[..1]).await.expect("published");
    let foreign = proofs.of(&published[1]).await;
    let refused = next(&mut consumer).await.ack(foreign).await;
    assert!(matches!(refused, Err(QueueError::ForeignProof)), "{refused:?}");
    assert_eq!(job_of(&next(&mut consumer).await), published[0], "the message was handed back");
}

async fn a_paused_consumer_hands_back_what_it_has_not_returned(rig: impl Rig, proofs: Proofs) {
    let published = jobs(3);
    let mut paused = rig.consumer(3);
    rig.publisher().publish(&published).await.expect("published");
    let running = next(&mut paused).await;
    paused.pause().await;
    let mut other = rig.consumer(3);
    let mut seen = HashSet::from([job_of(&running)]);
    let rest = [next(&mut other).await, next(&mut other).await];
    seen.extend(rest.iter().map(job_of));
    assert_eq!(seen, published.into_iter().collect());
    let proof = proofs.of(&job_of(&running)).await;
    running.ack(proof).await.expect("what runs can still be settled");
    assert!(timeout(Duration::from_millis(200), paused.next()).await.is_err(), "a paused consumer is silent");
}

async fn a_resumed_consumer_receives_again(rig: impl Rig, _proofs: Proofs) {
    let published = jobs(1);
    let mut consumer = rig.consumer(1);
    consumer.pause().await;
    consumer.pause().await;
    rig.publisher().publish(&published).await.expect("published");
    await_ready(&rig, 1).await;
    consumer.resume().await;
    assert_eq!(job_of(&next(&mut consumer).await), published[0]);
}

async fn a_closed_consumer_leaves_what_it_has_not_returned(rig: impl Rig, proofs: Proofs) {
    let published = jobs(3);
    let mut consumer = rig.consumer(3);
    rig.publisher().publish(&published).await.expect("published");
    let delivery = next(&mut consumer).await;
    let proof = proofs.of(&job_of(&delivery)).await;
    delivery.ack(proof).await.expect("acked");
    consumer.close().await;
    await_ready(&rig, 2).await;
}

async fn a_dropped_next_loses_nothing(rig: impl Rig, proofs: Proofs) {
    let published = jobs(30);
    let mut consumer = rig.consumer(2);
    rig.publisher().publish(&published).await.expect("published");
    let mut seen = HashSet::new();
    let started = std::time::Instant::now();
    while seen.len() < published.len() {
        assert!(started.elapsed() < DEADLINE, "only {} of {} arrived", seen.len(), published.len());
        if let Ok(delivery) = timeout(Duration::from_micros(300), consumer.next()).await {
            let delivery = delivery.expect("the queue is open");
            let job = job_of(&delivery);
            delivery.ack(proofs.of(&job).await).await.expect("acked");
            assert!(seen.insert(job), "delivered twice");
        }
    }
}

async fn the_link_of_a_working_consumer_is_connected(rig: impl Rig, _proofs: Proofs) {
    let consumer = rig.consumer(1);
    let mut link = consumer.link();
    let connected = timeout(DEADLINE, link.wait_for(thaw_queue::LinkState::is_connected)).await;
    assert!(connected.expect("in time").is_ok());
    consumer.close().await;
    assert!(!link.borrow().is_connected());
}

/// Every clause for both implementations; a clause that is not listed is dead code, which the compiler reports.
macro_rules! conformance {
    ($($clause:ident),+ $(,)?) => {
        mod in_process {
            use super::{InProcessQueue, Proofs};
            $(#[tokio::test]
            async fn $clause() {
                super::$clause(InProcessQueue::new(), Proofs::new().await).await;
            })+
        }

        mod rabbitmq {
            use super::{Proofs, RabbitRig};
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                super::$clause(RabbitRig::new().await, Proofs::new().await).await;
            })+
        }
    };
}

conformance!(
    a_job_arrives_as_it_was_published_and_is_gone_after_its_ack,
    publishing_nothing_succeeds,
    jobs_wait_for_a_consumer,
    an_idle_consumer_waits_without_keeping_others_from_running,
    a_requeued_job_is_delivered_again,
    a_delivery_dropped_unsettled_comes_again_and_its_slot_is_free,
    a_consumer_takes_no_more_than_its_slots,
    a_settled_delivery_frees_its_slot,
    undecodable_bytes_go_to_the_dead_queue_as_they_were,
    a_job_of_an_unknown_database_can_be_rejected_with_its_bytes,
    a_proof_of_another_chunk_does_not_acknowledge,
    a_paused_consumer_hands_back_what_it_has_not_returned,
    a_resumed_consumer_receives_again,
    a_closed_consumer_leaves_what_it_has_not_returned,
    a_dropped_next_loses_nothing,
    the_link_of_a_working_consumer_is_connected,
);
