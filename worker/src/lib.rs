//! The worker: claims chunks, fetches, decodes, encodes and loads them, settles what went wrong, finalizes tables.
//!
//! It obeys the plan and never looks at the target to guess; it does not know how chunks were cut, and it never
//! imports the planner. The life of a chunk is in [`runner`]; a process around it in [`run_worker`].

mod abandoned_indexes;
mod chunk_error;
pub mod cli;
pub mod connections;
mod consume;
pub mod databases;
pub mod encode;
pub mod execute;
pub mod fetch;
pub mod finalize;
pub mod halt;
pub mod health;
pub mod http;
pub mod lease;
pub mod load;
mod lock_holders;
pub mod memory;
pub mod one_scan;
mod process;
mod record;
pub mod redispatch;
mod remedy;
pub mod runner;
pub mod settle;
pub mod shutdown;
pub mod start;
pub mod table_gate;
mod table_work;

pub use chunk_error::ChunkError;
pub use process::{Exit, Queue, WorkerError, WorkerOptions, describe, run_worker};
pub use shutdown::Shutdown;
