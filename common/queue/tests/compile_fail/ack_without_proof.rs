//! A delivery cannot be acknowledged without a proof.

use thaw_queue::Delivery;

async fn acknowledge(delivery: Delivery) {
    delivery.ack().await.unwrap();
}

fn main() {}
