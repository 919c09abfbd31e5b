//! A delivery is settled once.

use thaw_queue::{Delivery, Recorded};

async fn acknowledge(delivery: Delivery, proof: Recorded) {
    delivery.ack(proof).await.unwrap();
    delivery.requeue().await.unwrap();
}

fn main() {}
