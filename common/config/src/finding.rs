//! What is wrong with a configuration: one finding a fault, each with its path and what to do.
//!
//! A finding never holds the value of a secret key nor anything that came from the environment.

use std::fmt;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration works; a person should look. `--strict` turns it into an error.
    Warning,
    /// Nothing is done with this configuration.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One fault, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    /// `sources[0].tables[3].target`; empty where the whole file is meant.
    pub path: String,
    /// Line of the configuration file, from 1; `None` where nothing is written (a missing file).
    pub line: Option<u32>,
    /// What is wrong and what to do, one or two clauses in lower case.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match self.line {
            Some(line) => write!(f, " (line {line})"),
            None => Ok(()),
        }
    }
}

/// Everything wrong with a configuration, in the order of the file. Holds at least one error; the warnings are
/// there too, so that one look shows all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors {
    /// The file as it was named, for the heading.
    pub file: String,
    pub findings: Vec<Finding>,
}

impl ConfigErrors {
    /// How many findings are errors.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

/// The only multi-line message: a heading, then one finding a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.error_count();
        let noun = if count == 1 { "error" } else { "errors" };
        write!(f, "{}: {count} {noun} in the configuration", self.file)?;
        for finding in &self.findings {
            write!(f, "\n  {finding}")?;
        }
        Ok(())
    }
}
