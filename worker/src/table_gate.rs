//! How much is done about tables at a time, besides their chunks.
//!
//! A start or a finalize holds a connection for as long as its statements take, and there is a look at a table after
//! every chunk. So few are let in at a time, and while one look at a table waits, a second would see nothing more.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thaw_model::TableId;
use tokio::sync::{Semaphore, SemaphorePermit};

type Key = (String, TableId);

/// Lets a few in at a time, and lets one wait for each table.
#[derive(Debug)]
pub struct TableGate {
    permits: Semaphore,
    waiting: Mutex<HashSet<Key>>,
}

impl TableGate {
    /// A gate for so many at a time.
    #[must_use]
    pub fn new(at_a_time: usize) -> Self {
        Self { permits: Semaphore::new(at_a_time), waiting: Mutex::default() }
    }

    /// Waits to be let in. `None`: somebody waits for this table already, and will see what there is to see.
    pub async fn enter(&self, database: &str, table: TableId) -> Option<SemaphorePermit<'_>> {
        let place = self.queue_up((database.to_owned(), table))?;
        let permit = self.permits.acquire().await.ok();
        // Given up before the look, so that what happens from now on is looked at again.
        drop(place);
        permit
    }

    fn queue_up(&self, key: Key) -> Option<Place<'_>> {
        // Made only when it is ours: a place that is dropped gives the other's up.
        self.waiting().insert(key.clone()).then(|| Place { gate: self, key })
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; given up when dropped.
struct Place<'a> {
    gate: &'a TableGate,
    key: Key,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.gate.waiting().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn few_are_in_at_a_time_and_one_waits_for_each_table() {
        let gate = TableGate::new(2);
        let enter = |table| gate.enter("db", TableId(table));
        let first = enter(1).now_or_never().expect("room").expect("let in");
        let second = enter(1).now_or_never().expect("room").expect("the first no longer waits");
        let mut third = Box::pin(enter(1));
        assert!(third.as_mut().now_or_never().is_none(), "two are in");
        assert!(enter(1).now_or_never().expect("answers at once").is_none(), "the third looks for both");
        assert!(enter(2).now_or_never().is_none(), "another table waits for itself");
        drop(first);
        assert!(third.now_or_never().expect("room").is_some());
        drop(second);
    }

    #[test]
    fn who_gives_up_waiting_leaves_no_place_behind() {
        let gate = TableGate::new(1);
        let inside = gate.enter("db", TableId(1)).now_or_never().expect("room").expect("let in");
        assert!(gate.enter("db", TableId(2)).now_or_never().is_none(), "dropped while it waits");
        drop(inside);
        assert!(gate.enter("db", TableId(2)).now_or_never().expect("room").is_some());
    }
}
