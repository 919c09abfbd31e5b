//! thaw-harness
