//! The binary `planner`: arguments, logs, one command, one exit code.

use std::process::ExitCode;

use thaw_planner::{cli, commands};

fn main() -> ExitCode {
    match cli::parse() {
        Ok(cli) => commands::execute(&cli).into(),
        Err(exit) => exit.into(),
    }
}
