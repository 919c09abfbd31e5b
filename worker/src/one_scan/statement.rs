//! The one statement of a plan: the same from every process, so that whoever sends it again sends the same.

use sha2::{Digest as _, Sha256};
use thaw_model::{RunId, TableId, TablePlan};
use thaw_snowflake::{ChunkQueryError, Statement};
use thaw_status::one_scan::NewStatement;
use uuid::Uuid;

use crate::fetch::{self, SourceSession};

/// What is written down of the plan's statement before it is sent.
///
/// # Errors
/// A plan that gives no statement.
pub fn new_statement(plan: &TablePlan) -> Result<NewStatement, ChunkQueryError> {
    let sql = thaw_snowflake::chunk_query::one_scan_query(plan)?;
    Ok(NewStatement { request_id: Uuid::new_v4(), digest: digest(&sql) })
}

/// The plan's statement in its session.
pub(super) fn of_plan(
    session: &SourceSession,
    plan: &TablePlan,
    (run, table, execution): (RunId, TableId, i32),
) -> Result<Statement, thaw_snowflake::SnowflakeError> {
    let sql = thaw_snowflake::chunk_query::one_scan_query(plan)?;
    Ok(fetch::in_session(session, plan, sql, format!("thaw/{run}/{table}/statement-{execution}")))
}

pub(super) fn digest(sql: &str) -> String {
    format!("{:x}", Sha256::digest(sql.as_bytes()))
}
