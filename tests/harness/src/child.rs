//! Child processes that cannot outlive us: killed on drop, after a panic, and by the kernel when we are killed.
//!
//! Each child leads a process group of its own, so that what it starts goes with it. Where `setpriv` exists
//! (util-linux), the kernel is asked to signal the child when its parent dies; that is bound to the *thread* that
//! started it, so all children are started by one thread that lives as long as the process.

use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::{search, wait};

type Started = io::Result<std::process::Child>;

/// A command, and where its child is to be sent.
type Order = (Command, Sender<Started>);

static SPAWNER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
    let (sender, receiver) = channel::<Order>();
    std::thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for (mut command, answer) in receiver {
                // The asker waits for exactly this answer; gone means its test was torn down meanwhile.
                if let Err(std::sync::mpsc::SendError(Ok(mut orphan))) = answer.send(command.spawn()) {
                    drop(orphan.kill());
                }
            }
        })
        .expect("a thread can be started");
    Mutex::new(sender)
});

/// The user a server runs as, when we are root and the server refuses that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl User {
    /// The first of `names` that the system knows; `None` when we are not root and run as ourselves.
    #[must_use]
    pub fn to_run_as(names: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
        names.iter().find_map(|name| Self::find(&passwd, name))
    }

    fn find(passwd: &str, name: &str) -> Option<Self> {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name: name.to_owned(), uid, gid })
    }
}

/// `program` as a command that dies with us (by `death_signal`) and runs as `user`.
#[must_use]
pub fn command(program: impl AsRef<std::ffi::OsStr>, user: Option<&User>, death_signal: &str) -> Command {
    let Some(setpriv) = search::in_path("setpriv") else {
        let mut command = Command::new(program);
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
        return command;
    };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command.args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)]);
        command.arg("--clear-groups");
    }
    command.arg(format!("--pdeathsig={death_signal}")).arg("--").arg(program);
    command
}

/// A running child; its whole group is killed on drop.
#[derive(Debug)]
pub struct Child {
    name: String,
    inner: std::process::Child,
    exited: Option<ExitStatus>,
}

impl Child {
    /// Starts `command` (made by [`command`]) as the leader of a group of its own, without standard input.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        let (sender, receiver) = channel();
        SPAWNER
            .lock()
            .map_err(|_| anyhow!("the spawner panicked"))?
            .send((command, sender))
            .map_err(|_| anyhow!("the spawner is gone"))?;
        let inner = receiver.recv()?.with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), inner, exited: None })
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.inner.id()
    }

    /// Sends a signal to the process itself (not to what it started).
    ///
    /// # Errors
    /// The process has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.status()? {
            return Err(anyhow!("{} has ended already: {status}", self.name));
        }
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// How the process ended, or `None` while it runs.
    ///
    /// # Errors
    /// The system does not say.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        if self.exited.is_none() {
            self.exited = self.inner.try_wait()?;
        }
        Ok(self.exited)
    }

    /// Waits for the end of the process.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub async fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::until_some(&what, deadline, async || self.status()).await
    }

    /// As [`Child::wait`], outside an async runtime.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub fn wait_blocking(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait::blocking(&what, deadline, || Ok(self.status()?.is_some()))?;
        self.exited.ok_or_else(|| anyhow!("{} has no exit status", self.name))
    }

    /// SIGKILL to the whole group, and the process is collected.
    pub fn kill(&mut self) {
        self.signal_group(Signal::KILL);
        if self.exited.is_none() {
            self.exited = self.inner.wait().ok();
        }
    }

    /// Sends a signal to the process and to everything it started that has not left its group.
    pub fn signal_group(&self, signal: Signal) {
        // A group that is gone already is what the sender wants.
        if let Ok(pid) = self.pid() {
            kill_process_group(pid, signal).ok();
        }
    }

    fn pid(&self) -> Result<Pid> {
        let id = i32::try_from(self.inner.id())?;
        Pid::from_raw(id).ok_or_else(|| anyhow!("{} has no process id", self.name))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The exit code as a shell would report it: 128 + signal for a killed process.
#[must_use]
pub fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_and_what_it_started_die_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("grandchild");
        let mut shell = command("sh", None, "KILL");
        shell.arg("-c").arg(format!("sleep 600 & echo $! > {}; wait", pid_file.display()));
        let child = Child::spawn("shell", shell).unwrap();
        let read = || std::fs::read_to_string(&pid_file).unwrap_or_default().trim().parse::<u32>();
        wait::blocking("the grandchild's pid", Duration::from_secs(10), || Ok(read().is_ok())).unwrap();
        let grandchild = format!("/proc/{}/stat", read().unwrap());
        drop(child);
        // Gone, or a zombie that nobody has collected yet.
        wait::blocking("the grandchild's end", Duration::from_secs(10), || {
            Ok(std::fs::read_to_string(&grandchild).map_or(true, |stat| stat.contains(") Z ")))
        })
        .unwrap();
    }

    #[test]
    fn a_killed_process_reports_the_shells_code() {
        let mut child = Child::spawn("sleep", {
            let mut sleep = command("sleep", None, "KILL");
            sleep.arg("600");
            sleep
        })
        .unwrap();
        child.signal(Signal::KILL).unwrap();
        assert_eq!(exit_code(child.wait_blocking(Duration::from_secs(10)).unwrap()), 137);
        assert!(child.signal(Signal::KILL).is_err());
    }

    #[test]
    fn users_are_read_from_the_password_file() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:x:/var/lib/postgresql:/bin/bash\n";
        let user = User::find(passwd, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert_eq!(User::find(passwd, "post"), None);
    }
}
