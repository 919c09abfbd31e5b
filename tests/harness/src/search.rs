//! Finds programs: servers where the distribution puts them, our own binaries where cargo puts them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::environment;

/// The first executable `name` on the `PATH`.
#[must_use]
pub fn in_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&environment::path()).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The folder with `initdb` and `postgres`: the `PATH`, else the newest Debian version, else `pg_config`.
///
/// # Errors
/// None is installed; the message says how to get one.
pub fn postgres_bin() -> Result<PathBuf> {
    if let Some(initdb) = in_path("initdb")
        && let Some(folder) = initdb.parent()
        && folder.join("postgres").is_file()
    {
        return Ok(folder.to_owned());
    }
    let candidates = debian_versions().into_iter().chain(pg_config_bindir());
    candidates
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .context("PostgreSQL's server programs are not installed: run `make prerequisites` (as root)")
}

/// `/usr/lib/postgresql/<version>/bin`, newest first.
fn debian_versions() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn pg_config_bindir() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

/// The folder with the `rabbitmq-server` and `rabbitmqctl` scripts that do not change the user.
///
/// # Errors
/// None is installed; the message says how to get one.
pub fn rabbitmq_bin() -> Result<PathBuf> {
    let debian = PathBuf::from("/usr/lib/rabbitmq/bin");
    if debian.join("rabbitmq-server").is_file() {
        return Ok(debian);
    }
    in_path("rabbitmq-server")
        .and_then(|script| script.canonicalize().ok())
        .and_then(|script| script.parent().map(Path::to_owned))
        .context("RabbitMQ is not installed: run `make prerequisites` (as root)")
}

/// A binary of this workspace, built next to the running test executable (`target/<profile>/`).
///
/// # Errors
/// It has not been built; the message says how.
pub fn bin(name: &str) -> Result<PathBuf> {
    let folder = match environment::get(environment::BIN_DIR) {
        Some(folder) => PathBuf::from(folder),
        None => profile_folder(&std::env::current_exe()?).context("this executable is in no folder")?,
    };
    let file = folder.join(name);
    if !file.is_file() {
        bail!("{} does not exist: build it first with `make build`", file.display());
    }
    Ok(file)
}

/// Tests run from `target/<profile>/deps/`, binaries from `target/<profile>/`.
fn profile_folder(executable: &Path) -> Option<PathBuf> {
    let folder = executable.parent()?;
    if folder.file_name().is_some_and(|name| name == "deps") {
        return folder.parent().map(Path::to_owned);
    }
    Some(folder.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_lie_beside_the_folder_of_the_tests() {
        let found = |path: &str| profile_folder(Path::new(path));
        assert_eq!(found("/t/debug/deps/e2e-1"), Some(PathBuf::from("/t/debug")));
        assert_eq!(found("/t/release/demo"), Some(PathBuf::from("/t/release")));
    }

    #[test]
    fn a_missing_binary_is_named() {
        let error = bin("no-such-program").unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("make build"), "{error}");
    }
}
