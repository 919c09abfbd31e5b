//! The last check: the rows of the plan against the rows of the chunks.

use thaw_model::ErrorReport;
use thaw_postgres::Client;
use thaw_status::{FinalizeClaim, StoreError, finalize};

/// Under a snapshot, what the completed chunks fetched must be what the source had counted. Where chunks failed, the
/// table does not end `completed` anyway, and their rows are missing for a known reason.
pub(super) async fn check(
    client: &Client,
    claim: &FinalizeClaim,
    has_snapshot: bool,
) -> Result<Option<ErrorReport>, StoreError> {
    let Some(expected) = claim.expected_rows.filter(|_| has_snapshot) else {
        return Ok(None);
    };
    let loaded = finalize::loaded_rows(client, claim.table).await?;
    if loaded.not_completed_chunks > 0 || loaded.fetched == expected {
        return Ok(None);
    }
    Ok(Some(ErrorReport {
        class: "row_count".to_owned(),
        text: format!("the source has {expected} rows at the snapshot, its chunks gave {}", loaded.fetched),
    }))
}
