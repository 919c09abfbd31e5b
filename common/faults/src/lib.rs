//! Named places where a test may kill, stop or panic the process, absent from release builds.
//!
//! Without the cargo feature `fault-points`, [`reach`] is an empty inline function. With it, the environment variable
//! `THAW_FAULT_POINTS` decides: `after_claim=kill,before_commit=stop@3` kills the process (SIGKILL) when it reaches
//! `after_claim` and freezes it (SIGSTOP) when it reaches `before_commit` for the third time. Actions: `kill`, `stop`,
//! `panic`. It is the one exception to "only thaw-config reads the environment".
//!
//! Points of a worker: `after_receive`, `after_claim`, `during_fetch`, `during_copy`, `before_complete`,
//! `before_commit`, `after_commit`, `during_finalize`, `during_index`, `between_indexes`, `after_indexes`, `after_analyze`,
//! `after_finalize`. Of a planner: `after_reserve`, `between_plans`, `after_store`, `during_publish`. Of whoever starts a
//! table: `during_start`, `after_save_indexes`, `before_start_commit`, `after_start`. Of a planner that
//! writes the one statement of a table down: `after_scan_store`. Of whoever sends it or looks at it: `before_submit`,
//! `after_submit`, `after_handle`, `before_cut`, `after_cut`; of whoever prepares the next one: `before_prepare`.

#[cfg(feature = "fault-points")]
mod armed;
#[cfg(feature = "fault-points")]
pub use armed::reach;

/// Does nothing: this build has no fault points.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn reach(_point: &'static str) {}
