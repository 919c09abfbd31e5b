//! What an error means for the chunk that met it: a closed set, decided by each error type about itself.

use std::fmt;
use std::time::Duration;

/// The reaction an error asks for. `worker::settle` turns it into a write to the status tables; nothing else
/// decides about retries. Matched without a wildcard everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Passing: network, 5xx, serialization failure, a wrong row count. Counts against the chunk's budget.
    Retry,
    /// The other side asks for patience (429, warehouse resuming, too many connections, a lock). Never counted.
    Snooze { after: Option<Duration> },
    /// Our own shutdown. Never counted.
    Interrupted,
    /// The fence is lost: somebody else has the chunk. Nothing may be written about it.
    Abandon,
    /// The connection was lost during COMMIT: only the row knows.
    Unknown,
    /// This chunk's own fault; no attempt can mend it.
    Fatal,
    /// True for every chunk of the table: a missing relation, a revoked grant, a snapshot that is gone.
    HaltTable,
    /// True for every chunk of this worker: credentials, full disk. The chunk is handed back uncounted.
    HaltWorker,
}

impl Disposition {
    /// A stable label for logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Snooze { .. } => "snooze",
            Self::Interrupted => "interrupted",
            Self::Abandon => "abandon",
            Self::Unknown => "unknown",
            Self::Fatal => "fatal",
            Self::HaltTable => "halt_table",
            Self::HaltWorker => "halt_worker",
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Implemented by every error that can reach a chunk. Implementations match on codes and variants, never on
/// message text.
pub trait Classify: std::error::Error {
    fn disposition(&self) -> Disposition;

    /// A short stable word for `error_class` and the metrics label: `network`, `sqlstate_23505`, `decode`.
    fn class(&self) -> String;
}

/// What is stored and logged about an error. The text must never hold a value of the user's data: SQLSTATE,
/// constraint, column and row position are enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorReport {
    pub class: String,
    pub text: String,
}

impl ErrorReport {
    /// Takes class and text from an error whose `Display` is free of values, with the chain of its sources
    /// unless a source's text is already the end of what is there.
    pub fn of(error: &(impl Classify + ?Sized)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            let next_text = next.to_string();
            if !text.ends_with(&next_text) {
                text.push_str(": ");
                text.push_str(&next_text);
            }
            cause = next.source();
        }
        Self { class: error.class(), text }
    }
}
