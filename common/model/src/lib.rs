//! The words of the domain: identifiers, states, jobs, plans, ranges, dispositions.
//!
//! Everything here is plain data and pure functions: no I/O, no clock, no environment, no async.
//! It knows neither Snowflake's protocol nor PostgreSQL's; it only names what both sides agree on.

pub mod accounting;
pub mod disposition;
pub mod id;
pub mod ident;
pub mod job;
pub mod plan;
pub mod range;
pub mod source_type;
pub mod state;
pub mod target_type;

pub use accounting::{Accounting, PhaseTimes};
pub use disposition::{Classify, Disposition, ErrorReport};
pub use id::{ChunkId, Fence, RunId, TableId, WorkerId};
pub use ident::{PgIdent, SfIdent};
pub use job::Job;
pub use plan::TablePlan;
pub use range::ChunkRange;
pub use source_type::SourceType;
pub use state::{ChunkState, RunState, TableState};
pub use target_type::TargetType;
