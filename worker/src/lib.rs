//! thaw-worker
