//! What both ends look like, read once per table before anything is decided.

pub mod source;
pub mod target;
