//! One budget of bytes for the rows that a worker holds, over all slots.
//!
//! Rows take from it from the moment they are read until the driver has passed them on: what a cell, a row and a finished
//! piece fill. Room is taken for buffers, never for rows. Two things keep slots from waiting for each other for ever:
//!
//! - beside the budget, each slot may fill one small buffer and have one small piece on its way to the load, whatever the
//!   others hold;
//! - one slot at a time may go beyond the budget, to finish a row that does not fit. So a row larger than the budget
//!   passes alone, and two rows that have taken half of it each do not wait for each other's half.
//!
//! Up to a quarter of the budget is set aside for compressed bodies that are fetched ahead. So what is held is never more
//! than the budget, one row, two small buffers a slot, and the answer that a statement's first rows come with.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use thaw_telemetry::Metrics;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A slot's buffer, and its one piece, up to here cost nothing. The encoder's pieces of small rows are 256 KiB and what
/// one piece of the body (64 KiB) adds to them.
const SMALL: usize = 1024 * 1024;

/// A compressed body up to this size is fetched ahead as a whole, a larger one is streamed. A partition of 16 MB of JSON is
/// some 3 MB of gzip.
const BODY: usize = 8 * 1024 * 1024;
/// The one that is read, and the one behind it.
const BODIES_PER_SLOT: usize = 2;

/// Bytes that a permit stands for.
const UNIT: usize = 4 * 1024;

/// The budget of a process. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryBudget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    /// All permits.
    total: u32,
    /// Bytes of a body that a slot may fetch ahead; it may hold two of them.
    ahead: usize,
    /// One slot at a time may go beyond the budget.
    beyond: Arc<Semaphore>,
    held: AtomicUsize,
    peak: AtomicUsize,
    metrics: Option<Arc<Metrics>>,
}

impl MemoryBudget {
    /// A budget of so many bytes for so many slots; with none, nothing is set aside for bodies.
    #[must_use]
    pub fn new(bytes: usize, slots: usize, metrics: Option<Arc<Metrics>>) -> Self {
        if let Some(metrics) = &metrics {
            metrics.memory_budget_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        let bodies = slots.saturating_mul(BODIES_PER_SLOT);
        let ahead = (bytes / 4).checked_div(bodies).unwrap_or(0).min(BODY);
        let total = units(bytes - ahead * bodies).max(1);
        let permits = usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                permits: Arc::new(Semaphore::new(permits)),
                total,
                ahead,
                beyond: Arc::new(Semaphore::new(1)),
                held: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
                metrics,
            }),
        }
    }

    /// For who loads alone: a test, a bench.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(usize::MAX, 1, None)
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.held.load(Ordering::Relaxed)
    }

    /// The most that was ever held at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::Relaxed)
    }

    /// The part of one attempt at a chunk.
    pub(crate) fn open(&self) -> Account {
        Account {
            shared: Arc::clone(&self.shared),
            buffer: Held::none(&self.shared),
            one_small: Arc::new(Semaphore::new(1)),
            permits: None,
            beyond: None,
            waits: Waits::default(),
        }
    }
}

/// What an attempt holds in its buffer, and where its pieces take from.
#[derive(Debug)]
pub(crate) struct Account {
    shared: Arc<Shared>,
    /// Dropped before the room that it takes, see [`Charge`].
    buffer: Held,
    one_small: Arc<Semaphore>,
    /// Of the buffer, beyond what is small.
    permits: Option<OwnedSemaphorePermit>,
    /// The buffer is the one that goes beyond the budget.
    beyond: Option<OwnedSemaphorePermit>,
    waits: Waits,
}

/// The waits of one attempt for room, for who must not take them for its source's silence. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    /// Beginnings and ends: odd while it waits.
    edges: Arc<AtomicU64>,
}

impl Waits {
    /// A number to be given to [`Waits::since`].
    pub(crate) fn now(&self) -> u64 {
        self.edges.load(Ordering::SeqCst)
    }

    /// Whether room was waited for at any time since then.
    pub(crate) fn since(&self, then: u64) -> bool {
        let now = self.now();
        now != then || now % 2 == 1
    }

    async fn during<T>(&self, wait: impl Future<Output = T>) -> T {
        self.edges.fetch_add(1, Ordering::SeqCst);
        let over = wait.await;
        self.edges.fetch_add(1, Ordering::SeqCst);
        over
    }
}

impl Account {
    /// Tells these of its waits from now on.
    pub(crate) fn tell(&mut self, waits: &Waits) {
        self.waits = waits.clone();
    }

    /// Bytes of a compressed body that may be fetched as a whole while rows before it are read.
    pub(crate) fn bytes_ahead(&self) -> usize {
        self.shared.ahead
    }

