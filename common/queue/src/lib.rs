//! The queue between planner and workers: hints on a wire, acknowledged only with proof.
//!
//! A message says "look at this row" and nothing else; the status tables decide (law 1). Whatever happens to a
//! message (lost, doubled, late, reordered) costs a spare claim, never a row. The seam is three narrow types,
//! [`Publisher`], [`Consumer`] and [`Delivery`], with two implementations, [`rabbitmq`] and [`in_process`], held to
//! one conformance suite.
//!
//! This crate knows neither chunks' ranges nor SQL. Of the status store it knows one thing: [`Recorded`], the proof
//! that [`Delivery::ack`] takes, which only a committed statement of the status store can make.

mod delivery;
mod error;
pub mod in_process;
mod link;
pub mod rabbitmq;

use std::future::Future;

pub use delivery::{Delivery, Rejection, Undecodable};
pub use error::QueueError;
pub use link::LinkState;
use thaw_model::Job;
pub use thaw_status::Recorded;
use tokio::sync::watch;

/// Puts hints on the queue. Cheap to clone; clones share one connection.
pub trait Publisher: Clone + Send + Sync + 'static {
    /// Resolves with `Ok` only when the queue has confirmed every job; an empty slice is `Ok` at once.
    ///
    /// An error fails the whole slice: some, all or none of the jobs may have arrived. Publishing them again is
    /// harmless, and so is giving up, because redispatch publishes what the status tables say needs work.
    /// Bounded in time: an unreachable or blocked broker ends in an error, never in a hang.
    ///
    /// Cancel-safe in the same sense: dropping the future leaves some of the jobs published.
    fn publish(&self, jobs: &[Job]) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// Takes hints off the queue, at most as many at a time as it was given slots.
pub trait Consumer: Send + 'static {
    /// Waits for the next delivery, through lost connections and pauses; `None` only after the queue was closed for
    /// good, which RabbitMQ never is.
    ///
    /// Cancel-safe: a delivery is either returned or stays queued.
    fn next(&mut self) -> impl Future<Output = Option<Delivery>> + Send;

    /// Stops new deliveries and hands back those that [`Self::next`] has not returned. Deliveries already taken can
    /// still be settled. Idempotent; bounded in time.
    fn pause(&mut self) -> impl Future<Output = ()> + Send;

    /// Undoes [`Self::pause`]. Idempotent.
    fn resume(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends consuming and closes what is open, each step under a time limit. Deliveries that are still unsettled go
    /// back to the queue. Never fails: there is nothing left to do about an error.
    fn close(self) -> impl Future<Output = ()> + Send;

    /// Whether messages can arrive, for readiness.
    fn link(&self) -> watch::Receiver<LinkState>;
}
