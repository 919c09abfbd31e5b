//! `snowflake-emulator`: a test double of Snowflake's SQL API v2, and the loader that fills it.
//!
//! This file only reads the command line and starts one of the two. Clients are written against the documents, not
//! against this program: see README.md for what is faithful, what is adversarial and what is refused.

mod admin;
mod adversity;
mod api;
mod auth;
mod cli;
mod clock;
mod csv;
mod delay;
mod execution;
mod fault_actions;
mod faults;
mod frozen;
mod json_rows;
mod jwt;
mod limits;
mod listener;
mod load;
mod partitions;
mod prepared;
mod result_set;
mod serve;
mod spool;
mod state;
mod statements;
mod tpch;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("warn,snowflake_emulator=info,emulator_engine=info"))
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(error = %error, "could not start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let outcome = match cli.command {
        Command::Serve(args) => runtime.block_on(Box::pin(serve::run(*args))),
        Command::Load(args) => runtime.block_on(Box::pin(load::run(&args))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "snowflake-emulator failed");
            ExitCode::FAILURE
        }
    }
}
