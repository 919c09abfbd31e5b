//! A virtual host of its own for each test, on the shared RabbitMQ broker.

use anyhow::{Context, Result};
use url::Url;
use uuid::Uuid;

use crate::environment;
use crate::rabbit::RabbitControl;

/// A fresh virtual host, deleted when this value is dropped.
#[derive(Debug)]
pub struct TestVhost {
    name: String,
    url: Url,
    control: RabbitControl,
}

impl TestVhost {
    /// Makes a virtual host on the broker of `THAW_TEST_AMQP`.
    ///
    /// # Panics
    /// When the broker's variables are not set or it does not answer: a test without servers fails with a sentence.
    #[must_use]
    pub fn create() -> Self {
        let url = environment::require(environment::AMQP);
        // All three are set together; the first one names the remedy.
        let node = environment::require(environment::RABBIT_NODE);
        let control = RabbitControl::from_environment().unwrap_or_else(|| {
            panic!("{} and {} of {node}", environment::RABBIT_HOME, environment::RABBIT_EPMD_PORT)
        });
        Self::create_on(&url, control).expect("a virtual host can be made on THAW_TEST_AMQP")
    }

    /// As [`TestVhost::create`], on the broker of `url`.
    ///
    /// # Errors
    /// The URL is none, or `rabbitmqctl` fails.
    pub fn create_on(url: &str, control: RabbitControl) -> Result<Self> {
        let mut url = Url::parse(url).context("the broker's URL")?;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let user = url.username().to_owned();
        control.run(&["add_vhost", &name])?;
        control.run(&["set_permissions", "-p", &name, &user, ".*", ".*", ".*"])?;
        url.set_path(&name);
        Ok(Self { name, url, control })
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The administrator's AMQP URL of this virtual host.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.to_string()
    }

    /// Runs `rabbitmqctl` on this virtual host: `-p <name>` is added after the command.
    ///
    /// # Errors
    /// It fails; the message holds its output.
    pub fn rabbitmqctl(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let mut all = vec![command, "-p", &self.name];
        all.extend(arguments);
        self.control.run(&all)
    }

    #[must_use]
    pub fn control(&self) -> &RabbitControl {
        &self.control
    }
}

impl Drop for TestVhost {
    fn drop(&mut self) {
        // A broker that is gone took the virtual host along.
        drop(self.control.run(&["delete_vhost", &self.name]));
    }
}

/// The AMQP URL of a fresh virtual host that lives until the broker stops, for tests that need no more of it.
///
/// # Panics
/// As [`TestVhost::create`].
#[must_use]
pub fn amqp_url() -> String {
    let vhost = std::mem::ManuallyDrop::new(TestVhost::create());
    vhost.url()
}
