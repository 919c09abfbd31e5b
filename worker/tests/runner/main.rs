//! The life of a chunk on real servers: PostgreSQL, the emulator's SQL API, and the in-process queue.

mod changed_target;
mod dead_runs;
mod finalizing;
mod full_disk;
mod life;
mod rig;
mod trouble;
