//! Private PostgreSQL and RabbitMQ servers for a command (`run`) or for a person (`up`, `down`).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use thaw_harness::child::{self, Child};
use thaw_harness::{PostgresOptions, PostgresServer, RabbitServer, environment, wait};
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: services run -- COMMAND...   start servers, run the command, stop them\n\
                     \u{20}      services up                 start servers and leave them running\n\
                     \u{20}      services down               stop them\n";
/// Where `up` notes what it has started, in the current folder.
const FOLDER: &str = ".services";
const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["run", "--", program, arguments @ ..] => run(program, arguments).await,
        ["up"] => up(),
        ["down"] => down(),
        ["hold", folder] => hold(Path::new(folder)).await,
        _ => {
            say(USAGE);
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        say(&format!("services: {error:#}\n"));
        ExitCode::FAILURE
    })
}

/// Both servers and the variables that lead tests to them.
struct Servers {
    postgres: PostgresServer,
    rabbit: RabbitServer,
}

impl Servers {
    /// Starts both at the same time.
    async fn start() -> Result<Self> {
        let postgres = tokio::task::spawn_blocking(|| PostgresServer::start(&PostgresOptions::default()));
        let rabbit = tokio::task::spawn_blocking(RabbitServer::start);
        let (postgres, rabbit) = (postgres.await?, rabbit.await?);
        Ok(Self { postgres: postgres?, rabbit: rabbit? })
    }

    fn variables(&self) -> [(&'static str, String); 5] {
        let control = self.rabbit.control();
        [
            (environment::POSTGRES, self.postgres.url()),
            (environment::AMQP, self.rabbit.url()),
            (environment::RABBIT_NODE, control.node.clone()),
            (environment::RABBIT_HOME, control.home.display().to_string()),
            (environment::RABBIT_EPMD_PORT, control.epmd_port.to_string()),
        ]
    }
}

async fn run(program: &str, arguments: &[&str]) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    say("services: starting PostgreSQL and RabbitMQ on free ports\n");
    let servers = Servers::start().await?;
    let mut command = child::command(program, None, "TERM");
    command.args(arguments).envs(servers.variables());
    let mut child = Child::spawn(program, command)?;
    let code = loop {
        // The command has a process group of its own: a Ctrl-C reaches only us, and we pass it on to all of it.
        let passed_on = tokio::select! {
            ended = child.wait(Duration::from_secs(86_400)) => break child::exit_code(ended?),
            _ = interrupt.recv() => Signal::INT,
            _ = terminate.recv() => Signal::TERM,
        };
        child.signal_group(passed_on);
        if child.wait(Duration::from_secs(10)).await.is_err() {
            child.kill();
        }
    };
    drop(child);
    drop(servers);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn up() -> Result<ExitCode> {
    let folder = PathBuf::from(FOLDER);
    let variables = folder.join("env");
    if holder(&folder).is_some() {
        say("services: already running\n");
        return print_variables(&variables);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot remove what an earlier `up` has left")?;
    }
    fs::create_dir_all(&folder)?;
    let log = fs::File::create(folder.join("services.log"))?;
    let mut holder = Command::new("setsid");
    holder.arg(std::env::current_exe()?).arg("hold").arg(folder.canonicalize()?);
    holder.stdin(Stdio::null()).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
    let mut holder = holder.spawn().context("cannot start the process that holds the servers")?;
    wait::blocking("the servers", START, || {
        if let Some(status) = holder.try_wait()? {
            let log = fs::read_to_string(folder.join("services.log"))?;
            ensure!(status.success(), "the servers did not start:\n{log}");
        }
        Ok(variables.exists())
    })?;
    print_variables(&variables)
}

fn print_variables(file: &Path) -> Result<ExitCode> {
    say(&format!("services: running; stop them with `make services-down`; `. {}` sets\n", file.display()));
    io::stdout().write_all(&fs::read(file)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Owns the servers of `up` until it is asked to stop.
async fn hold(folder: &Path) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // The terminal that started us may close.
    let _hangup = signal(SignalKind::hangup())?;
    fs::write(folder.join("pid"), std::process::id().to_string())?;
    let servers = Servers::start().await?;
    let mut lines = String::new();
    for (name, value) in servers.variables() {
        lines.push_str(&format!("export {name}='{value}'\n"));
    }
    let unfinished = folder.join("env.new");
    fs::write(&unfinished, lines)?;
    fs::rename(unfinished, folder.join("env"))?;
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    drop(servers);
    Ok(ExitCode::SUCCESS)
}

fn down() -> Result<ExitCode> {
    let folder = PathBuf::from(FOLDER);
    let Some(pid) = holder(&folder) else {
        say("services: not running\n");
        return Ok(ExitCode::SUCCESS);
    };
    kill_process(pid, Signal::TERM)?;
    wait::blocking("the servers to stop", STOP, || Ok(holder(&folder).is_none()))?;
    fs::remove_dir_all(&folder)?;
    say("services: stopped\n");
    Ok(ExitCode::SUCCESS)
}

/// The process that holds the servers of `up`, if it lives and is what the file says.
fn holder(folder: &Path) -> Option<Pid> {
    let id: i32 = fs::read_to_string(folder.join("pid")).ok()?.trim().parse().ok()?;
    let pid = Pid::from_raw(id)?;
    test_kill_process(pid).ok()?;
    // A process id is used again after a while.
    let command_line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    String::from_utf8_lossy(&command_line).contains("hold").then_some(pid)
}

fn say(text: &str) {
    // Nobody listens on a closed standard error: then there is nobody to tell.
    io::stderr().write_all(text.as_bytes()).ok();
}
