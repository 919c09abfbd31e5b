//! The last check: the rows of the plan against the rows of the chunks.

use thaw_model::{ErrorReport, TablePlan};
use thaw_postgres::Client;
use thaw_status::{FinalizeClaim, StoreError, finalize};

/// Under a snapshot, what the completed chunks fetched must be what the source had counted. Where chunks failed, the
/// table does not end `completed` anyway, and their rows are missing for a known reason.
///
/// More bad rows than the table may have are found here where chunks that committed at the same time hold them.
pub(super) async fn check(
    client: &Client,
    claim: &FinalizeClaim,
    plan: &TablePlan,
) -> Result<Option<ErrorReport>, StoreError> {
    let loaded = finalize::loaded_rows(client, claim.table).await?;
    let limit = plan.bad_rows.max_bad_rows;
    if loaded.quarantined > i64::from(limit) {
        return Ok(Some(ErrorReport {
            class: "too_many_bad_rows".to_owned(),
            text: format!(
                "{} bad rows in the table, of which max_bad_rows allows {limit}",
                loaded.quarantined
            ),
        }));
    }
    let Some(expected) = claim.expected_rows.filter(|_| plan.source.snapshot.is_some()) else {
        return Ok(None);
    };
    if loaded.not_completed_chunks > 0 || loaded.fetched == expected {
        return Ok(None);
    }
    Ok(Some(ErrorReport {
        class: "row_count".to_owned(),
        text: format!("the source has {expected} rows at the snapshot, its chunks gave {}", loaded.fetched),
    }))
}
