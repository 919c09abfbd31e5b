//! A run as a person names it: its id, or enough of its beginning.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thaw_model::RunId;
use thaw_status::StoreError;

use crate::session::Session;

/// Fewer digits name runs by chance.
const FEWEST_DIGITS: usize = 4;
/// Runs that are listed when a beginning fits several.
const LISTED: i64 = 5;

/// The beginning of a run's id, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRef(String);

/// Text that cannot begin an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a run, nor the first {FEWEST_DIGITS} or more digits of one")]
pub struct NoRunRef;

impl FromStr for RunRef {
    type Err = NoRunRef;

    fn from_str(text: &str) -> Result<Self, NoRunRef> {
        // All the ways a UUID may be written.
        if let Ok(run) = text.parse::<RunId>() {
            return Ok(Self(run.to_string()));
        }
        let is_digit = |character: char| character.is_ascii_hexdigit() || character == '-';
        if text.len() < FEWEST_DIGITS || !text.chars().all(is_digit) {
            return Err(NoRunRef);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why no run could be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("no run {wanted} in the status tables of the configured databases")]
    Unknown { wanted: RunRef },
    #[error("{wanted} begins several runs: {}; give more of the id", list(.runs))]
    Ambiguous { wanted: RunRef, runs: BTreeSet<RunId> },
    #[error("database \"{database}\": {error}")]
    Store { database: String, error: StoreError },
}

fn list(runs: &BTreeSet<RunId>) -> String {
    runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Looks for the run in every configured database.
///
/// # Errors
/// There is none, there are several, or a database cannot be asked.
pub async fn find(session: &Session, wanted: &RunRef) -> Result<RunId, FindError> {
    let mut runs = BTreeSet::new();
    for database in session.pools.databases() {
        match find_in(session, &database, wanted).await {
            Ok(found) => runs.extend(found),
            // A database that no run has touched yet.
            Err(error) if error.is_schema_missing() => {}
            Err(error) => return Err(FindError::Store { database, error }),
        }
    }
    match runs.len() {
        0 => Err(FindError::Unknown { wanted: wanted.clone() }),
        1 => runs.pop_first().ok_or_else(|| FindError::Unknown { wanted: wanted.clone() }),
        _ => Err(FindError::Ambiguous { wanted: wanted.clone(), runs }),
    }
}

async fn find_in(session: &Session, database: &str, wanted: &RunRef) -> Result<Vec<RunId>, StoreError> {
    let client = session.pools.pool(database)?.get().await?;
    thaw_status::check_version(&client).await?;
    thaw_status::progress::runs_beginning_with(&client, &wanted.0, LISTED).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_cut_short_and_written_in_capitals() {
        let run = RunId::generate().to_string();
        assert_eq!(run.parse::<RunRef>().map(|wanted| wanted.to_string()), Ok(run.clone()));
        assert_eq!(run.to_uppercase().parse::<RunRef>().map(|wanted| wanted.to_string()), Ok(run.clone()));
        assert_eq!("0190-AB".parse::<RunRef>().map(|wanted| wanted.to_string()), Ok("0190-ab".to_owned()));
        for text in ["", "abc", "not-a-uuid", "0190%"] {
            assert_eq!(text.parse::<RunRef>(), Err(NoRunRef), "{text}");
        }
    }
}
