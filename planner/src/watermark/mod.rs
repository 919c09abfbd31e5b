//! The watermark: which rows of the source a run reads, so that none is ever stepped over.
//!
//! Pure: values, history and target are facts that were read elsewhere; the decision is made here, and its proof is the
//! property test over histories of several runs. docs/guarantees.md says the rules in words.

pub mod asked;
pub mod bound;
pub mod ceiling;
pub mod history;
pub mod lookback;
pub mod value;

pub use asked::Asked;
pub use bound::{Evidence, History, Past, Reading, TargetGreatest};
pub use value::{Kind, WatermarkValue};

#[cfg(test)]
mod properties;
