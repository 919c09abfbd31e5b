//! One module a command; what all of them need first is here: logs, the configuration, the runtime.

pub mod cancel;
pub mod check;
pub mod init;
pub mod prune;
pub mod quarantine;
pub mod run;
pub mod schema;
pub mod status;
pub mod verify;

use std::sync::Arc;

use thaw_config::{Config, LoadOptions};

use crate::cli::{Cli, Command, Common, QuarantineCommand, RetryRunArgs, RunArgs};
use crate::exit::Exit;
use crate::output;
use crate::watermark::Asked;
use run::RunOptions;

/// Does what was asked. What went wrong has been said when this returns.
#[must_use]
pub fn execute(cli: &Cli) -> Exit {
    if let Err(error) = thaw_telemetry::init(cli.common.log_format, &cli.common.log_level) {
        output::complaint(format!("error: --log-level: {error}"));
        return Exit::Configuration;
    }
    if matches!(cli.command, Command::Schema) {
        return schema::print();
    }
    let Some(config) = load(&cli.common) else { return Exit::Configuration };
    if let Command::Check(args) = &cli.command
        && args.offline
    {
        return check::offline(&config);
    }
    // Fails only where another provider was installed before, which then serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(connected(&cli.command, config)),
        Err(error) => {
            output::complaint(format!("error: threads cannot be started: {error}"));
            Exit::Configuration
        }
    }
}

/// The commands that speak to a server.
async fn connected(command: &Command, config: Config) -> Exit {
    match command {
        Command::Run(args) => Box::pin(run::execute(&run_options(args), &Arc::new(config))).await,
        Command::Retry(args) => Box::pin(run::execute(&retry_options(args), &Arc::new(config))).await,
        Command::Check(_) => check::online(&config).await,
        Command::Status(args) => status::execute(args, &config).await,
        Command::Cancel(args) => cancel::execute(&args.run, &config).await,
        Command::Verify(args) => verify::execute(args, &config).await,
        Command::Quarantine(QuarantineCommand::List(args)) => quarantine::list(args, &config).await,
        Command::Quarantine(QuarantineCommand::Retry(args)) => {
            quarantine::retry(args, &Arc::new(config)).await
        }
        Command::Prune(args) => prune::execute(args.older_than, args.dry_run, &config).await,
        Command::Init => init::execute(&config).await,
        Command::Schema => schema::print(),
    }
}

fn load(common: &Common) -> Option<Config> {
    let options = LoadOptions {
        config_path: common.config.clone(),
        env_file: common.env_file.clone(),
        strict: common.strict,
    };
    match thaw_config::load(&options) {
        Ok(loaded) => {
            output::findings(&loaded.warnings);
            Some(loaded.config)
        }
        Err(errors) => {
            output::complaint(errors.to_string());
            None
        }
    }
}

fn run_options(args: &RunArgs) -> RunOptions {
    RunOptions {
        sources: args.source.clone(),
        tables: args.table.clone(),
        detach: args.detach,
        local: args.local,
        dry_run: args.dry_run,
        json: args.json,
        report_json: args.report_json.clone(),
        asked: Asked { full: args.full, since: args.since.clone() },
        no_resume: args.no_resume,
        resume_max_age: args.resume_max_age,
        run: args.resume_run_id.clone(),
        wait: args.wait,
    }
}

/// A retry is a run that was named.
fn retry_options(args: &RetryRunArgs) -> RunOptions {
    RunOptions {
        detach: args.detach,
        local: args.local,
        report_json: args.report_json.clone(),
        run: Some(args.run.clone()),
        wait: args.wait,
        ..RunOptions::default()
    }
}
