//! Servers, processes and comparisons for tests: private, on free ports, gone afterwards.
//!
//! - [`PostgresServer`], [`RabbitServer`]: servers of a test's own, to restart and to kill.
//! - [`TestDatabase`], [`TestVhost`]: a corner of the shared servers that `services run` has started.
//! - [`Launch`] and [`Process`]: real binaries with their signals, logs and memory.
//! - [`Emulator`]: the Snowflake emulator with its faults, clock and statement log; [`ConfigBuilder`].
//! - [`Fleet`]: planner and workers over one configuration, and what the status tables say of them.
//! - [`compare`]: source and target, row by row. [`TcpProxy`]: a network that misbehaves.
//! - [`wait`]: conditions with deadlines.
//!
//! It must not know the product's code: it would then be judge in its own cause.

pub mod child;
pub mod compare;
pub mod config;
pub mod database;
pub mod emulator;
pub mod environment;
pub mod fleet;
pub mod keys;
pub mod port;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod rabbit;
pub mod search;
pub mod tpch;
pub mod vhost;
pub mod wait;

pub use compare::Comparison;
pub use config::ConfigBuilder;
pub use database::TestDatabase;
pub use emulator::{Emulator, EmulatorOptions, Tls};
pub use fleet::Fleet;
pub use postgres::{Fsync, PostgresOptions, PostgresServer};
pub use process::{Finished, Launch, Process, Signal};
pub use proxy::TcpProxy;
pub use rabbit::{RabbitControl, RabbitServer};
pub use search::bin;
pub use vhost::{TestVhost, amqp_url};
