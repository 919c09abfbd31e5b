//! The life of a chunk on real servers: PostgreSQL, the emulator's SQL API, and the in-process queue.

mod dead_runs;
mod finalizing;
mod life;
mod rig;
mod trouble;
