//! thaw-faults
