//! A private RabbitMQ broker: its own node name, cookie, data, ports and epmd, so that it meets no other broker.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use uuid::Uuid;

use crate::child::{self, Child};
use crate::environment::{self, RABBIT_EPMD_PORT, RABBIT_HOME, RABBIT_NODE};
use crate::postgres::tail;
use crate::{port, search, wait};

/// Generous: an Erlang node boots in 6 s on two idle cores.
const START: Duration = Duration::from_secs(120);

/// How to reach a broker with `rabbitmqctl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RabbitControl {
    pub node: String,
    /// Folder with the Erlang cookie.
    pub home: PathBuf,
    pub epmd_port: u16,
}

impl RabbitControl {
    /// The broker `services run` has started for us; `None` where only its AMQP URL is known.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            node: environment::get(RABBIT_NODE)?,
            home: environment::get(RABBIT_HOME)?.into(),
            epmd_port: environment::get(RABBIT_EPMD_PORT)?.parse().ok()?,
        })
    }

    /// Runs `rabbitmqctl` with `arguments` and returns what it prints.
    ///
    /// # Errors
    /// It fails; the message holds its output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(search::rabbitmq_bin()?.join("rabbitmqctl"))
            .args(["-q", "-n", &self.node])
            .args(arguments)
            .envs(self.variables())
            .stdin(Stdio::null())
            .output()
            .context("cannot run rabbitmqctl")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rabbitmqctl {} failed: {text}{errors}", arguments.join(" "));
        Ok(text)
    }

    /// Runs a script of an operator, to which `RABBITMQCTL` names this broker's `rabbitmqctl`.
    ///
    /// # Errors
    /// It fails; the message holds its output.
    pub fn run_script(
        &self,
        script: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<String> {
        let program = search::rabbitmq_bin()?.join("rabbitmqctl");
        let output = Command::new("sh")
            .arg(script)
            .args(arguments)
            .envs(self.variables())
            .env("RABBITMQCTL", format!("{} -q -n {}", program.display(), self.node))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", script.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{} failed: {text}{errors}", script.display());
        Ok(text)
    }

    fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("HOME", self.home.display().to_string()),
            ("ERL_EPMD_PORT", self.epmd_port.to_string()),
            ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
            // Settings of an installed broker must not reach ours.
            ("RABBITMQ_CONF_ENV_FILE", self.home.join("no-such-file").display().to_string()),
        ]
    }
}

/// A running broker. Killed and removed on drop.
#[derive(Debug)]
pub struct RabbitServer {
    control: RabbitControl,
    port: u16,
    dist_port: u16,
    // Order matters on drop: the broker goes before its name server, the folder last.
    child: Option<Child>,
    _epmd: Child,
    folder: TempDir,
}

impl RabbitServer {
    /// Starts a broker with one administrator, guest / guest.
    ///
    /// # Errors
    /// RabbitMQ is not installed, or does not come up; the message holds its log.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// As [`RabbitServer::start`], with more lines of `rabbitmq.conf`.
    ///
    /// # Errors
    /// As [`RabbitServer::start`].
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let folder = TempDir::with_prefix("thaw-rabbitmq-")?;
        let control = RabbitControl {
            node: format!("thaw{}@localhost", Uuid::new_v4().simple()),
            home: folder.path().to_owned(),
            epmd_port: port::free(),
        };
        let cookie = folder.path().join(".erlang.cookie");
        fs::write(&cookie, Uuid::new_v4().simple().to_string())?;
        fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        let epmd = start_epmd(control.epmd_port)?;
        let (port, dist_port) = (port::free(), port::free());
        let mut server = Self { control, port, dist_port, child: None, _epmd: epmd, folder };
        server.write_config(settings)?;
        server.launch()?;
        Ok(server)
    }

    /// The AMQP URL of the administrator, on the default virtual host.
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn control(&self) -> &RabbitControl {
        &self.control
    }

    /// Runs `rabbitmqctl` on this broker: `purge_queue`, `close_all_connections`, `eval` ...
    ///
    /// # Errors
    /// It fails; the message holds its output.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> Result<String> {
        self.control.run(arguments)
    }

    /// The broker's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("rabbitmq.log")
    }

    /// An orderly stop: connections are closed, data is kept.
    ///
    /// # Errors
    /// It still runs after two minutes.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::TERM)
    }

    /// A crash: SIGKILL.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill9(&mut self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// Starts the stopped broker again, on the same ports and data.
    ///
    /// # Errors
    /// It does not come up.
    pub fn launch(&mut self) -> Result<()> {
        let mut child = self.spawn()?;
        let log = self.log_file();
        wait::blocking("RabbitMQ to accept connections", START, || {
            if let Some(status) = child.status()? {
                bail!("RabbitMQ ended: {status}");
            }
            Ok(port::is_open(self.port))
        })
        .with_context(|| format!("its log:\n{}", tail(&log)))?;
        self.child = Some(child);
        // The listener opens just before the node says that it has started.
        self.rabbitmqctl(&["await_startup"]).map(drop)
    }

    /// [`RabbitServer::stop`], then [`RabbitServer::launch`].
    ///
    /// # Errors
    /// It does not stop or does not come up.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else { bail!("RabbitMQ is not running") };
        child.signal(signal)?;
        child.wait_blocking(START)?;
        Ok(())
    }

    fn write_config(&self, settings: &[&str]) -> Result<()> {
        let mut config = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nraft.wal_max_size_bytes = 16777216\nlog.console = true\n\
             log.console.level = info\nlog.file = false\nvm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 50MB\n",
            self.port
        );
        for line in settings {
            config.push_str(line);
            config.push('\n');
        }
        fs::write(self.path("rabbitmq.conf"), config)?;
        Ok(fs::write(self.path("enabled_plugins"), "[].\n")?)
    }

    fn spawn(&self) -> Result<Child> {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.log_file())?;
        let mut server = child::command(search::rabbitmq_bin()?.join("rabbitmq-server"), None, "KILL");
        server
            .current_dir(self.folder.path())
            .envs(self.control.variables())
            // The script then becomes the Erlang node instead of waiting for it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            .env("RABBITMQ_NODENAME", &self.control.node)
            .env("RABBITMQ_DIST_PORT", self.dist_port.to_string())
            .env("RABBITMQ_MNESIA_BASE", self.path("data"))
            .env("RABBITMQ_LOG_BASE", self.path("log"))
            .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("enabled_plugins"))
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2")
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log));
        Child::spawn("rabbitmq", server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Erlang's name server: ours, in the foreground, so that no daemon stays behind.
fn start_epmd(port: u16) -> Result<Child> {
    let program = search::in_path("epmd").unwrap_or_else(|| Path::new("/usr/bin/epmd").to_owned());
    let mut epmd = child::command(program, None, "KILL");
    epmd.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    epmd.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = Child::spawn("epmd", epmd)?;
    wait::blocking("epmd to accept connections", Duration::from_secs(20), || {
        if let Some(status) = child.status()? {
            bail!("epmd ended: {status}");
        }
        Ok(port::is_open(port))
    })?;
    Ok(child)
}
