//! thaw-telemetry
