//! The load mode `upsert`: new rows are inserted, rows that differ are replaced unless the target's is newer, and
//! identical rows cost a comparison, no write.

use thaw_model::TablePlan;
use thaw_status::LoadTx;

use super::sql::Shape;
use super::stream::Stream;
use super::{LoadError, Written, sql, stage};
use crate::encode::Encoded;

pub(super) async fn load(
    tx: &LoadTx<'_>,
    plan: &TablePlan,
    rows: &mut Stream,
) -> Result<(Encoded, Written), LoadError> {
    let arbiter = plan.load.arbiter.as_ref().ok_or(LoadError::NoArbiter)?;
    let (schema, table) = (plan.target.schema.as_str(), plan.target.table.as_str());
    let partitioned: bool =
        tx.transaction().query_one(sql::IS_PARTITIONED, &[&schema, &table]).await?.try_get(0)?;
    let (encoded, mut staged) = stage::fill(tx, (plan, arbiter), rows).await?;
    let shape = Shape { partitioned, repeated: staged.repeated };
    if let (1.., Some(statement)) = (encoded.null_watermarks, sql::watermark_lost(plan, arbiter, shape)) {
        staged.watermark_lost = tx.transaction().query_one(&statement, &[]).await?.try_get("kept")?;
    }
    let written = stage::merge(tx, (plan, arbiter), &sql::upsert(plan, arbiter, shape), staged).await?;
    Ok((encoded, written))
}
