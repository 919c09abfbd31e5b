//! The queue of `planner run --local`: the same contract inside one process.
//!
//! Messages travel encoded, as they would over the wire, so that both implementations share the codec and the dead
//! queue. Nothing survives the process, and nothing has to: the status tables do.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thaw_model::Job;
use tokio::sync::{Notify, watch};

use crate::delivery::{self, Delivery, Rejection};
use crate::error::QueueError;
use crate::link::LinkState;

/// A queue inside this process. Clones are handles to the same queue.
#[derive(Debug, Clone, Default)]
pub struct InProcessQueue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Vec<u8>>,
    dead: Vec<DeadLetter>,
    closed: bool,
}

/// A rejected message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub bytes: Vec<u8>,
    pub reason: Rejection,
}

impl InProcessQueue {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn publisher(&self) -> InProcessPublisher {
        InProcessPublisher { shared: Arc::clone(&self.shared) }
    }

    /// A consumer that has at most `prefetch` unsettled deliveries at a time (at least one).
    #[must_use]
    pub fn consumer(&self, prefetch: u16) -> InProcessConsumer {
        let (link, _) = watch::channel(LinkState::Connected);
        InProcessConsumer {
            shared: Arc::clone(&self.shared),
            slots: Arc::new(Slots { free: Mutex::new(usize::from(prefetch.max(1))), changed: Notify::new() }),
            paused: false,
            link,
        }
    }

    /// Puts raw bytes on the queue, as a foreign or newer program might.
    pub fn push_bytes(&self, bytes: Vec<u8>) {
        self.shared.lock().ready.push_back(bytes);
        self.shared.changed.notify_waiters();
    }

    /// Drops every message that is not delivered.
    pub fn purge(&self) {
        self.shared.lock().ready.clear();
    }

    /// How many messages wait to be delivered.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.shared.lock().ready.len()
    }

    /// What was rejected so far.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.shared.lock().dead.clone()
    }

    /// Ends the queue: consumers get `None`, publishers an error.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_waiters();
    }
}

impl Shared {
    /// The state is a plain list; a panic elsewhere cannot have left it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The publishing end.
#[derive(Debug, Clone)]
pub struct InProcessPublisher {
    shared: Arc<Shared>,
}

impl crate::Publisher for InProcessPublisher {
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        {
            let mut state = self.shared.lock();
            if state.closed {
                return Err(QueueError::Closed);
            }
            state.ready.extend(jobs.iter().map(Job::encode));
        }
        self.shared.changed.notify_waiters();
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// How many more deliveries one consumer may have.
#[derive(Debug)]
struct Slots {
    free: Mutex<usize>,
    changed: Notify,
}

impl Slots {
    fn take(&self) -> bool {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = *free > 0;
        if taken {
            *free -= 1;
        }
        taken
    }

    fn give(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_waiters();
    }
}

/// The consuming end.
#[derive(Debug)]
pub struct InProcessConsumer {
    shared: Arc<Shared>,
    slots: Arc<Slots>,
    paused: bool,
    link: watch::Sender<LinkState>,
}

impl InProcessConsumer {
    fn try_next(&self) -> Option<Delivery> {
        let mut state = self.shared.lock();
        // The slot last: taking one in vain and giving it back would wake ourselves for ever.
        if self.paused || state.ready.is_empty() || !self.slots.take() {
            return None;
        }
        let bytes = state.ready.pop_front()?;
        drop(state);
        let receipt = Receipt {
            bytes: Some(bytes.clone()),
            shared: Arc::clone(&self.shared),
            slots: Arc::clone(&self.slots),
        };
        Some(Delivery::new(&bytes, delivery::Receipt::InProcess(receipt)))
    }
}

impl crate::Consumer for InProcessConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let shared = Arc::clone(&self.shared);
        let slots = Arc::clone(&self.slots);
        loop {
            // Registered before looking, so that a change in between is not missed.
            let message = shared.changed.notified();
            let slot = slots.changed.notified();
            tokio::pin!(message, slot);
            message.as_mut().enable();
            slot.as_mut().enable();
            if let Some(delivery) = self.try_next() {
                return Some(delivery);
            }
            if shared.lock().closed {
                return None;
            }
            tokio::select! {
                () = message => {}
                () = slot => {}
            }
        }
    }

    async fn pause(&mut self) {
        self.paused = true;
    }

    async fn resume(&mut self) {
        self.paused = false;
    }

    async fn close(self) {
        self.link.send_replace(LinkState::Disconnected { reason: "closed".to_owned() });
    }

    fn link(&self) -> watch::Receiver<LinkState> {
        self.link.subscribe()
    }
}

/// The obligation to settle one in-process delivery.
#[derive(Debug)]
pub(crate) struct Receipt {
    /// `None` once settled.
    bytes: Option<Vec<u8>>,
    shared: Arc<Shared>,
    slots: Arc<Slots>,
}

impl Receipt {
    pub(crate) fn ack(mut self) {
        self.bytes = None;
    }

    pub(crate) fn requeue(self) {
        drop(self);
    }

    pub(crate) fn reject(mut self, reason: Rejection) {
        if let Some(bytes) = self.bytes.take() {
            self.shared.lock().dead.push(DeadLetter { bytes, reason });
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            self.shared.lock().ready.push_front(bytes);
            self.shared.changed.notify_waiters();
        }
        self.slots.give();
    }
}
