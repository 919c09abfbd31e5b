//! Logs on stderr and metrics in Prometheus' text format, the same for planner and workers.
//!
//! It knows no domain type: labels are the stable words that the domain's enums give (`as_str`). No user's value
//! may come here, and the crates whose logs may hold one are silenced for good.

mod logging;
mod metrics;
mod panic;

pub use logging::{InitError, LogFormat, init};
pub use metrics::{Metrics, MetricsError, Stage};