    /// The buffer holds so many bytes now; waits until there is room for them.
    pub(crate) async fn hold(&mut self, bytes: usize) {
        self.buffer.set(bytes);
        let wanted = units(bytes.saturating_sub(SMALL));
        let more = wanted.saturating_sub(count(self.permits.as_ref()));
        if more == 0 || self.beyond.is_some() {
            return;
        }
        // A row larger than the budget goes beyond it even where it has all of it: another may be beyond already.
        let fits = wanted <= self.shared.total;
        match try_take(&self.shared.permits, more).filter(|_| fits) {
            Some(taken) => merge(&mut self.permits, taken),
            // Seldom: what waits need not make every future larger.
            None => {
                let waits = self.waits.clone();
                Box::pin(waits.during(self.wait_to_hold(more, fits))).await;
            }
        }
    }

    async fn wait_to_hold(&mut self, more: u32, fits: bool) {
        self.shared.note_wait();
        tokio::select! {
            biased;
            taken = take(&self.shared.permits, more), if fits => if let Some(taken) = taken { merge(&mut self.permits, taken) },
            beyond = take(&self.shared.beyond, 1) => self.beyond = beyond,
        }
    }

    /// `piece` has left the buffer, in which so many bytes are left; waits until there is room for it on its way. The
    /// room is given back with the last of the bytes that are returned.
    pub(crate) async fn send(&mut self, piece: Bytes, left: usize) -> Bytes {
        self.buffer.set(left);
        let mut held = Held::none(&self.shared);
        held.set(piece.len());
        let needed = units(piece.len()).min(self.shared.total);
        let fits = units(piece.len().saturating_sub(SMALL)) <= self.shared.total;
        let (from_buffer, kept) = divide(self.permits.take(), needed, units(left.saturating_sub(SMALL)));
        self.permits = kept;
        let mut charge = Charge { piece, _held: held, permits: from_buffer, pass: self.beyond.take() };
        let more = needed - count(charge.permits.as_ref());
        if charge.pass.is_none() && (more > 0 || !fits) {
            match try_take(&self.shared.permits, more).filter(|_| fits) {
                Some(taken) => merge(&mut charge.permits, taken),
                None => Box::pin(self.waits.during(self.wait_for_room((more, fits), &mut charge))).await,
            }
        }
        Bytes::from_owner(charge)
    }

    async fn wait_for_room(&self, (more, fits): (u32, bool), charge: &mut Charge) {
        let is_small = charge.piece.len() <= SMALL;
        if is_small && let Some(small) = try_take(&self.one_small, 1) {
            charge.pass = Some(small);
            return;
        }
        self.shared.note_wait();
        tokio::select! {
            biased;
            taken = take(&self.shared.permits, more), if fits => if let Some(taken) = taken { merge(&mut charge.permits, taken) },
            small = take(&self.one_small, 1), if is_small => charge.pass = small,
            beyond = take(&self.shared.beyond, 1), if !is_small => charge.pass = beyond,
        }
    }
}

impl Shared {
    fn note_wait(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.memory_waits.inc();
        }
    }

    fn note(&self, before: usize, now: usize) {
        let held = if now >= before {
            self.held.fetch_add(now - before, Ordering::Relaxed) + (now - before)
        } else {
            self.held.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
        };
        self.peak.fetch_max(held, Ordering::Relaxed);
        if let Some(metrics) = &self.metrics {
            metrics.inflight_bytes.set(i64::try_from(held).unwrap_or(i64::MAX));
        }
    }
}

