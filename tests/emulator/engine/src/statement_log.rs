//! The last statements, for tests that count what a client asks for.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::error::SqlError;
use crate::request::ExecuteRequest;

/// Older statements are forgotten.
const CAPACITY: usize = 20_000;

/// One executed statement.
#[derive(Debug, Clone)]
pub struct LoggedStatement {
    /// Rises by one a statement.
    pub number: u64,
    pub sql: String,
    pub user: String,
    pub role: Option<String>,
    pub query_tag: Option<String>,
    /// The virtual clock at its start, nanoseconds.
    pub at: i128,
    /// How it failed, if it failed before its first row.
    pub error: Option<SqlError>,
}

#[derive(Debug, Default)]
pub(crate) struct StatementLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    kept: VecDeque<LoggedStatement>,
}

impl StatementLog {
    pub(crate) fn record(&self, request: &ExecuteRequest, error: Option<&SqlError>) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = entries.next;
        entries.next += 1;
        if entries.kept.len() == CAPACITY {
            entries.kept.pop_front();
        }
        entries.kept.push_back(LoggedStatement {
            number,
            sql: request.sql.clone(),
            user: request.user.clone(),
            role: request.role.clone(),
            query_tag: request.query_tag.clone(),
            at: request.now,
            error: error.cloned(),
        });
    }

    pub(crate) fn since(&self, number: u64) -> Vec<LoggedStatement> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.kept.iter().filter(|entry| entry.number >= number).cloned().collect()
    }
}
