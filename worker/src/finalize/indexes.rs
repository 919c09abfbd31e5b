//! Building again what a start dropped: this table's, and what dead runs on the same target left behind.

use thaw_postgres::Client;
use thaw_status::{FinalizeClaim, StoreError, indexes};

/// Builds the saved indexes that are not there. Idempotent.
pub(super) async fn restore(client: &mut Client, claim: &FinalizeClaim) -> Result<(), StoreError> {
    let built = indexes::restore_indexes_of_target(client, claim.table).await?;
    if built > 0 {
        tracing::info!(index_count = built, "indexes built");
    }
    Ok(())
}
