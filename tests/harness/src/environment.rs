//! The environment a test run gets from `services run`: where the shared servers are.
//!
//! The only reader of the environment among the test crates; the product reads it in thaw-config alone.

use std::ffi::OsString;

/// URL of a superuser on a scratch PostgreSQL server.
pub const POSTGRES: &str = "THAW_TEST_POSTGRES";
/// URL of an administrator of a scratch RabbitMQ broker.
pub const AMQP: &str = "THAW_TEST_AMQP";
/// Node name, home folder (its cookie) and epmd port of that broker, for `rabbitmqctl`; unset: virtual hosts
/// cannot be made and tests that need one of their own fail with a sentence.
pub const RABBIT_NODE: &str = "THAW_TEST_RABBIT_NODE";
pub const RABBIT_HOME: &str = "THAW_TEST_RABBIT_HOME";
pub const RABBIT_EPMD_PORT: &str = "THAW_TEST_RABBIT_EPMD_PORT";
/// Folder of the binaries under test; unset: the one this test executable was built into.
pub const BIN_DIR: &str = "THAW_TEST_BIN_DIR";

/// The value of `name`, if it is set, not empty, and text.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the harness hands the servers' addresses to the tests this way"
)]
pub fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The folders of `PATH`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "servers are looked up as a shell would")]
pub(crate) fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// The value of `name`.
///
/// # Panics
/// When it is not set: a test that needs servers fails, it is never skipped.
#[must_use]
pub fn require(name: &str) -> String {
    get(name).unwrap_or_else(|| {
        panic!("{name} is not set: run `make test`, or start servers with `make services` and source the file it names")
    })
}
