//! Deliveries that arrived and were not taken yet. Never more than the prefetch of one connection: it is emptied when
//! the connection goes, because the broker delivers those messages again.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::delivery::Delivery;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    deliveries: VecDeque<Delivery>,
    paused: bool,
    closed: bool,
}

impl Inbox {
    /// Keeps a delivery, or hands it straight back while paused.
    pub(super) fn push(&self, delivery: Delivery) {
        let mut waiting = self.lock();
        if waiting.paused || waiting.closed {
            drop(waiting);
            drop(delivery);
            return;
        }
        waiting.deliveries.push_back(delivery);
        drop(waiting);
        self.arrived.notify_one();
    }

    /// Breaks with the next delivery, or with `None` once closed and empty; continues while there is nothing yet.
    pub(super) fn take(&self) -> ControlFlow<Option<Delivery>> {
        let mut waiting = self.lock();
        match waiting.deliveries.pop_front() {
            None if !waiting.closed => ControlFlow::Continue(()),
            found => ControlFlow::Break(found),
        }
    }

    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything out; dropping a delivery hands it back.
    pub(super) fn empty(&self) -> VecDeque<Delivery> {
        std::mem::take(&mut self.lock().deliveries)
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.lock().paused = paused;
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_one();
    }

    /// A plain list; a panic elsewhere cannot have left it half changed.
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
