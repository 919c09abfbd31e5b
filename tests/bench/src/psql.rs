//! The other side: psql, with the statements a person would write.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use thaw_harness::{TestDatabase, search};
use tokio::process::Command;

/// Runs a script; the seconds it took, psql's own start and end included.
///
/// # Errors
/// A statement fails; the message holds what psql said.
pub(crate) async fn run(database: &TestDatabase, script: &str, folder: &Path) -> Result<f64> {
    let file = tempfile::Builder::new().suffix(".sql").tempfile_in(folder)?;
    std::fs::write(file.path(), script)?;
    let mut command = Command::new(program()?);
    command
        .args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &database.url(), "--file"])
        .arg(file.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let output = command.output().await.context("cannot run psql")?;
    let seconds = start.elapsed().as_secs_f64();
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(seconds)
}

/// The program beside the server where there is one, rather than the distribution's wrapper around it.
fn program() -> Result<PathBuf> {
    let server = search::postgres_bin()?.join("postgres").canonicalize()?;
    let beside = server.with_file_name("psql");
    Ok(if beside.is_file() { beside } else { "psql".into() })
}

/// `\copy` of a CSV file into a table.
pub(crate) fn copy_csv(table: &str, file: &Path) -> String {
    format!("\\copy {table} from '{}' (format csv)\n", file.display())
}

/// Writes a table to a file.
///
/// # Errors
/// As [`run`].
pub(crate) async fn export(
    database: &TestDatabase,
    table: &str,
    (file, format): (&Path, &str),
    folder: &Path,
) -> Result<()> {
    let script = format!("\\copy {table} to '{}' (format {format})\n", file.display());
    run(database, &script, folder).await.map(drop)
}
