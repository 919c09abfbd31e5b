//! Fetches the rows of a chunk: one statement, then its partitions in order, into the encoder. The next partition is
//! fetched while this one loads, compressed and bounded by the worker's memory budget, and what is encoded leaves through the encoder's bounded
//! channel: memory depends neither on the chunk nor on a partition.

use thaw_model::range::ResultPart;
use thaw_model::{ChunkRange, TablePlan};
use thaw_snowflake::{
    Client, KeptPartition, ReadAhead, SnowflakeError, Statement, StatementHandle, chunk_query,
};
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
    if let ChunkRange::ResultPartitions { part } = &chunk.range {
        return fetch_kept(client, plan, part, encoder).await;
    }
    let statement = statement(session, plan, chunk)?;
    let result = client.execute(&statement).await?;
    encoder.statement(result.handle.as_str());
    if result.columns.len() != plan.columns.len() {
        return Err(EncodeError::Shape);
    }
    let columns = result.columns.len();
    let later = result.partitions.iter().enumerate().skip(1).map(|(number, partition)| KeptPartition {
        handle: result.handle.clone(),
        number,
        columns,
        row_count: partition.row_count,
    });
    let mut later = client.read_ahead(later, encoder.bytes_ahead());
    // Partition 0 has come with the answer.
    let fetch = async { later.fetch_next().await.map_err(EncodeError::from) };
    tokio::try_join!(client.read_partition(&result, 0, &mut encoder), fetch)?;
    drop(result);
    thaw_faults::reach("during_fetch");
    read_all(&mut later, &mut encoder).await?;
    encoder.finish().await
}

/// Reads partitions of a result that the source keeps, each with as many rows as its metadata has declared.
async fn fetch_kept(
    client: &Client,
    plan: &TablePlan,
    part: &ResultPart,
    mut encoder: RowEncoder,
) -> Result<Encoded, EncodeError> {
    let handle = StatementHandle::parse(&part.handle).map_err(SnowflakeError::from)?;
    encoder.statement(handle.as_str());
    let columns = plan.columns.len();
    // What is declared empty is not asked for.
    let partitions =
        part.partitions().filter(|(_, rows)| *rows > 0).map(|(number, row_count)| KeptPartition {
            handle: handle.clone(),
            number: usize::try_from(number).unwrap_or(usize::MAX),
            columns,
            row_count,
        });
    let mut partitions = client.read_ahead(partitions, encoder.bytes_ahead());
    partitions.read_next(&mut encoder).await?;
    thaw_faults::reach("during_fetch");
    read_all(&mut partitions, &mut encoder).await?;
    encoder.finish().await
}

async fn read_all(partitions: &mut ReadAhead, encoder: &mut RowEncoder) -> Result<(), EncodeError> {
    while partitions.read_next(encoder).await?.is_some() {}
    Ok(())
}

fn statement(
    session: &SourceSession,
    plan: &TablePlan,
    chunk: &ClaimedChunk,
) -> Result<Statement, SnowflakeError> {
    let sql = chunk_query(plan, &chunk.range)?;
    // Ids alone: ranges are data.
    Ok(in_session(session, plan, sql, format!("thaw/{}/{}/{}", chunk.run, chunk.id, chunk.fence)))
}

/// A statement of the plan, in the session that all of them run in.
pub(crate) fn in_session(session: &SourceSession, plan: &TablePlan, sql: String, tag: String) -> Statement {
    Statement {
        database: Some(plan.source.database.as_str().to_owned()),
        schema: Some(plan.source.schema.as_str().to_owned()),
        warehouse: session.warehouse.clone(),
        role: session.role.clone(),
        timezone: Some(plan.source.timezone.clone()),
        query_tag: Some(tag),
        ..Statement::new(sql)
    }
}
