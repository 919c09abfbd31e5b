//! The other data sets through the same path: no figure holds for TPC-H's lineitem alone.

use anyhow::Result;

use super::copy_1slot::against_copy;
use crate::data_set::{mixed_250, orders, wide_text};
use crate::figure::{Figure, Goal};
use crate::load::Load;
use crate::rig::Rig;

pub(super) async fn measure(rig: &mut Rig) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (set, name) in [
        (orders(rig.scale), "copy_1slot_vs_psql_copy_orders"),
        (mixed_250(rig.scale), "copy_1slot_vs_psql_copy_mixed_250"),
        (wide_text(rig.scale), "copy_1slot_vs_psql_copy_wide_text"),
    ] {
        let figure = against_copy(rig, &Load::plain(&set), name).await?;
        figures.push(figure.goal(Goal::AtLeast(1.1)));
    }
    Ok(figures)
}
