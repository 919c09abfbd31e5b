//! The load mode `insert_only`: rows whose key is there already are kept as they are.

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
    let (encoded, staged) = stage::fill(tx, (plan, arbiter), rows).await?;
    let shape = Shape { partitioned: false, repeated: staged.repeated };
    let written = stage::merge(tx, (plan, arbiter), &sql::insert_only(plan, arbiter, shape), staged).await?;
    Ok((encoded, written))
}
