//! The life of a chunk on real servers: PostgreSQL, the emulator's SQL API, and the in-process queue.

mod life;
mod rig;
mod trouble;
