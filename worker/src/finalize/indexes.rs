//! Building again what the start dropped.

use thaw_postgres::Client;
use thaw_status::{FinalizeClaim, StoreError, indexes};

/// Builds the saved indexes that are not there. Idempotent.
pub(super) async fn restore(client: &mut Client, claim: &FinalizeClaim) -> Result<(), StoreError> {
    if !claim.indexes_dropped {
        return Ok(());
    }
    let built = indexes::restore_indexes(client, claim.table).await?;
    tracing::info!(index_count = built, "indexes built");
    Ok(())
}
