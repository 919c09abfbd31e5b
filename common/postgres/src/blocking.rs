//! Who is in the way after 55P03. The statement that waited has given up, so `pg_blocking_pids` has nothing to
//! tell any more; the locks on the relation do.

use thaw_model::PgIdent;
use tokio_postgres::GenericClient;

use crate::error::PgError;

/// A session that holds a lock on a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocker {
    pub pid: i32,
    /// What the session calls itself; the name of a program, not data.
    pub application_name: String,
    /// `AccessExclusiveLock`, `RowExclusiveLock`...
    pub mode: String,
    /// `idle in transaction` is the usual culprit.
    pub state: Option<String>,
}

const LOCK_HOLDERS: &str = include_str!("blocking.sql");

/// The sessions that hold locks on the table now, strongest lock first, ours excluded.
///
/// # Errors
/// What the server or the line says.
pub async fn blocking_pids(
    client: &impl GenericClient,
    schema: &PgIdent,
    table: &PgIdent,
) -> Result<Vec<Blocker>, PgError> {
    let rows = client.query(LOCK_HOLDERS, &[&schema.as_str(), &table.as_str()]).await?;
    rows.iter()
        .map(|row| {
            Ok(Blocker {
                pid: row.try_get(0)?,
                application_name: row.try_get(1)?,
                mode: row.try_get(2)?,
                state: row.try_get(3)?,
            })
        })
        .collect()
}
