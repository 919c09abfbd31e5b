//! The load mode `copy`: binary COPY straight into the target.

use thaw_model::TablePlan;
use thaw_status::LoadTx;

use super::stream::Stream;
use super::{LoadError, Written, sql, target_changes};
use crate::encode::Encoded;

/// Streams the rows into the target.
pub(super) async fn load(
    tx: &LoadTx<'_>,
    plan: &TablePlan,
    rows: &mut Stream,
) -> Result<(Encoded, Written), LoadError> {
    tx.transaction().batch_execute(&sql::try_target(plan)).await?;
    target_changes::check(tx.transaction(), plan).await?;
    let (encoded, copied) = rows.copy_in(tx.transaction(), &sql::copy_into_target(plan)).await?;
    // A trigger may refuse rows; they are kept out by the target's own rule, and counted as such.
    let sent = encoded.rows - i64::try_from(encoded.bad_rows.len()).unwrap_or(i64::MAX);
    Ok((encoded, Written { inserted: copied, kept: sent - copied, ..Written::default() }))
}
