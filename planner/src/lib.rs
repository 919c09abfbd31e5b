//! The planner: decides once per table how it loads, cuts it into chunks, stores and publishes them, and waits.
//!
//! It uses the worker's library for `--local`, for starting tables and for redispatch; never the reverse.

pub mod aggregate;
pub mod await_servers;
pub mod check;
pub mod cli;
pub mod columns;
pub mod commands;
pub mod exit;
pub mod filter;
pub mod find_run;
pub mod introspect;
pub mod load_mode;
pub mod output;
pub mod plan;
pub mod preflight;
pub mod run;
pub mod select;
pub mod session;
pub mod snapshot;
pub mod strategy;
pub mod verify;
pub mod watermark;
