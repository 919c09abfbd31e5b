//! thaw-config
