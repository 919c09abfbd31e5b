//! thaw-queue
