//! As copy_1slot with two slots; against one psql all the same.

use anyhow::Result;

use super::copy_1slot::against_copy;
use crate::data_set::lineitem;
use crate::figure::{Figure, Goal};
use crate::load::Load;
use crate::rig::Rig;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let load = Load { slots: 2, ..Load::plain(&lineitem(rig.scale)) };
    let figure = against_copy(rig, &load, "copy_2slot_vs_psql_copy").await?;
    Ok(vec![figure.goal(Goal::AtLeast(1.5))])
}
