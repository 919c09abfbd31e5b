//! `planner run`, part by part: reserve, plan, wait, report; the command that joins them is `commands::run`.

pub mod attach;
pub mod dry_run;
pub mod execution;
pub mod local;
pub mod planning;
pub mod progress;
pub mod reading;
pub mod report;
pub mod reserve;
mod summary;
pub mod wait;