/// A piece on its way, and the room that it takes until it is dropped.
///
/// Fields are dropped in this order: who waits for the room finds the bytes gone when it gets it.
struct Charge {
    piece: Bytes,
    _held: Held,
    permits: Option<OwnedSemaphorePermit>,
    /// To go beyond the budget, as the slot's one small piece or as the one large one.
    pass: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Charge {
    fn as_ref(&self) -> &[u8] {
        &self.piece
    }
}

/// Bytes that are counted as held until they are dropped.
#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Held {
    fn none(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared), bytes: 0 }
    }

    fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.shared.note(self.bytes, bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

fn count(permits: Option<&OwnedSemaphorePermit>) -> u32 {
    permits.map_or(0, |permits| u32::try_from(permits.num_permits()).unwrap_or(u32::MAX))
}

/// Takes up to `first` for one, then up to `second` for another; what is left is given back.
fn divide(
    permits: Option<OwnedSemaphorePermit>,
    first: u32,
    second: u32,
) -> (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>) {
    let Some(mut permits) = permits else { return (None, None) };
    let mut part = |wanted: u32| {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(permits.num_permits());
        if wanted == 0 { None } else { permits.split(wanted) }
    };
    let one = part(first);
    (one, part(second))
}

fn merge(into: &mut Option<OwnedSemaphorePermit>, taken: OwnedSemaphorePermit) {
    match into {
        Some(permits) => permits.merge(taken),
        None => *into = Some(taken),
    }
}

fn try_take(from: &Arc<Semaphore>, permits: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(from).try_acquire_many_owned(permits).ok()
}

/// `None`: it was closed, which nobody does.
async fn take(from: &Arc<Semaphore>, permits: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(from).acquire_many_owned(permits).await.ok()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MB: usize = 1024 * 1024;

    fn piece(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[test]
    fn pieces_take_from_the_budget_and_give_back_with_their_last_byte() {
        let budget = MemoryBudget::new(8 * MB, 0, None);
        let (mut one, mut two) = (budget.open(), budget.open());
        let mut first = one.send(piece(5 * MB), 0).now_or_never().expect("room");
        let part = first.split_to(MB);
        assert_eq!(budget.held(), 5 * MB);
        let mut beyond = Box::pin(two.send(piece(5 * MB), 0)).now_or_never();
        assert!(beyond.take().is_some(), "one piece may go beyond");
        drop(first);
        assert_eq!(budget.held(), 5 * MB, "a part is still on its way");
        drop(part);
        assert_eq!((budget.held(), budget.peak()), (0, 10 * MB));
    }

    #[test]
    fn a_quarter_at_most_is_set_aside_for_bodies() {
        for (bytes, slots, ahead) in [(256 * MB, 1, BODY), (256 * MB, 16, 2 * MB), (MB, 4, 32 * 1024)] {
            let budget = MemoryBudget::new(bytes, slots, None);
            assert_eq!(budget.open().bytes_ahead(), ahead);
            let rows = usize::try_from(budget.shared.total).expect("small") * UNIT;
            assert_eq!(rows + slots * BODIES_PER_SLOT * ahead, bytes, "bodies and rows together");
        }
    }

    #[test]
    fn a_slot_always_has_a_small_buffer_and_a_small_piece_of_its_own() {
        let budget = MemoryBudget::new(MB, 0, None);
        let (mut greedy, mut modest) = (budget.open(), budget.open());
        let all = greedy.send(piece(MB), 0).now_or_never().expect("room");
        modest.hold(SMALL).now_or_never().expect("a small buffer");
        let small = modest.send(piece(SMALL / 2), 0).now_or_never().expect("a small piece");
        assert!(modest.send(piece(SMALL / 2), 0).now_or_never().is_none(), "one");
        drop(small);
        let small = modest.send(piece(SMALL / 2), 0).now_or_never().expect("the next one");
        drop(all);
        let second = modest.send(piece(SMALL / 2), 0).now_or_never().expect("of the budget");
        drop((small, second));
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn of_two_rows_larger_than_the_budget_one_waits_though_it_has_all_of_it() {
        let budget = MemoryBudget::new(4 * MB, 0, None);
        let (mut one, mut two) = (budget.open(), budget.open());
        one.hold(SMALL + 4 * MB).now_or_never().expect("all of it");
        two.hold(SMALL + 20 * MB).now_or_never().expect("goes beyond");
        assert!(one.hold(SMALL + 20 * MB).now_or_never().is_none(), "one at a time");
        drop(two.send(piece(SMALL + 20 * MB), 0).now_or_never().expect("is charged already"));
        one.hold(SMALL + 20 * MB).now_or_never().expect("its turn");
        drop(one.send(piece(SMALL + 20 * MB), 0).now_or_never().expect("is charged already"));
        assert_eq!(budget.held(), 0);
        two.hold(SMALL + 4 * MB).now_or_never().expect("all permits are there again");
    }

    #[test]
    fn of_rows_that_do_not_fit_beside_each_other_one_goes_on() {
        let budget = MemoryBudget::new(4 * MB, 0, None);
        let (mut one, mut two) = (budget.open(), budget.open());
        for account in [&mut one, &mut two] {
            account.hold(SMALL + 2 * MB).now_or_never().expect("half each");
        }
        one.hold(SMALL + 20 * MB).now_or_never().expect("goes beyond");
        assert!(two.hold(SMALL + 3 * MB).now_or_never().is_none(), "the other waits");
        let sent = one.send(piece(SMALL + 20 * MB), 0).now_or_never().expect("is charged already");
        assert!(two.hold(SMALL + 3 * MB).now_or_never().is_none(), "until it has passed");
        drop(sent);
        two.hold(SMALL + 3 * MB).now_or_never().expect("room");
        drop(two);
        assert_eq!(budget.held(), 0, "what is dropped in the middle of a row gives its room back");
        let whole = one.send(piece(4 * MB), 0).now_or_never().expect("all permits are there again");
        drop(whole);
    }
}
