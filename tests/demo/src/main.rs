//! `make demo`: real rows through the whole path, with a murder on the way, and a count at the end.
//!
//! It starts everything itself, on free ports and in temporary folders, and leaves nothing running. It ends with one
//! line and exit code 0 only if every row arrived exactly once.

mod narrate;
mod scene;
mod story;

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use crate::narrate::say;
use crate::scene::Logs;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let logs = match Logs::create() {
        Ok(logs) => logs,
        Err(error) => {
            say(&format!("demo: cannot make a temporary folder: {error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let told = tokio::select! {
        told = story::tell(&logs) => told,
        () = interrupted() => Err(anyhow::anyhow!("interrupted")),
    };
    match told {
        Ok(line) => {
            say(&line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("demo failed: {error:#}"));
            logs.show();
            ExitCode::FAILURE
        }
    }
}

/// Ends with the first SIGINT or SIGTERM; everything started is then stopped by what is dropped.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
