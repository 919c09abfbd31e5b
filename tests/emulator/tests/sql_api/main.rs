//! The emulator as its clients see it: real HTTP, real PostgreSQL, an independent minimal client.
//!
//! Nothing here uses the product's client: a misunderstanding must not be shared by both sides.

// `cfg(test)` tells clippy that helpers are tests as well.
#[cfg(test)]
mod support;

mod cancelling;
mod conversation;
mod faults;
#[cfg(test)]
mod kept_results;
mod loading;
mod partitions;
mod tls;
mod tokens;
