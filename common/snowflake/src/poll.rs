//! Back-off between polls.
