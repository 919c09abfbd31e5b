//! thaw-status
