//! thaw-planner
