//! Prepared results: a statement is answered with the rows of another one.
//!
//! For what no test machine holds: the aggregate over a table of hundreds of millions of rows is answered from a table of
//! a few hundred that says what it would find. Whoever prepares an answer answers for its columns.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// One prepared result.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// Statements whose text contains this, in any case.
    sql_contains: String,
    /// Is executed in their place. The statement log shows what was submitted.
    sql: String,
}

/// All of them; of several that fit, the oldest answers.
#[derive(Debug, Default)]
pub(crate) struct Prepared(Mutex<Vec<Answer>>);

impl Prepared {
    pub(crate) fn add(&self, answer: Answer) {
        self.lock().push(answer);
    }

    /// How many there were.
    pub(crate) fn clear(&self) -> usize {
        let mut answers = self.lock();
        let count = answers.len();
        answers.clear();
        count
    }

    /// What is executed for `sql`.
    pub(crate) fn instead_of(&self, sql: &str) -> String {
        let asked = sql.to_uppercase();
        let answers = self.lock();
        let fitting = answers.iter().find(|answer| asked.contains(&answer.sql_contains.to_uppercase()));
        fitting.map_or(sql, |answer| &answer.sql).to_owned()
    }

    /// A plain list; a panic elsewhere cannot have left it half changed.
    fn lock(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
