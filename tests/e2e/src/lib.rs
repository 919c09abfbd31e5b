//! thaw-e2e
