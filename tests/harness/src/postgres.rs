//! A private PostgreSQL server in a temporary folder, on a free port of loopback.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::child::{self, Child, User};
use crate::{port, search, wait};

/// Generous: a server that recovers from a crash on a busy machine.
const START: Duration = Duration::from_secs(60);
const SUPERUSER: &str = "thaw";
const PASSWORD: &str = "thaw";

/// What the server is to be like.
#[derive(Debug, Clone, Default)]
pub struct PostgresOptions {
    /// Whether commits reach the disk; a crash of the server (not of the machine) loses nothing either way.
    pub fsync: Fsync,
    /// Lines of `postgresql.conf`, after ours.
    pub settings: Vec<String>,
}

/// Whether commits reach the disk before they are acknowledged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fsync {
    On,
    #[default]
    Off,
}

/// A running server. Stopped and removed on drop.
#[derive(Debug)]
pub struct PostgresServer {
    bin: PathBuf,
    user: Option<User>,
    port: u16,
    child: Option<Child>,
    folder: TempDir,
}

impl PostgresServer {
    /// Makes a cluster (UTF-8, locale C.UTF-8, password authentication) and starts it.
    ///
    /// # Errors
    /// No server programs, or the server does not come up; the message holds its log.
    pub fn start(options: &PostgresOptions) -> Result<Self> {
        let folder = TempDir::with_prefix("thaw-postgres-")?;
        let mut server = Self {
            bin: search::postgres_bin()?,
            user: User::to_run_as(&["postgres", "nobody"]),
            port: port::free(),
            child: None,
            folder,
        };
        server.init(options)?;
        server.launch()?;
        Ok(server)
    }

    /// The libpq URL of the superuser, on the database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    #[must_use]
    pub fn user(&self) -> &'static str {
        SUPERUSER
    }

    /// The server's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join("postgres.log")
    }

    /// A fast shutdown: transactions are rolled back, connections closed.
    ///
    /// # Errors
    /// It still runs after a minute.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::INT)
    }

    /// A crash: SIGKILL to the postmaster; its backends notice and leave.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill9(&mut self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// Starts the stopped server again, on the same port.
    ///
    /// # Errors
    /// It does not come up.
    pub fn launch(&mut self) -> Result<()> {
        wait::blocking("PostgreSQL to accept connections", START, || {
            if self.child.is_none() {
                self.child = Some(self.spawn()?);
            }
            let running = self.child.as_mut().is_some_and(|child| matches!(child.status(), Ok(None)));
            if !running {
                // After a crash the backends of the old server may still hold its memory: try again.
                self.child = None;
                return Ok(false);
            }
            Ok(self.is_ready())
        })
        .with_context(|| format!("its log:\n{}", tail(&self.log_file())))
    }

    /// [`PostgresServer::stop`], then [`PostgresServer::launch`].
    ///
    /// # Errors
    /// It does not stop or does not come up.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    /// No file of the server may become longer than this (`None`: as long as it likes), in its sessions of now and those
    /// to come. To a session whose table is at the limit, the disk is full: PostgreSQL answers 53100. Above 17 MB, so that
    /// WAL is not met; half a page more than the table has, so that the write that fails is cut short, as on a full disk.
    ///
    /// # Errors
    /// It is not running, or its limits are not ours to set.
    pub fn limit_file_size(&self, bytes: Option<u64>) -> Result<()> {
        let Some(child) = &self.child else { bail!("PostgreSQL is not running") };
        let postmaster = child.id();
        // The soft limit, by the server's own user: anybody may raise it again, and root may be without the right to.
        let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        for process in std::iter::once(postmaster).chain(children(postmaster)?) {
            let mut prlimit = child::command("prlimit", self.user.as_ref(), "KILL");
            prlimit.arg(format!("--pid={process}")).arg(format!("--fsize={limit}:"));
            let output = prlimit.output().context("cannot run prlimit (util-linux)")?;
            let is_gone = !Path::new(&format!("/proc/{process}")).exists();
            ensure!(
                output.status.success() || is_gone,
                "prlimit failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        Ok(())
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let Some(mut child) = self.child.take() else { bail!("PostgreSQL is not running") };
        child.signal(signal)?;
        child.wait_blocking(START)?;
        Ok(())
    }

    fn init(&self, options: &PostgresOptions) -> Result<()> {
        let root = self.folder.path();
        // The server's user must be able to reach its data through our folder.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
        let password_file = root.join("password");
        fs::write(&password_file, PASSWORD)?;
        fs::write(self.log_file(), "")?;
        fs::create_dir(self.data())?;
        if let Some(user) = &self.user {
            for path in [&password_file, &self.log_file(), &self.data()] {
                chown(path, Some(user.uid), Some(user.gid))?;
            }
        }
        let mut initdb = self.command("initdb");
        initdb.args(["-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256", "--no-sync", "-U", SUPERUSER]);
        initdb.arg("-D").arg(self.data()).arg(format!("--pwfile={}", password_file.display()));
        let output = initdb.output().context("cannot run initdb")?;
        ensure!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
        let conf = self.data().join("postgresql.conf");
        let settings = fs::read_to_string(&conf)? + &self.settings(options);
        Ok(fs::write(conf, settings)?)
    }

    fn settings(&self, options: &PostgresOptions) -> String {
        let fsync = match options.fsync {
            Fsync::On => "fsync = on\n",
            // Not synchronous_commit: a commit must survive a killed server, if not a lost machine.
            Fsync::Off => "fsync = off\nfull_page_writes = off\n",
        };
        let mut settings = format!(
            "\nlisten_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nmax_connections = 300\n\
             shared_buffers = 256MB\nmax_wal_size = 4GB\nlog_line_prefix = '%m [%p] %q%a@%d '\n{fsync}",
            self.port
        );
        for line in &options.settings {
            settings.push_str(line);
            settings.push('\n');
        }
        settings
    }

    fn spawn(&self) -> Result<Child> {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.log_file())?;
        let mut postgres = self.command("postgres");
        postgres.arg("-D").arg(self.data()).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        Child::spawn("postgres", postgres)
    }

    fn command(&self, program: &str) -> Command {
        // SIGQUIT is PostgreSQL's immediate shutdown: nothing stays behind, not even its shared memory.
        let mut command = child::command(self.bin.join(program), self.user.as_ref(), "QUIT");
        command.current_dir(self.folder.path()).env_remove("PGDATA").env_remove("PGPORT");
        command
    }

    /// Whether this very server says so in its lock file: its process id in line 1, its state in line 8.
    fn is_ready(&self) -> bool {
        let lock_file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let mut lines = lock_file.lines().map(str::trim);
        let id = lines.next().and_then(|line| line.parse().ok());
        id == self.child.as_ref().map(Child::id) && lines.nth(6) == Some("ready")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Immediate shutdown; what is slower than this is killed by the guard.
            if child.signal(Signal::QUIT).is_ok() {
                drop(child.wait_blocking(Duration::from_secs(5)));
            }
        }
    }
}

/// The processes whose parent this is.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(id) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // The second field is a name in parentheses, which may hold spaces; the fourth is the parent.
        let of = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(1)?.parse().ok());
        if of == Some(parent) {
            found.push(id);
        }
    }
    Ok(found)
}

/// The last lines of a log, for error messages.
pub(crate) fn tail(file: &Path) -> String {
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
