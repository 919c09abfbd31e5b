//! What upsert and insert_only share: rows go into a temporary table that ends with the transaction, and one
//! statement moves them on and counts. No row travels back.

use thaw_model::TablePlan;
use thaw_model::plan::Arbiter;
use thaw_postgres::catalog::TargetTable;
use thaw_status::LoadTx;

use super::stream::Stream;
use super::{LoadError, Written, sql, target_changes};
use crate::encode::{Encoded, Keys};

/// A stage of fewer rows is merged by index look-ups however it is estimated.
const ANALYZED_FROM: i64 = 1000;

/// What the stage holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Staged {
    pub(super) rows: i64,
    /// Some key stands in more than one of them.
    pub(super) repeated: bool,
    /// Of the kept rows: without a watermark, which the target's row has.
    pub(super) watermark_lost: i64,
}

/// Creates the stage and streams the rows into it.
pub(super) async fn fill(
    tx: &LoadTx<'_>,
    (plan, arbiter): (&TablePlan, &Arbiter),
    rows: &mut Stream,
) -> Result<(Encoded, Staged), LoadError> {
    tx.transaction().batch_execute(&sql::create_stage(plan)).await?;
    let target = target_changes::check(tx.transaction(), plan).await?;
    let (encoded, received) = rows.copy_in(tx.transaction(), &sql::copy_into_stage(plan)).await?;
    let sent = encoded.rows - i64::try_from(encoded.bad_rows.len()).unwrap_or(i64::MAX);
    if received != sent {
        return Err(LoadError::WrongStagedCount { sent, received });
    }
    if received >= ANALYZED_FROM {
        tx.transaction().batch_execute(&sql::analyze_stage(arbiter)).await?;
    }
    let repeated = match encoded.keys {
        Keys::Repeated => true,
        Keys::Distinct if has_binary_keys(&target, arbiter) => false,
        Keys::Distinct | Keys::Unknown => {
            tx.transaction().query_one(&sql::has_repeated_keys(arbiter), &[]).await?.try_get("repeated")?
        }
    };
    Ok((encoded, Staged { rows: received, repeated, watermark_lost: 0 }))
}

/// No collation of a key takes different texts for equal.
fn has_binary_keys(target: &TargetTable, arbiter: &Arbiter) -> bool {
    let mut keys = target.columns.iter().filter(|column| arbiter.columns.contains(&column.name));
    keys.all(|column| column.collation_deterministic)
}

/// Runs the merge and reads its one row of counts: `newest` rows had a key of their own among the `staged`.
pub(super) async fn merge(
    tx: &LoadTx<'_>,
    (plan, arbiter): (&TablePlan, &Arbiter),
    statement: &str,
    staged: Staged,
) -> Result<Written, LoadError> {
    let row = tx.transaction().query_one(statement, &[]).await?;
    // Counted only where some key is repeated: else every staged row has a key of its own.
    let newest: Option<i64> = row.try_get("newest")?;
    let newest = newest.unwrap_or(staged.rows);
    let inserted: i64 = row.try_get("inserted")?;
    let updated: i64 = row.try_get("updated")?;
    let tied: i64 = row.try_get("tied")?;
    let deduplicated = staged.rows - newest;
    let ambiguous = match deduplicated {
        0 => 0,
        _ => tx.transaction().query_one(&sql::ambiguous(plan, arbiter), &[]).await?.try_get("ambiguous")?,
    };
    let kept = newest - inserted - updated;
    Ok(Written {
        inserted,
        updated,
        kept,
        deduplicated,
        ambiguous,
        tied,
        watermark_lost: staged.watermark_lost,
    })
}
