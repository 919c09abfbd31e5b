//! A real binary of the product, run by a test: its configuration, its signals, its logs, its memory.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

pub use rustix::process::Signal;

use crate::child::{self, Child};
use crate::search;

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: PathBuf,
}

impl Launch {
    /// The workspace's binary `program`; its output goes to `<folder>/<name>.out` and `.err`, its working folder
    /// is `folder`.
    ///
    /// # Errors
    /// The binary has not been built.
    pub fn bin(program: &str, name: &str, folder: &Path) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            program: search::bin(program)?,
            arguments: Vec::new(),
            variables: Vec::new(),
            folder: folder.to_owned(),
        })
    }

    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Starts it. Variables that would change what the test means (`AMQP_URL`, `THAW_*`, proxies) are not inherited.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(self) -> Result<Process> {
        fs::create_dir_all(&self.folder)?;
        let file = |suffix: &str| self.folder.join(format!("{}.{suffix}", self.name));
        let (out, err) = (file("out"), file("err"));
        let mut command = child::command(&self.program, None, "KILL");
        for inherited in
            ["AMQP_URL", "THAW_FAULT_POINTS", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"]
        {
            command.env_remove(inherited);
        }
        command
            .args(&self.arguments)
            .envs(self.variables.iter().cloned())
            .current_dir(&self.folder)
            .stdout(Stdio::from(File::create(&out)?))
            .stderr(Stdio::from(File::create(&err)?));
        let child = Child::spawn(&self.name, command)?;
        Ok(Process { name: self.name, child, out, err })
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// It cannot be started, or still runs at the deadline.
    pub async fn run(self, deadline: Duration) -> Result<Finished> {
        self.spawn()?.finish(deadline).await
    }
}

/// A started process; killed on drop.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

/// A process that has ended, and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// As a shell reports it: 128 + signal for a killed process.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Process {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.child.signal(signal)
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// The system does not say.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.status()
    }

    /// Waits for its end; the exit code as a shell reports it.
    ///
    /// # Errors
    /// It still runs at the deadline; the message holds the end of its log.
    pub async fn wait(&mut self, deadline: Duration) -> Result<i32> {
        let status = self
            .child
            .wait(deadline)
            .await
            .with_context(|| format!("the end of its log:\n{}", crate::postgres::tail(&self.err)))?;
        Ok(child::exit_code(status))
    }

    /// Waits for its end and collects what it said.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn finish(mut self, deadline: Duration) -> Result<Finished> {
        let code = self.wait(deadline).await?;
        Ok(Finished { code, stdout: self.stdout()?, stderr: self.stderr()? })
    }

    /// SIGTERM, then waits for the end.
    ///
    /// # Errors
    /// It has ended before, or still runs at the deadline.
    pub async fn terminate(&mut self, deadline: Duration) -> Result<i32> {
        self.signal(Signal::TERM)?;
        self.wait(deadline).await
    }

    /// What it has printed so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stdout(&self) -> Result<String> {
        read(&self.out)
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stderr(&self) -> Result<String> {
        read(&self.err)
    }

    /// The most resident memory it ever had (`VmHWM`), in bytes.
    ///
    /// # Errors
    /// The process has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().strip_suffix("kB"))
            .with_context(|| format!("{} has no VmHWM: it has ended", self.name))?;
        Ok(kilobytes.trim().parse::<u64>()? * 1024)
    }
}

fn read(file: &Path) -> Result<String> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
