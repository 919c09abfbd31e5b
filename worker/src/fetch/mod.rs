//! Fetches the rows of a chunk: one statement, then its partitions in order, into the encoder. What is encoded
//! leaves through the encoder's bounded channel, so the next partition is read while the last one loads, and memory
//! depends on neither.

use thaw_model::TablePlan;
use thaw_snowflake::{Client, SnowflakeError, Statement, chunk_query};
use thaw_status::ClaimedChunk;

use crate::encode::{EncodeError, Encoded, RowEncoder};

/// The session a chunk's statement runs in.
#[derive(Debug, Clone, Default)]
pub struct SourceSession {
    pub warehouse: Option<String>,
    pub role: Option<String>,
}

/// Reads the chunk's rows into `encoder` and finishes it. Dropping the future cancels the statement.
///
/// # Errors
/// [`EncodeError::Source`] for what the source does, else what a row or the load ended it with.
pub async fn fetch_chunk(
    client: &Client,
    session: &SourceSession,
    plan: &TablePlan,
    chunk: &ClaimedChunk,
    mut encoder: RowEncoder,
) -> Result<Encoded, EncodeError> {
    let statement = statement(session, plan, chunk)?;
    let result = client.execute(&statement).await?;
    encoder.statement(result.handle.as_str());
    if result.columns.len() != plan.columns.len() {
        return Err(EncodeError::Shape);
    }
    for partition in 0..result.partitions.len() {
        client.read_partition(&result, partition, &mut encoder).await?;
        if partition == 0 {
            thaw_faults::reach("during_fetch");
        }
    }
    encoder.finish().await
}

fn statement(
    session: &SourceSession,
    plan: &TablePlan,
    chunk: &ClaimedChunk,
) -> Result<Statement, SnowflakeError> {
    let mut statement = Statement::new(chunk_query(plan, &chunk.range)?);
    statement.database = Some(plan.source.database.as_str().to_owned());
    statement.schema = Some(plan.source.schema.as_str().to_owned());
    statement.warehouse.clone_from(&session.warehouse);
    statement.role.clone_from(&session.role);
    statement.timezone = Some(plan.source.timezone.clone());
    // Ids alone: ranges are data.
    statement.query_tag = Some(format!("thaw/{}/{}/{}", chunk.run, chunk.id, chunk.fence));
    Ok(statement)
}
