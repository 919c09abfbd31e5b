//! What a chunk is about is no proof of what became of it.

use thaw_queue::Delivery;
use thaw_status::Item;

async fn acknowledge(delivery: Delivery, item: Item) {
    delivery.ack(item).await.unwrap();
}

fn main() {}
