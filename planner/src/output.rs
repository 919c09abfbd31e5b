//! What a person or a script reads: results on stdout, complaints on stderr. Logs go through tracing.
//!
//! A closed pipe is no error of the planner: what cannot be written is dropped.

use std::io::Write as _;

use thaw_config::Finding;

/// A result, one line.
pub fn result(line: impl AsRef<str>) {
    // Nobody is left to tell when stdout is closed.
    drop(writeln!(std::io::stdout(), "{}", line.as_ref()));
}

/// A sentence about why something is not done.
pub fn complaint(line: impl AsRef<str>) {
    drop(writeln!(std::io::stderr(), "{}", line.as_ref()));
}

/// Findings, one a line, in the order of the configuration.
pub fn findings(findings: &[Finding]) {
    for finding in findings {
        complaint(finding.to_string());
    }
}
