//! thaw-postgres
