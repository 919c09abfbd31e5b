//! The binary `worker`: command line, configuration, logging, exit code. Everything else is the library's.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use thaw_config::{Config, LoadOptions};
use thaw_queue::rabbitmq::{RabbitOptions, RabbitQueue};
use thaw_worker::cli::{self, Cli};
use thaw_worker::health::{self, HealthError};
use thaw_worker::{Exit, Queue, Shutdown, WorkerOptions, describe, run_worker, shutdown};

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return ExitCode::from(code),
    };
    if let Some(address) = cli.health {
        return answer(&health::ask(address));
    }
    match run(&cli) {
        Ok(Exit::Drained) => ExitCode::SUCCESS,
        Ok(Exit::HaltGraceOver) => ExitCode::from(5),
        Err(error) => {
            tracing::error!("worker cannot run: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    let config = load_config(cli)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(work(cli, &config))
}

/// What a health check shows is its output: it is no log of this process.
fn answer(asked: &Result<String, HealthError>) -> ExitCode {
    let (text, code) = match asked {
        Ok(text) => (text.clone(), ExitCode::SUCCESS),
        Err(error) => (describe_health(error), ExitCode::from(1)),
    };
    drop(writeln!(std::io::stdout(), "{}", text.trim_end()));
    code
}

fn describe_health(error: &HealthError) -> String {
    match error {
        HealthError::Unreachable(source) => format!("{error}: {source}"),
        HealthError::NotReady(_) => error.to_string(),
    }
}

fn load_config(cli: &Cli) -> anyhow::Result<Config> {
    let options =
        LoadOptions { config_path: cli.config.clone(), env_file: cli.env_file.clone(), strict: cli.strict };
    let loaded = thaw_config::load(&options)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded.config)
}

async fn work(cli: &Cli, config: &Config) -> anyhow::Result<Exit> {
    let slots = cli.concurrency.unwrap_or(config.parallel_threads);
    let broker = config.rabbitmq.as_ref().context(
        "no broker is configured: set rabbitmq.url (or AMQP_URL), or load on this machine with `planner run --local`",
    )?;
    let options =
        RabbitOptions { ca_file: broker.ca_file.clone(), ..RabbitOptions::new(broker.url.clone(), "worker") };
    let rabbit = RabbitQueue::new(&options)?;
    let shutdown = Shutdown::default();
    shutdown::on_signals(&shutdown).context("handle signals")?;
    let queue = Queue { publisher: rabbit.publisher(), consumer: rabbit.consumer(slots) };
    let options =
        WorkerOptions { slots, max_runtime: cli.max_runtime.map(Duration::from_secs), listen: cli.listen };
    run_worker(config, &options, queue, shutdown).await.map_err(|error| anyhow::anyhow!(describe(&error)))
}
