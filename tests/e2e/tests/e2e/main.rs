//! The whole path with real servers and real processes, and everything that can die on it.
//!
//! Each test ends with an independent comparison of source and target, and can fail: `controls` shows it.

mod bad_input;
mod bad_targets;
mod broker;
mod controls;
mod dry_run;
mod earlier_runs;
mod field_notes;
mod handle_lost;
mod history;
mod indexes;
mod killed_planner;
mod killed_worker;
mod least_privilege;
mod locks;
mod memory;
mod parallel_cap;
mod peers_chunks;
mod peers_snapshot;
mod peers_watermark;
mod postgres;
mod quarantine;
mod references;
mod result_partitions;
mod resume_cancel;
mod resume_matrix;
mod resume_prune;
mod scale;
mod secrets;
mod shared_result;
mod shutdown;
mod snapshot;
mod snapshot_gone;
mod strategies;
mod two_databases;
mod upgrade;
mod verify;
mod watermark;
