//! `planner run`, part by part: reserve, plan, wait, report; the command that joins them is `commands::run`.

pub mod dry_run;
pub mod execution;
pub mod local;
pub mod planning;
pub mod progress;
pub mod reading;
pub mod report;
pub mod reserve;
pub mod resume;
pub mod rounds;
mod summary;
pub mod survey;
pub mod wait;
