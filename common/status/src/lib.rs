//! The status store: every statement on the status tables, one `.sql` file each, one function each.
//!
//! The tables live in the target database beside the rows, so that a chunk's rows and its `completed` status commit
//! together. States change only by the guarded statements of `src/sql`; each file says why its guard is there, and
//! docs/state-machine.md shows which transition it performs. All times are the database's.
//!
//! This crate knows neither Snowflake nor the broker, and decides nothing: dispositions come with the error,
//! plans from the planner. It makes no row of a target; it only holds the transaction that rows are loaded in.
//!
//! Functions take `&Client` where one statement is enough and `&mut Client` where they open a transaction.

mod activity;
pub mod cancel;
pub mod chunk;
pub mod error;
pub mod execution;
pub mod finalize;
pub mod history;
pub mod indexes;
pub mod legacy;
pub mod load_tx;
pub mod migrate;
pub mod one_scan;
pub mod open;
pub mod progress;
pub mod prune;
pub mod quarantine;
pub mod recorded;
pub mod redispatch;
pub mod resume;
mod row;
pub mod run;
pub mod settings;
pub mod start;
pub mod table;
mod truncate;

pub use cancel::{Cancelled, cancel_run, supersede_run};
pub use chunk::{Claim, ClaimedChunk, Settled, Settlement, Truth, claim, heartbeat, read_chunk, settle};
pub use error::{CommitError, StoreError};
pub use finalize::{
    FinalizeClaim, Step, begin_step, claim_finalize, end_finished_runs, end_run, finish_finalize,
    heartbeat_finalize, snooze_finalize,
};
pub use history::{OtherTables, PastTable, loaded_columns, other_tables, rows_left, started_tables};
pub use legacy::legacy_unfinished;
pub use load_tx::{CompletedTx, LoadTx, QuarantinedRow};
pub use migrate::{Migrated, check_version, migrate, schema_sql};
pub use open::{Opened, OpenedRun, Opening, ResumedTable, open_run, take_over_run};
pub use progress::{
    ChunkCounts, RunProgress, TableProgress, incomplete_runs, list_runs, read_run, run_state, tables_of_run,
};
pub use recorded::{Item, Outcome, Recorded};
pub use redispatch::{Redispatched, Zombie, end_zombies, redispatch};
pub use resume::{LastTable, RunTable, last_of_target, tables_to_resume};
pub use run::{
    Holder, NewRun, NewTable, PlannerClaim, Reservation, ReservedTable, mark_run_planned, release_planner,
    renew_planner, reserve_run,
};
pub use settings::FleetSettings;
pub use start::{Snoozed, Start, snooze_start, start_table};
pub use table::{
    NewChunk, NewPlan, StoredPlan, WatermarkWindow, fail_table, halt_table, list_hints, read_plan, store_plan,
};
