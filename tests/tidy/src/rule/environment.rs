//! The environment is read by configuration alone, and only `main` ends a process.

use crate::source::Source;
use crate::tree::{Finding, Tree};

/// thaw-faults reads one variable under its cargo feature, the harness hands servers to tests.
const READERS: [&str; 3] = ["common/config/", "common/faults/", "tests/harness/src/environment.rs"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.is_rust()) {
        let source = Source::parse(&file.text);
        let reader = READERS.iter().any(|reader| file.path.starts_with(reader));
        for (line, code) in source.lines() {
            // The convention of the tests: `make test` sets these.
            let written = file.text.lines().nth(line - 1).unwrap_or_default();
            let reader = reader || (file.path.contains("/tests/") && written.contains("\"THAW_TEST_"));
            if !reader
                && ["env::var(", "env::var_os(", "env::vars(", "dotenvy::"]
                    .iter()
                    .any(|read| code.contains(read))
            {
                findings.push(file.finding(line, "only thaw-config reads the environment"));
            }
            if !reader && code.trim_start().starts_with("#[arg(") && code.contains(" env") {
                findings.push(file.finding(line, "only thaw-config reads the environment, clap does not"));
            }
            if ["process::exit", "process::abort"].iter().any(|end| code.contains(end)) {
                findings.push(file.finding(line, "return an exit code from main, so that destructors run"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::messages;

    #[test]
    fn the_environment_is_read_in_one_place() {
        let read = "fn a() { std::env::var(\"HOME\") }";
        assert_eq!(messages(check, &[("planner/src/a.rs", read)]).len(), 1);
        assert_eq!(messages(check, &[("tests/e2e/src/a.rs", read)]).len(), 1);
        assert_eq!(messages(check, &[("common/config/src/a.rs", read)]).len(), 0);
        let convention = "fn a() { std::env::var(\"THAW_TEST_POSTGRES\") }";
        assert_eq!(messages(check, &[("common/queue/tests/a.rs", convention)]).len(), 0);
        assert_eq!(messages(check, &[("common/queue/src/a.rs", convention)]).len(), 1);
        assert_eq!(messages(check, &[("planner/src/a.rs", "#[arg(long, env = \"X\")]")]).len(), 1);
    }

    #[test]
    fn nobody_exits() {
        assert_eq!(
            messages(check, &[("common/config/src/a.rs", "fn a() { std::process::exit(1) }")]).len(),
            1
        );
    }
}
