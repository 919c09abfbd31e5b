//! Frozen results: with `--freeze`, a query that was executed once is answered from its stored bytes for ever after.
//!
//! For benchmarks, which must not measure the emulator's own database. The moment of `AT(TIMESTAMP => ...)` is left out
//! of the comparison, so that the same chunk of a later run is the same query; whatever has been written meanwhile is
//! not seen. Knows nothing of HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use emulator_engine::StatementKind;

use crate::api::submit::Submission;
use crate::result_set::ResultSet;

/// What makes two submissions the same query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    sql: String,
    /// Database, schema, role and time zone.
    session: [Option<String>; 4],
    /// `rows_per_resultset` and `client_result_chunk_size`.
    sizes: [u64; 2],
}

/// A result, and the tables it was read from.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) result: Arc<ResultSet>,
    pub(crate) tables: Vec<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Frozen(Mutex<HashMap<Key, Kept>>);

impl Key {
    /// The key of a statement that is executed as `sql`.
    pub(crate) fn new(submission: &Submission, sql: &str) -> Self {
        let parameters = &submission.parameters;
        Self {
            sql: without_moment(sql),
            session: [
                submission.database.clone(),
                submission.schema.clone(),
                submission.role.clone(),
                parameters.timezone.clone(),
            ],
            sizes: [parameters.rows_per_resultset, parameters.chunk_megabytes],
        }
    }
}

impl Frozen {
    pub(crate) fn get(&self, key: &Key) -> Option<Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Keeps what a query read from tables; what says the time or changes rows is executed each time.
    pub(crate) fn keep(&self, key: Key, kept: &Kept) {
        if kept.result.kind == StatementKind::Query && !kept.tables.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, kept.clone());
        }
    }
}

/// The statement without its `at(...)` clauses.
fn without_moment(sql: &str) -> String {
    const CLAUSE: &str = " at(timestamp =>";
    let mut rest = sql;
    let mut out = String::with_capacity(sql.len());
    // Lower case keeps the length of ASCII, and the clause is ASCII.
    while let Some(at) = rest.to_ascii_lowercase().find(CLAUSE) {
        let (before, clause) = rest.split_at(at);
        let Some(end) = clause.find(')') else { break };
        out.push_str(before);
        rest = clause.split_at(end + 1).1;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_does_not_distinguish_queries() {
        let at = |moment: &str| {
            format!("select A from D.S.T at(timestamp => '{moment}'::timestamp_tz) where A > 1 and A < 9")
        };
        assert_eq!(without_moment(&at("2024-01-01 00:00:00")), without_moment(&at("2025-01-01 00:00:00")));
        assert_eq!(without_moment(&at("x")), "select A from D.S.T where A > 1 and A < 9");
        assert_eq!(without_moment("select at(1)"), "select at(1)");
    }
}
