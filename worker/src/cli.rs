//! The command line of `worker`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};

/// Loads chunks that a planner has planned: as many workers as you like, anywhere.
///
/// Exit codes: 0 drained, 1 configuration, 5 the trouble lasted longer than worker.halt_grace_seconds.
#[derive(Debug, Clone, Parser)]
#[command(name = "worker", version)]
pub struct Cli {
    /// The configuration; connections and the list of target databases are read from it.
    #[arg(long, default_value = "config.json", value_name = "FILE")]
    pub config: PathBuf,
    /// Variables for `${VAR}` in the configuration; `.env` beside it is read where there is one.
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Makes every warning about the configuration an error.
    #[arg(long)]
    pub strict: bool,
    /// error, warn, info, debug, trace, or directives such as `info,thaw_worker=debug`.
    #[arg(long, default_value = "info", value_name = "LEVEL")]
    pub log_level: String,
    /// text or json; logs go to stderr.
    #[arg(long, default_value = "text", value_name = "FORMAT")]
    pub log_format: thaw_telemetry::LogFormat,
    /// Chunks at a time; the configuration's parallel_threads unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: Option<u16>,
    /// Seconds until the platform ends this process; no chunk is taken in the last
    /// lambda_timeout_buffer_seconds of them.
    #[arg(long, value_name = "S")]
    pub max_runtime: Option<u64>,
    /// Where /metrics, /healthz and /readyz are served, for instance 127.0.0.1:9090.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Asks the worker that listens there whether it is ready, prints what it says and ends with 0 or 1: for container
    /// health checks where there is no curl.
    #[arg(long, value_name = "ADDR", exclusive = true)]
    pub health: Option<SocketAddr>,
}

/// Reads the command line and starts logging. What is wrong with it is printed as clap prints.
///
/// # Errors
/// The exit code: 0 after `--help` and `--version`, 1 after a usage error.
pub fn parse() -> Result<Cli, u8> {
    let parsed =
        Cli::try_parse().and_then(|cli| match thaw_telemetry::init(cli.log_format, &cli.log_level) {
            Ok(()) => Ok(cli),
            Err(error) => Err(Cli::command().error(ErrorKind::ValueValidation, error)),
        });
    parsed.map_err(|error| {
        // Nobody is left to tell when the terminal does not take it.
        drop(error.print());
        if error.use_stderr() { 1 } else { 0 }
    })
}
