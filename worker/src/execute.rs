//! One attempt at one claimed chunk: fetch, decode, encode and load, joined. No policy: what an error is worth is
//! settled elsewhere.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use thaw_model::TablePlan;
use thaw_status::ClaimedChunk;

use crate::chunk_error::ChunkError;
use crate::databases::Databases;
use crate::encode::RowEncoder;
use crate::fetch::{SourceSession, fetch_chunk};
use crate::load::{LoadError, LoadRequest, Loaded, Way, load};
use crate::memory::MemoryBudget;

/// The longest silence of the source while a COPY is open. Nothing in PostgreSQL ends a COPY whose client waits.
const STALL_LIMIT: Duration = Duration::from_secs(120);

/// What attempts need; shared by all slots.
#[derive(Debug, Clone)]
pub struct Executor {
    pub databases: Databases,
    pub snowflake: thaw_snowflake::Client,
    pub session: SourceSession,
    /// What all attempts of the process may hold of their rows.
    pub memory: MemoryBudget,
}

impl Executor {
    /// Loads the chunk. Sets `completion_sent` right before the outcome can be out of our hands.
    ///
    /// Dropping the future cancels the source's statement and closes the load's connection.
    ///
    /// # Errors
    /// What ended the attempt. Nothing is committed then, except where the disposition is `unknown`.
    pub async fn execute(
        &self,
        database: &str,
        claimed: &ClaimedChunk,
        completion_sent: &Arc<AtomicBool>,
    ) -> Result<Loaded, ChunkError> {
        let stored = self
            .databases
            .plan(database, claimed)
            .await
            .map_err(ChunkError::Store)?
            .ok_or(ChunkError::PlanMissing)?;
        let mut way = Way::first(&stored.plan);
        loop {
            match self.attempt(database, &stored.plan, claimed, (way, completion_sent)).await {
                Ok(loaded) => return Ok(loaded),
                Err(ChunkError::Load(error)) => match error.redo() {
                    Some(next) => {
                        tracing::info!(error = %error, way = ?next, "chunk is loaded once more, another way");
                        way = next;
                    }
                    None => return Err(error.into()),
                },
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt(
        &self,
        database: &str,
        plan: &TablePlan,
        claimed: &ClaimedChunk,
        (way, completion_sent): (Way, &Arc<AtomicBool>),
    ) -> Result<Loaded, ChunkError> {
        let (encoder, rows) = RowEncoder::new(plan, way.needs_ordinal())?;
        let encoder = encoder.within(&self.memory);
        let mut connection = self.databases.load_connection(database).await.map_err(LoadError::from)?;
        let feed = fetch_chunk(&self.snowflake, &self.session, plan, claimed, encoder);
        let request = LoadRequest { plan, chunk: claimed, way, stall: STALL_LIMIT, completion_sent };
        let loaded = Box::pin(load(&mut connection, &request, rows, feed)).await;
        connection.give_back();
        Ok(loaded?)
    }
}
